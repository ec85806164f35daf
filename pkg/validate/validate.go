// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	schedconfigv1 "k8s.io/kube-scheduler/config/v1"
	fwk "k8s.io/kube-scheduler/framework"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
	kjson "sigs.k8s.io/json"

	"auriga.dev/auriga/pkg/apis/config/scheme"
)

const kind = "KubeSchedulerConfiguration"

// Problem is one thing that is wrong in a file.
type Problem struct {
	// Line counts from 1. 0: the problem is not at a place of the file.
	Line int `json:"line,omitempty"`
	// Field is a path such as profiles[0].plugins.score.enabled[1].weight.
	// Empty: the problem is the file itself.
	Field string `json:"field"`
	// Value is what the file has there; nil if it has nothing.
	Value any `json:"value"`
	// Message says what is wrong.
	Message string `json:"message"`
	// Accepted says what would be right: values, or words for them.
	Accepted []string `json:"accepted"`
}

// Result is what is to be said about one file.
type Result struct {
	File string `json:"file"`
	// Valid means that there are no problems.
	Valid bool `json:"valid"`
	// Profiles are the scheduler names that the file serves, if it is valid.
	Profiles []string `json:"profiles,omitempty"`
	// Plugins is the number of different plugins in its profiles, if it is valid.
	Plugins int `json:"plugins,omitempty"`
	// Problems are in the order of the file.
	Problems []Problem `json:"problems"`
}

// Validator checks configuration files for a scheduler with certain plugins.
type Validator struct {
	scheme  *runtime.Scheme
	decoder runtime.Decoder
	catalog *catalog
}

// New returns a Validator for a scheduler with the in-tree plugins and those
// of the registry. ctx must live as long as the Validator is used.
func New(ctx context.Context, outOfTree frameworkruntime.Registry) (*Validator, error) {
	metrics.Register() // building a framework counts in them
	s := scheme.New()
	catalog, err := newCatalog(ctx, s, outOfTree)
	if err != nil {
		return nil, err
	}
	return &Validator{
		scheme:  s,
		decoder: serializer.NewCodecFactory(s, serializer.EnableStrict).UniversalDecoder(),
		catalog: catalog,
	}, nil
}

// File checks one file; "-" is stdin.
func (v *Validator) File(ctx context.Context, path string, stdin io.Reader) Result {
	result := Result{File: path}
	data, problem := read(path, stdin)
	if problem != nil {
		result.Problems = []Problem{*problem}
	} else {
		result = v.Data(ctx, data)
		result.File = path
	}
	return result
}

// Data checks the content of a file.
func (v *Validator) Data(ctx context.Context, data []byte) Result {
	result := Result{Problems: []Problem{}}
	src, problems := parse(data)
	if src != nil {
		p, loaded := v.document(ctx, src)
		problems = append(problems, p...)
		if len(problems) == 0 {
			problems = v.lastWord(ctx, src, loaded, &result)
		}
		for i := range problems {
			p := &problems[i]
			if value, ok := src.value(p.Field); ok && p.Field != "" {
				p.Value = value
			}
			if p.Line == 0 {
				p.Line = src.line(p.Field)
			}
		}
	}
	result.Problems = append(result.Problems, distinct(problems)...)
	result.Valid = len(result.Problems) == 0
	return result
}

// document checks shape and meaning, and returns the loaded configuration.
func (v *Validator) document(ctx context.Context, src *source) ([]Problem, *schedconfig.KubeSchedulerConfiguration) {
	problems, goOn := typeMeta(src.tree)
	if !goOn {
		return problems, nil
	}

	// What follows works on a copy, from which shape takes all that is wrong.
	tree := runtime.DeepCopyJSON(src.tree)
	tree["apiVersion"], tree["kind"] = schedconfigv1.SchemeGroupVersion.String(), kind
	shape := &shape{scheme: v.scheme}
	shape.mapping(nil, tree, reflect.TypeFor[schedconfigv1.KubeSchedulerConfiguration]())
	problems = append(problems, shape.problems...)

	meaning := &meaning{
		catalog: v.catalog,
		scheme:  v.scheme,
		written: &schedconfigv1.KubeSchedulerConfiguration{},
		loaded:  &schedconfig.KubeSchedulerConfiguration{},
	}
	data, err := json.Marshal(tree)
	if err == nil {
		err = kjson.UnmarshalCaseSensitivePreserveInts(data, meaning.written)
	}
	if err == nil {
		err = runtime.DecodeInto(v.decoder, data, meaning.loaded)
	}
	if err != nil {
		return append(problems, Problem{Message: fmt.Sprintf("the scheduler cannot load the file: %v", err)}), nil
	}
	meaning.check(ctx)
	return append(problems, meaning.problems...), meaning.loaded
}

