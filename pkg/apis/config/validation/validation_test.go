// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package validation_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"

	"auriga.dev/auriga/pkg/apis/config"
	"auriga.dev/auriga/pkg/apis/config/validation"
)

func TestWorkerSelectionArgs(t *testing.T) {
	valid := func(change func(*config.WorkerSelectionArgs)) *config.WorkerSelectionArgs {
		args := &config.WorkerSelectionArgs{
			Strategy:  config.LeastLoaded,
			Resources: []schedconfig.ResourceSpec{{Name: "cpu", Weight: 1}, {Name: "memory", Weight: 1}},
		}
		change(args)
		return args
	}
	resources := func(specs ...schedconfig.ResourceSpec) *config.WorkerSelectionArgs {
		return valid(func(a *config.WorkerSelectionArgs) { a.Resources = specs })
	}
	locality := func(image, zone int64) *config.WorkerSelectionArgs {
		return valid(func(a *config.WorkerSelectionArgs) {
			a.Strategy = config.LocalityAware
			a.Locality = &config.LocalityOptions{ImageWeight: image, ZoneWeight: zone}
		})
	}
	custom := func(expression string, limit int64) *config.WorkerSelectionArgs {
		return valid(func(a *config.WorkerSelectionArgs) {
			a.Strategy = config.Custom
			a.Custom = &config.CustomOptions{Expression: expression, CostLimit: limit}
		})
	}

	// Each wanted error is "type field", and a part of its message after a "|".
	for name, tc := range map[string]struct {
		args *config.WorkerSelectionArgs
		want []string
	}{
		"default":             {args: valid(func(*config.WorkerSelectionArgs) {})},
		"gpu and huge pages":  {args: resources(schedconfig.ResourceSpec{Name: "nvidia.com/gpu", Weight: 100}, schedconfig.ResourceSpec{Name: "hugepages-2Mi", Weight: 1})},
		"image locality only": {args: locality(1, 0)},
		"zone locality only":  {args: locality(0, 100)},
		"custom":              {args: custom("100.0 * free['cpu']", 10000)},

		"unknown strategy": {
			args: valid(func(a *config.WorkerSelectionArgs) { a.Strategy = "leastLoaded" }),
			want: []string{"FieldValueNotSupported args.strategy|\"LeastLoaded\""},
		},
		"empty strategy": {
			args: valid(func(a *config.WorkerSelectionArgs) { a.Strategy = "" }),
			want: []string{"FieldValueNotSupported args.strategy|\"Custom\""},
		},
		"no resources": {args: resources(), want: []string{"FieldValueRequired args.resources|at least one"}},
		"weights out of range": {
			args: resources(schedconfig.ResourceSpec{Name: "cpu", Weight: 0}, schedconfig.ResourceSpec{Name: "memory", Weight: 101},
				schedconfig.ResourceSpec{Name: "a.b/c", Weight: -1}),
			want: []string{
				"FieldValueInvalid args.resources[0].weight|must be 1 to 100",
				"FieldValueInvalid args.resources[1].weight|must be 1 to 100",
				"FieldValueInvalid args.resources[2].weight|must be 1 to 100",
			},
		},
		"duplicate resource": {
			args: resources(schedconfig.ResourceSpec{Name: "cpu", Weight: 1}, schedconfig.ResourceSpec{Name: "cpu", Weight: 2}),
			want: []string{"FieldValueDuplicate args.resources[1].name|cpu"},
		},
		"resource names": {
			args: resources(schedconfig.ResourceSpec{Name: "", Weight: 1}, schedconfig.ResourceSpec{Name: "CPU", Weight: 1},
				schedconfig.ResourceSpec{Name: "nvidia.com/", Weight: 1}, schedconfig.ResourceSpec{Name: "requests.cpu", Weight: 1}),
			want: []string{
				"FieldValueRequired args.resources[0].name|cpu",
				"FieldValueInvalid args.resources[1].name|nvidia.com/gpu",
				"FieldValueInvalid args.resources[2].name|nvidia.com/gpu",
				"FieldValueInvalid args.resources[3].name|nvidia.com/gpu",
			},
		},

		"locality for another strategy": {
			args: valid(func(a *config.WorkerSelectionArgs) { a.Locality = &config.LocalityOptions{ImageWeight: 1} }),
			want: []string{"FieldValueForbidden args.locality|unless strategy is LocalityAware"},
		},
		"locality missing": {
			args: valid(func(a *config.WorkerSelectionArgs) { a.Strategy = config.LocalityAware }),
			want: []string{"FieldValueRequired args.locality|LocalityAware"},
		},
		"locality weights out of range": {
			args: locality(-1, 101),
			want: []string{"FieldValueInvalid args.locality.imageWeight|0 to 100", "FieldValueInvalid args.locality.zoneWeight|0 to 100"},
		},
		"locality weights both 0": {
			args: locality(0, 0),
			want: []string{"FieldValueInvalid args.locality.imageWeight|must be positive"},
		},

		"custom for another strategy": {
			args: valid(func(a *config.WorkerSelectionArgs) { a.Custom = &config.CustomOptions{Expression: "1", CostLimit: 1} }),
			want: []string{"FieldValueForbidden args.custom|unless strategy is Custom"},
		},
		"custom missing": {
			args: valid(func(a *config.WorkerSelectionArgs) { a.Strategy = config.Custom }),
			want: []string{"FieldValueRequired args.custom.expression|CEL"},
		},
		"custom empty": {args: custom("", 10), want: []string{"FieldValueRequired args.custom.expression|CEL"}},
		"custom limits": {
			args: custom("100.0 * free['cpu']", 0),
			want: []string{"FieldValueInvalid args.custom.costLimit|1 to 1000000"},
		},
		"custom limit too high": {
			args: custom("100.0 * free['cpu']", 1000001),
			want: []string{"FieldValueInvalid args.custom.costLimit|1 to 1000000"},
		},
		"custom syntax":            {args: custom("100 * ", 10000), want: []string{"FieldValueInvalid args.custom.expression|Syntax error"}},
		"custom type":              {args: custom("'high'", 10000), want: []string{"FieldValueInvalid args.custom.expression|string"}},
		"custom unknown variable":  {args: custom("nodes.cpu", 10000), want: []string{"FieldValueInvalid args.custom.expression|undeclared reference to 'nodes'"}},
		"custom divides by zero":   {args: custom("1 / 0", 10000), want: []string{"FieldValueInvalid args.custom.expression|by zero"}},
		"custom runs too long":     {args: custom("[1,2,3,4,5,6,7,8,9].map(x, [1,2,3,4,5,6,7,8,9].map(y, x*y).size()).size()", 50), want: []string{"FieldValueInvalid args.custom.expression|cost"}},
		"limit and syntax at once": {args: custom("1 +", -5), want: []string{"FieldValueInvalid args.custom.costLimit|1 to", "FieldValueInvalid args.custom.expression|Syntax error"}},
	} {
		t.Run(name, func(t *testing.T) {
			errs := validation.WorkerSelectionArgsErrors(field.NewPath("args"), tc.args)
			if (validation.ValidateWorkerSelectionArgs(field.NewPath("args"), tc.args) != nil) != (len(errs) > 0) {
				t.Errorf("ValidateWorkerSelectionArgs disagrees with the list of %d errors", len(errs))
			}
			var got, want []string
			for i, err := range errs {
				got = append(got, string(err.Type)+" "+err.Field)
				if i < len(tc.want) {
					if _, part, _ := strings.Cut(tc.want[i], "|"); !strings.Contains(err.Error(), part) {
						t.Errorf("error %q should contain %q", err, part)
					}
				}
			}
			for _, w := range tc.want {
				head, _, _ := strings.Cut(w, "|")
				want = append(want, head)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("errors (-want +got):\n%s\n%v", diff, errs)
			}
		})
	}
}
