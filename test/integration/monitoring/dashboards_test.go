// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"maps"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ownDatasource is the variable by which a viewer chooses a Prometheus.
var ownDatasource = datasource{Type: "prometheus", UID: "${datasource}"}

func TestDashboards(t *testing.T) {
	all := dashboards(t)
	if diff := cmp.Diff([]string{"capacity", "scheduler", "tenants"}, slices.Sorted(maps.Keys(all))); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	for name, d := range all {
		t.Run(name, func(t *testing.T) {
			if d.UID != "auriga-"+name || d.Title == "" || d.Description == "" || !slices.Contains(d.Tags, "auriga") || d.SchemaVersion < 39 {
				t.Errorf("uid %q, title %q, description %q, tags %v, schema %d", d.UID, d.Title, d.Description, d.Tags, d.SchemaVersion)
			}
			checkVariables(t, d)
			ids, titles, cells := map[int]string{}, map[string]bool{}, map[[2]int]string{}
			for _, p := range d.Panels {
				if other, taken := ids[p.ID]; taken {
					t.Errorf("%q and %q have the same id %d", p.Title, other, p.ID)
				}
				ids[p.ID] = p.Title
				if titles[p.Title] || p.Title == "" {
					t.Errorf("a second title %q", p.Title)
				}
				titles[p.Title] = true
				for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
					for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
						if other, taken := cells[[2]int{x, y}]; taken || x >= 24 {
							t.Fatalf("%q lies over %q or beyond the edge", p.Title, other)
						}
						cells[[2]int{x, y}] = p.Title
					}
				}
				if p.Type != "row" {
					checkPanel(t, p)
				}
			}
		})
	}
}

func checkVariables(t *testing.T, d dashboard) {
	t.Helper()
	declared := []string{"datasource", "__rate_interval"}
	for i, v := range d.Templating.List {
		if i == 0 {
			if v.Name != "datasource" || v.Type != "datasource" {
				t.Errorf("the first variable is %q of type %q: want the datasource", v.Name, v.Type)
			}
			continue
		}
		if v.Type != "query" || v.Datasource != ownDatasource {
			t.Errorf("variable %s: type %q, datasource %v", v.Name, v.Type, v.Datasource)
		}
		declared = append(declared, v.Name)
	}
	used := regexp.MustCompile(`\$\{?(\w+)`)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			for _, match := range used.FindAllStringSubmatch(target.Expr, -1) {
				if !slices.Contains(declared, match[1]) {
					t.Errorf("%q uses the variable %s, which there is not: %s", p.Title, match[1], target.Expr)
				}
			}
		}
	}
}

func checkPanel(t *testing.T, p panel) {
	t.Helper()
	if p.Datasource != ownDatasource {
		t.Errorf("%q: datasource %v", p.Title, p.Datasource)
	}
	if len(p.Description) < 20 {
		t.Errorf("%q: its description is %q", p.Title, p.Description)
	}
	if p.FieldConfig.Defaults.Unit == "" || len(p.FieldConfig.Defaults.Thresholds.Steps) == 0 {
		t.Errorf("%q: no unit or no thresholds", p.Title)
	}
	if len(p.Targets) == 0 {
		t.Errorf("%q: no query", p.Title)
	}
	refs := map[string]bool{}
	for _, target := range p.Targets {
		if target.Datasource != ownDatasource || target.Expr == "" || target.RefID == "" || refs[target.RefID] {
			t.Errorf("%q: query %q %q of datasource %v", p.Title, target.RefID, target.Expr, target.Datasource)
		}
		refs[target.RefID] = true
	}
}

// TestTargets: the thresholds of the panels about latency are Auriga's targets.
func TestTargets(t *testing.T) {
	want := map[string]float64{"Filter": 0.020, "Score": 0.050, "Bind": 0.010, "Whole attempt": 0.100}
	for _, p := range dashboards(t)["scheduler"].Panels {
		target, ok := want[p.Title]
		if !ok {
			continue
		}
		steps := p.FieldConfig.Defaults.Thresholds.Steps
		if len(steps) != 2 || steps[1].Value == nil || *steps[1].Value != target {
			t.Errorf("%s: %v, want a threshold of %v s", p.Title, steps, target)
		}
		delete(want, p.Title)
	}
	if len(want) > 0 {
		t.Errorf("no panels %v", want)
	}
}
