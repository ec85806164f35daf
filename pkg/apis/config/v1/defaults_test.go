// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package v1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	schedconfigv1 "k8s.io/kube-scheduler/config/v1"
	"k8s.io/utils/ptr"

	v1 "auriga.dev/auriga/pkg/apis/config/v1"
)

func TestDefaults(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	cpuAndMemory := []schedconfigv1.ResourceSpec{{Name: "cpu", Weight: 1}, {Name: "memory", Weight: 1}}

	for name, tc := range map[string]struct {
		in, want v1.WorkerSelectionArgs
	}{
		"empty": {
			want: v1.WorkerSelectionArgs{Strategy: "LeastLoaded", Resources: cpuAndMemory},
		},
		"everything stated stays": {
			in: v1.WorkerSelectionArgs{
				Strategy:  "LocalityAware",
				Resources: []schedconfigv1.ResourceSpec{{Name: "nvidia.com/gpu", Weight: 7}},
				Locality:  &v1.LocalityOptions{ImageWeight: ptr.To[int64](0), ZoneWeight: ptr.To[int64](5)},
			},
			want: v1.WorkerSelectionArgs{
				Strategy:  "LocalityAware",
				Resources: []schedconfigv1.ResourceSpec{{Name: "nvidia.com/gpu", Weight: 7}},
				Locality:  &v1.LocalityOptions{ImageWeight: ptr.To[int64](0), ZoneWeight: ptr.To[int64](5)},
			},
		},
		"resource without weight": {
			in: v1.WorkerSelectionArgs{Strategy: "MostFree", Resources: []schedconfigv1.ResourceSpec{{Name: "cpu"}, {Name: "memory", Weight: 3}}},
			want: v1.WorkerSelectionArgs{Strategy: "MostFree",
				Resources: []schedconfigv1.ResourceSpec{{Name: "cpu", Weight: 1}, {Name: "memory", Weight: 3}}},
		},
		"locality for LocalityAware only": {
			in: v1.WorkerSelectionArgs{Strategy: "LocalityAware"},
			want: v1.WorkerSelectionArgs{Strategy: "LocalityAware", Resources: cpuAndMemory,
				Locality: &v1.LocalityOptions{ImageWeight: ptr.To[int64](1), ZoneWeight: ptr.To[int64](1)}},
		},
		"one locality weight": {
			in: v1.WorkerSelectionArgs{Strategy: "LocalityAware", Locality: &v1.LocalityOptions{ZoneWeight: ptr.To[int64](9)}},
			want: v1.WorkerSelectionArgs{Strategy: "LocalityAware", Resources: cpuAndMemory,
				Locality: &v1.LocalityOptions{ImageWeight: ptr.To[int64](1), ZoneWeight: ptr.To[int64](9)}},
		},
		"custom without limit": {
			in: v1.WorkerSelectionArgs{Strategy: "Custom", Custom: &v1.CustomOptions{Expression: "1"}},
			want: v1.WorkerSelectionArgs{Strategy: "Custom", Resources: cpuAndMemory,
				Custom: &v1.CustomOptions{Expression: "1", CostLimit: ptr.To[int64](10000)}},
		},
		"custom is not invented": {
			in:   v1.WorkerSelectionArgs{Strategy: "Custom"},
			want: v1.WorkerSelectionArgs{Strategy: "Custom", Resources: cpuAndMemory},
		},
	} {
		t.Run(name, func(t *testing.T) {
			scheme.Default(&tc.in)
			if diff := cmp.Diff(tc.want, tc.in); diff != "" {
				t.Errorf("defaulted arguments (-want +got):\n%s", diff)
			}
		})
	}
}
