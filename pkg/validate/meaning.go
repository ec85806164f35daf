// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	schedconfigv1 "k8s.io/kube-scheduler/config/v1"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	schedvalidation "k8s.io/kubernetes/pkg/scheduler/apis/config/validation"

	"auriga.dev/auriga/pkg/apis/names"
)

// meaning judges a configuration whose shape is right.
type meaning struct {
	catalog *catalog
	scheme  *runtime.Scheme
	// written is the file as decoded, loaded is what the scheduler makes of it:
	// defaulted, merged with the default plugins, converted.
	written  *schedconfigv1.KubeSchedulerConfiguration
	loaded   *schedconfig.KubeSchedulerConfiguration
	problems []Problem
}

func (m *meaning) check(ctx context.Context) {
	profiles := field.NewPath("profiles")
	seen := map[string]int{}
	for i := range m.written.Profiles {
		path := profiles.Index(i)
		if name := m.written.Profiles[i].SchedulerName; name != nil {
			if first, ok := seen[*name]; ok {
				m.report(path.Child("schedulerName"), fmt.Sprintf("profiles[%d] has this name, too", first), "a name of its own for each profile")
			} else {
				seen[*name] = i
			}
		}
		m.plugins(path.Child("plugins"), m.written.Profiles[i].Plugins)
		m.pluginConfig(ctx, path, i)
	}
	m.queueSort(profiles)
	m.lease(field.NewPath("leaderElection"))
	// Last, because what is said above is clearer.
	m.add(nil, schedvalidation.ValidateKubeSchedulerConfiguration(m.loaded))
}

// plugins checks the names at each extension point.
func (m *meaning) plugins(path *field.Path, plugins *schedconfigv1.Plugins) {
	if plugins == nil {
		return
	}
	sets := reflect.ValueOf(plugins).Elem()
	for i := range sets.NumField() {
		point, _, _ := strings.Cut(sets.Type().Field(i).Tag.Get("json"), ",")
		set := sets.Field(i).Interface().(schedconfigv1.PluginSet)
		m.pluginSet(path.Child(point), point, set)
	}
}

func (m *meaning) pluginSet(path *field.Path, point string, set schedconfigv1.PluginSet) {
	var enabled []string
	for i, plugin := range set.Enabled {
		path := path.Child("enabled").Index(i).Child("name")
		switch {
		case m.catalog.types[plugin.Name] == nil:
			m.unknownPlugin(path, plugin.Name, m.catalog.at(point))
		case !m.catalog.implements(plugin.Name, point):
			m.report(path, fmt.Sprintf("%s does nothing at %s; it can be enabled at %s", plugin.Name, point,
				strings.Join(m.catalog.pointsOf(plugin.Name), ", ")), m.catalog.at(point)...)
		case slices.Contains(enabled, plugin.Name):
			m.report(path, plugin.Name+" is enabled here twice", "each plugin once")
		}
		enabled = append(enabled, plugin.Name)
	}
	for i, plugin := range set.Disabled {
		if plugin.Name != "*" && m.catalog.types[plugin.Name] == nil {
			m.unknownPlugin(path.Child("disabled").Index(i).Child("name"), plugin.Name, append([]string{"*"}, m.catalog.at(point)...))
		}
	}
}

func (m *meaning) unknownPlugin(path *field.Path, name string, accepted []string) {
	if name == "" {
		m.report(path, "the plugin's name is missing", accepted...)
		return
	}
	m.report(path, "unknown plugin"+didYouMean(name, sortedKeys(m.catalog.types)), accepted...)
}

// pluginConfig checks the arguments of profile i: those that are written, and
// that each enabled plugin can be built with those that it gets.
func (m *meaning) pluginConfig(ctx context.Context, path *field.Path, i int) {
	for j, pc := range m.written.Profiles[i].PluginConfig {
		path := path.Child("pluginConfig").Index(j)
		if m.catalog.types[pc.Name] == nil {
			m.unknownPlugin(path.Child("name"), pc.Name, sortedKeys(m.catalog.types))
			continue
		}
		gvk := schedconfigv1.SchemeGroupVersion.WithKind(pc.Name + "Args")
		if _, err := m.scheme.New(gvk); err != nil && len(pc.Args.Raw) > 0 {
			m.report(path.Child("args"), pc.Name+" takes no arguments", "no pluginConfig for this plugin")
		}
	}
	for j, pc := range m.loaded.Profiles[i].PluginConfig {
		if m.catalog.types[pc.Name] == nil {
			continue
		}
		if _, err := m.catalog.build(ctx, pc.Name, pc.Args); err != nil {
			// Defaulted arguments come after the written ones and have no
			// place in the file, but they are right, as newCatalog has found.
			m.add(path.Child("pluginConfig").Index(j).Child("args"), err)
		}
	}
}

