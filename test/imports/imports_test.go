// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package imports checks who may import whom. The linter checks the same rules
// where an import is written; this test checks them over whole dependency
// trees, so that nothing comes in by a detour.
package imports

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

const module = "auriga.dev/auriga"

// layers are the folders from the top down. A package imports its own layer's
// folder or lower layers only. A folder not listed here fails the test: say
// where it belongs.
var layers = [][]string{
	{"cmd"},
	{"pkg/demo"},
	{"pkg/localcluster", "pkg/validate", "pkg/sim", "pkg/schedulertrace", "plugins", "pkg/controllers"},
	{"pkg/capacity/prometheus", "pkg/capacity/podfeed", "pkg/plan", "pkg/explain", "pkg/telemetry", "pkg/apis/config"},
	{"pkg/score", "pkg/trace", "pkg/capacity"},
	{"pkg/apis/names", "pkg/apis/auriga"},
}

// pure are the packages that get numbers and give numbers: no cluster, no log,
// no metrics, not even by a detour.
var pure = []string{"pkg/score", "pkg/trace"}

var notInPure = []string{
	"k8s.io/client-go", "k8s.io/klog", "k8s.io/kubernetes", "k8s.io/component-base",
	"sigs.k8s.io/controller-runtime", "github.com/prometheus", "net/http",
}

// offline are the packages that also get API objects: those bring klog and
// net/http along, but still there is no cluster, no log, no metrics.
var offline = []string{"pkg/capacity"}

var notInOffline = []string{
	"k8s.io/client-go", "k8s.io/kubernetes", "k8s.io/component-base",
	"sigs.k8s.io/controller-runtime", "github.com/prometheus",
}

// knowScheduler may import k8s.io/kubernetes.
var knowScheduler = []string{
	"cmd/auriga-scheduler", "cmd/auriga-local", "plugins", "pkg/sim", "pkg/schedulertrace", "pkg/validate", "pkg/apis/config", "test",
}

// listed is what `go list` says of a package.
type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func TestImports(t *testing.T) {
	packages := list(t)
	if len(packages) < 5 {
		t.Fatalf("go list found %d packages of ours: is the pattern right?", len(packages))
	}
	for _, p := range packages {
		for _, violation := range violations(p) {
			t.Error(violation)
		}
	}
}

// TestViolations shows that each rule can fail.
func TestViolations(t *testing.T) {
	ours := func(folder string) string { return module + "/" + folder }
	for name, tc := range map[string]struct {
		in   listed
		want string
	}{
		"upwards":            {listed{ImportPath: ours("pkg/score"), Imports: []string{ours("plugins")}}, "pkg/score imports plugins"},
		"same level":         {listed{ImportPath: ours("pkg/validate"), Imports: []string{ours("pkg/localcluster")}}, "pkg/validate imports pkg/localcluster"},
		"plugin to plugin":   {listed{ImportPath: ours("plugins/a"), Imports: []string{ours("plugins/b")}}, "plugins never import each other"},
		"command":            {listed{ImportPath: ours("pkg/demo"), Imports: []string{ours("cmd/auriga")}}, "pkg/demo imports cmd/auriga"},
		"test":               {listed{ImportPath: ours("pkg/demo"), Imports: []string{ours("test/fixtures")}}, "nothing imports test"},
		"pure by detour":     {listed{ImportPath: ours("pkg/score"), Deps: []string{"k8s.io/klog/v2"}}, "pure"},
		"offline by detour":  {listed{ImportPath: ours("pkg/capacity"), Deps: []string{"k8s.io/client-go/rest"}}, "pure"},
		"kubernetes":         {listed{ImportPath: ours("pkg/localcluster"), Imports: []string{"k8s.io/kubernetes/pkg/features"}}, "k8s.io/kubernetes"},
		"folder not in list": {listed{ImportPath: ours("pkg/util")}, "layer"},
	} {
		t.Run(name, func(t *testing.T) {
			got := violations(tc.in)
			if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, tc.want) }) {
				t.Errorf("violations = %q, want one with %q", got, tc.want)
			}
		})
	}
	fine := listed{ImportPath: ours("plugins"), Imports: []string{ours("plugins/a"), "k8s.io/kubernetes/pkg/scheduler"}, Deps: []string{"k8s.io/klog/v2"}}
	if got := violations(fine); len(got) != 0 {
		t.Errorf("violations of a package that keeps the rules = %q", got)
	}
}

// violations says which rules a package breaks.
func violations(p listed) []string {
	var broken []string
	say := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	from := strings.TrimPrefix(p.ImportPath, module+"/")
	if !within(from, "test") && layer(from) < 0 {
		say("%s belongs to no layer: add its folder to `layers` in this test", from)
	}
	for _, imported := range p.Imports {
		to, ours := strings.CutPrefix(imported, module+"/")
		switch {
		case within(imported, "k8s.io/kubernetes") && !withinAny(from, knowScheduler):
			say("%s imports %s: k8s.io/kubernetes is for %s", from, imported, strings.Join(knowScheduler, ", "))
		case !ours || within(from, "test"):
		case within(to, "test"):
			say("%s imports %s: nothing imports test", from, to)
		case strings.HasPrefix(from, "plugins/") && strings.HasPrefix(to, "plugins/"):
			say("%s imports %s: plugins never import each other", from, to)
		case folder(from) != folder(to) && layer(from) >= layer(to):
			say("%s imports %s: imports point down only", from, to)
		}
	}
	var forbidden []string
	switch {
	case slices.Contains(pure, folder(from)):
		forbidden = notInPure
	case slices.Contains(offline, folder(from)):
		forbidden = notInOffline
	}
	for _, dep := range p.Deps {
		if withinAny(dep, forbidden) {
			say("%s depends on %s: it is a pure package (`go list -deps` shows the way)", from, dep)
		}
	}
	return broken
}

// layer is the index of the package's layer, -1 if it has none.
func layer(pkg string) int {
	return slices.IndexFunc(layers, func(folders []string) bool { return withinAny(pkg, folders) })
}

// folder is the listed folder that the package is in.
func folder(pkg string) string {
	for _, folders := range layers {
		for _, f := range folders {
			if within(pkg, f) {
				return f
			}
		}
	}
	return ""
}

func within(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

func withinAny(pkg string, folders []string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return within(pkg, f) })
}

// list runs `go list` over the module.
func list(t *testing.T) []listed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "list", "-json=ImportPath,Imports,Deps", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
