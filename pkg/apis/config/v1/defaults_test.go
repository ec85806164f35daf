// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package v1_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

func TestRealCapacityDefaults(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	duration := func(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }
	got := &v1.RealCapacityArgs{}
	scheme.Default(got)
	want := &v1.RealCapacityArgs{
		Ceilings:     []v1.ResourceCeiling{{Name: "cpu", Percent: 90}, {Name: "memory", Percent: 85}},
		OnStale:      "Requests",
		MaxAge:       duration(time.Minute),
		BurstPercent: ptr.To[int64](30),
		Resources: []schedconfigv1.ResourceSpec{
			{Name: "cpu", Weight: 1}, {Name: "memory", Weight: 1}, {Name: "disk", Weight: 1}, {Name: "network", Weight: 1},
		},
		NetworkBytesPerSecond: 1_250_000_000,
		InFlight:              v1.InFlightEstimate{Ramp: ptr.To(duration(time.Minute)), CPUPercent: 70, MemoryPercent: 80},
		Prometheus: v1.PrometheusSource{
			PollInterval: duration(15 * time.Second), QueryTimeout: duration(10 * time.Second),
			MaxResponseBytes: 64 << 20, RateWindow: duration(time.Minute), BurstWindow: duration(5 * time.Minute),
			NodeMapping: v1.NodeMapping{Label: "instance", Match: "NameOrInternalIP"},
			History:     v1.WorkloadHistory{Interval: duration(5 * time.Minute)},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}

	stated := &v1.RealCapacityArgs{
		Ceilings:     []v1.ResourceCeiling{{Name: "cpu", Percent: 50}},
		BurstPercent: ptr.To[int64](0),
		InFlight:     v1.InFlightEstimate{Ramp: ptr.To(duration(0))},
		Prometheus:   v1.PrometheusSource{AgeQuery: ptr.To("")},
	}
	scheme.Default(stated)
	if len(stated.Ceilings) != 1 || *stated.BurstPercent != 0 || stated.InFlight.Ramp.Duration != 0 || *stated.Prometheus.AgeQuery != "" {
		t.Errorf("what was stated was changed: %+v", stated)
	}
}