// queueSort checks that all profiles sort the one queue that they share in the
// same way. Upstream's validation does not see plugins enabled at multiPoint.
func (m *meaning) queueSort(profiles *field.Path) {
	first := ""
	for i := range m.loaded.Profiles {
		plugins := m.loaded.Profiles[i].Plugins
		path := profiles.Index(i).Child("plugins", "queueSort")
		sorters := m.effective("queueSort", plugins.QueueSort, plugins.MultiPoint)
		switch {
		case len(sorters) == 0:
			m.report(path, "no plugin sorts the queue", m.catalog.at("queueSort")...)
		case len(sorters) > 1:
			m.report(path, fmt.Sprintf("%s both sort the queue: disable all but one in plugins.queueSort.disabled", strings.Join(sorters, " and ")), "exactly one plugin")
		case first == "":
			first = sorters[0]
		case first != sorters[0]:
			m.report(path, fmt.Sprintf("this profile sorts the queue by %s, profiles[0] by %s, and all profiles share one queue", sorters[0], first), first)
		}
		if len(m.effective("bind", plugins.Bind, plugins.MultiPoint)) == 0 {
			m.report(profiles.Index(i).Child("plugins", "bind"), "no plugin binds pods", m.catalog.at("bind")...)
		}
	}
}

// lease checks that the scheduler does not compete for the default scheduler's Lease.
func (m *meaning) lease(path *field.Path) {
	election := m.loaded.LeaderElection
	if election.LeaderElect && election.ResourceNamespace == schedconfigv1.SchedulerDefaultLockObjectNamespace &&
		election.ResourceName == schedconfigv1.SchedulerDefaultLockObjectName {
		m.report(path.Child("resourceName"), "this is the default scheduler's Lease: only one of the two schedulers would run",
			"a name of its own such as "+names.Lease)
	}
}

// effective lists the plugins that run at an extension point.
func (m *meaning) effective(point string, set, multiPoint schedconfig.PluginSet) []string {
	var enabled []string
	for _, plugin := range set.Enabled {
		enabled = append(enabled, plugin.Name)
	}
	disabled := func(name string) bool {
		return slices.ContainsFunc(set.Disabled, func(p schedconfig.Plugin) bool { return p.Name == name || p.Name == "*" })
	}
	for _, plugin := range multiPoint.Enabled {
		if m.catalog.implements(plugin.Name, point) && !disabled(plugin.Name) && !slices.Contains(enabled, plugin.Name) {
			enabled = append(enabled, plugin.Name)
		}
	}
	return enabled
}

func (m *meaning) report(path *field.Path, message string, accepted ...string) {
	m.problems = append(m.problems, Problem{Field: path.String(), Message: message, Accepted: accepted})
}

// add reports an error of upstream's or a plugin's validation. Paths in it are
// relative to path.
func (m *meaning) add(path *field.Path, err error) {
	if err == nil {
		return
	}
	var aggregate utilerrors.Aggregate
	if errors.As(err, &aggregate) {
		for _, err := range aggregate.Errors() {
			m.add(path, err)
		}
		return
	}
	var fieldError *field.Error
	if !errors.As(err, &fieldError) {
		m.report(path, err.Error())
		return
	}
	p := fromFieldError(fieldError)
	if path != nil {
		// Plugins are not told where their arguments are, and some call it args.
		relative := strings.TrimPrefix(strings.TrimPrefix(p.Field, "args"), ".")
		p.Field = strings.TrimSuffix(path.String()+"."+relative, ".")
	}
	m.problems = append(m.problems, p)
}

var (
	quoted     = regexp.MustCompile(`"([^"]*)"`)
	validRange = regexp.MustCompile(`valid range (.*)$`)
	mustBe     = regexp.MustCompile(`\b(?:must|should) be (.*)$`)
)

// fromFieldError splits what is wrong from what would be accepted.
func fromFieldError(err *field.Error) Problem {
	p := Problem{Field: strings.TrimPrefix(err.Field, "<nil>"), Message: err.Detail}
	switch err.Type {
	case field.ErrorTypeNotSupported:
		for _, match := range quoted.FindAllStringSubmatch(err.Detail, -1) {
			p.Accepted = append(p.Accepted, match[1])
		}
		p.Message = "unknown value" + didYouMean(fmt.Sprint(err.BadValue), p.Accepted)
		return p
	case field.ErrorTypeDuplicate:
		p.Message, p.Accepted = "this is given twice", []string{"each once"}
		return p
	case field.ErrorTypeRequired:
		p.Message = "this is missing"
	case field.ErrorTypeForbidden:
		p.Message = "this is not allowed here"
	}
	if match := validRange.FindStringSubmatch(err.Detail); match != nil {
		p.Message, p.Accepted = "out of range", []string{match[1]}
	} else if match := mustBe.FindStringSubmatch(err.Detail); match != nil {
		p.Accepted = []string{match[1]}
		if err.Type == field.ErrorTypeInvalid {
			p.Message = "this value is not accepted"
		}
	} else if p.Message != err.Detail && err.Detail != "" {
		p.Message += ": " + err.Detail
	}
	return p
}