// typeMeta checks apiVersion and kind, and tells whether it makes sense to look
// at the rest: in another kind of object everything would be wrong.
func typeMeta(tree map[string]any) (problems []Problem, goOn bool) {
	want := schedconfigv1.SchemeGroupVersion
	goOn = true
	if got := tree["kind"]; got != kind {
		problems = append(problems, Problem{Field: "kind", Message: "this is not a scheduler configuration", Accepted: []string{kind}})
		goOn = got == nil
	}
	if got := tree["apiVersion"]; got != want.String() {
		problems = append(problems, Problem{Field: "apiVersion", Message: "unknown version of the configuration", Accepted: []string{want.String()}})
		text, isString := got.(string)
		goOn = goOn && (got == nil || isString && strings.HasPrefix(text, want.Group+"/"))
	}
	return problems, goOn
}

// lastWord lets the scheduler's own code load the file and build its profiles,
// in case it knows of a problem that is not looked for here.
func (v *Validator) lastWord(ctx context.Context, src *source, loaded *schedconfig.KubeSchedulerConfiguration, result *Result) []Problem {
	if err := runtime.DecodeInto(v.decoder, src.data, &schedconfig.KubeSchedulerConfiguration{}); err != nil {
		return []Problem{{Message: fmt.Sprintf("the scheduler cannot load the file: %v", err)}}
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends what a framework starts
	registry := frameworkruntime.Registry{}
	for name := range v.catalog.registry {
		registry[name] = func(ctx context.Context, args runtime.Object, _ fwk.Handle) (fwk.Plugin, error) {
			return v.catalog.build(ctx, name, args)
		}
	}
	plugins := map[string]bool{}
	for i := range loaded.Profiles {
		profile := &loaded.Profiles[i]
		framework, err := frameworkruntime.NewFramework(ctx, registry, profile, v.catalog.options...)
		if err != nil {
			return []Problem{{
				Field:   fmt.Sprintf("profiles[%d]", i),
				Message: fmt.Sprintf("the scheduler cannot run this profile: %v", err),
			}}
		}
		for _, name := range framework.ListPlugins().Names() {
			plugins[name] = true
		}
		result.Profiles = append(result.Profiles, profile.SchedulerName)
	}
	result.Plugins = len(plugins)
	return nil
}

// distinct sorts problems by line. Of problems with the same field, or within a
// field that has one, it keeps the first found, which has the clearest words.
func distinct(problems []Problem) []Problem {
	kept := []Problem{}
	for _, p := range problems {
		covered := slices.ContainsFunc(kept, func(k Problem) bool {
			return k.Field != "" && (p.Field == k.Field ||
				strings.HasPrefix(p.Field, k.Field+".") || strings.HasPrefix(p.Field, k.Field+"["))
		})
		if covered {
			continue
		}
		if p.Accepted == nil {
			p.Accepted = []string{}
		}
		kept = append(kept, p)
	}
	slices.SortStableFunc(kept, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return kept
}

// didYouMean suggests up to two known words that are spelled much like one.
func didYouMean(word string, known []string) string {
	// Cobra knows how to suggest subcommands, and does not mind what they are.
	commands := &cobra.Command{SuggestionsMinimumDistance: 2}
	for _, name := range known {
		commands.AddCommand(&cobra.Command{Use: name, Run: func(*cobra.Command, []string) {}})
	}
	suggestions := commands.SuggestionsFor(word)
	if word == "" || len(suggestions) == 0 || len(suggestions) > 2 {
		return ""
	}
	return fmt.Sprintf(", did you mean %s?", strings.Join(suggestions, " or "))
}
