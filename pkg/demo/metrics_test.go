// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/component-base/metrics/testutil"
)

const exposition = `
# TYPE scheduler_framework_extension_point_duration_seconds histogram
scheduler_framework_extension_point_duration_seconds_bucket{extension_point="Filter",profile="auriga",status="Success",le="0.01"} 50
scheduler_framework_extension_point_duration_seconds_bucket{extension_point="Filter",profile="auriga",status="Success",le="0.02"} 100
scheduler_framework_extension_point_duration_seconds_bucket{extension_point="Filter",profile="auriga",status="Success",le="+Inf"} 100
scheduler_framework_extension_point_duration_seconds_sum{extension_point="Filter",profile="auriga",status="Success"} 1
scheduler_framework_extension_point_duration_seconds_count{extension_point="Filter",profile="auriga",status="Success"} 100
scheduler_framework_extension_point_duration_seconds_bucket{extension_point="Filter",profile="other",status="Success",le="0.01"} 0
scheduler_framework_extension_point_duration_seconds_bucket{extension_point="Filter",profile="other",status="Success",le="0.02"} 900
scheduler_framework_extension_point_duration_seconds_bucket{extension_point="Filter",profile="other",status="Success",le="+Inf"} 900
scheduler_framework_extension_point_duration_seconds_sum{extension_point="Filter",profile="other",status="Success"} 1
scheduler_framework_extension_point_duration_seconds_count{extension_point="Filter",profile="other",status="Success"} 900
# TYPE scheduler_scheduling_algorithm_duration_seconds histogram
scheduler_scheduling_algorithm_duration_seconds_bucket{le="0.1"} 10
scheduler_scheduling_algorithm_duration_seconds_bucket{le="+Inf"} 10
scheduler_scheduling_algorithm_duration_seconds_sum 0.1
scheduler_scheduling_algorithm_duration_seconds_count 10
`

func TestLatencies(t *testing.T) {
	metrics, err := testutil.TextToMetricFamilies(strings.NewReader(exposition))
	if err != nil {
		t.Fatal(err)
	}
	var got Report
	got.latencies(metrics, "auriga")
	want := Report{
		AlgorithmSeconds: Quantiles{P50: 0.05, P99: 0.099},
		// Half of the samples are below 10 ms, half between 10 and 20 ms.
		PhaseSeconds: Phases{Filter: Quantiles{P50: 0.010, P99: 0.0198}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
		t.Errorf("latencies (-want +got):\n%s", diff)
	}
}

func TestForbidden(t *testing.T) {
	log := "I1 started\nE2 pods is forbidden: User \"x\" cannot list\nI3 done\n"
	want := []string{`E2 pods is forbidden: User "x" cannot list`}
	if diff := cmp.Diff(want, forbidden(log)); diff != "" {
		t.Errorf("forbidden (-want +got):\n%s", diff)
	}
	if got := forbidden("all is well\n"); len(got) != 0 {
		t.Errorf("forbidden in a clean log = %q", got)
	}
}

func TestRender(t *testing.T) {
	r := Report{
		Nodes: 1000, Pods: 2000, Scheduled: 2000, Failed: 1, Preempted: 3, SuccessRate: 0.9995, PodsPerSecond: 48.21,
		QueueWaitSeconds: Distribution{Mean: 0.02, P50: 0.0123, P99: 0.34},
		AttemptSeconds:   Quantiles{0.004, 0.03},
		AlgorithmSeconds: Quantiles{0.002, 0.009},
		PhaseSeconds:     Phases{Filter: Quantiles{0.0008, 0.0031}, Score: Quantiles{0.001, 0.06}, Bind: Quantiles{0.002, 0.02}},
		Utilization:      Utilization{CPU: 0.5}, PeakUtilization: Utilization{CPU: 1},
		ByTenant:             []Group{{Name: "web", Pods: 2000, Scheduled: 2000, QueueWaitSeconds: Distribution{Mean: 0.02, P99: 3}}},
		DefaultSchedulerPods: Placed{20, 20},
		Cores:                2,
		MachineBusy:          0.97,
		Processes:            []ProcessCPU{{"kube-apiserver", 60, 0.6}, {"etcd", 30, 0.3}, {"kwok", 0.1, 0.001}},
	}
	var out strings.Builder
	if err := r.Render(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Auriga scheduled 2000 of 2000 pods on 1000 workers, 48.2 a second.",
		"99.95 % ran to a successful end, 1 did not; 3 pods gave way",
		"800 µs", "3.1 ms", "< 20.0 ms  ✓",
		"60.0 ms", "< 50.0 ms  ✗",
		"███████████████░░░░░░░░░░░░░░░",
		"the 2 cores were 97.0 % busy, 6.9 % with processes that are not the demo's (kube-apiserver 60.0 %, etcd 30.0 %). The machine was the limit",
		"The stock scheduler placed 20 of 20 pods",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}

func TestMachine(t *testing.T) {
	before := cpuTimes{processes: map[string]float64{"etcd": 1}, busy: 10, total: 100}
	after := cpuTimes{processes: map[string]float64{"etcd": 3, "kwok": 8}, busy: 24, total: 120}
	got := Report{Cores: 2}
	got.machine(before, after, 10*time.Second)
	want := Report{
		Cores: 2, MachineBusy: 0.7,
		Processes: []ProcessCPU{{"kwok", 8, 0.4}, {"etcd", 2, 0.1}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-12, 0)); diff != "" {
		t.Errorf("machine (-want +got):\n%s", diff)
	}
}

func TestBecause(t *testing.T) {
	interrupted := errors.New("interrupt signal received")
	live := t.Context()
	ended, cancel := context.WithCancelCause(live)
	cancel(interrupted)
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		ctx  context.Context
		err  error
		want string
	}{
		"nothing ended":     {live, broken, "broken"},
		"says it already":   {ended, fmt.Errorf("wait: %w", interrupted), "wait: interrupt signal received"},
		"only repeats it":   {ended, context.Canceled, "interrupt signal received"},
		"something besides": {ended, broken, "interrupt signal received\nbroken"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := because(tc.ctx, tc.err).Error(); got != tc.want {
				t.Errorf("because = %q, want %q", got, tc.want)
			}
		})
	}
}
