// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestBoundedLabel(t *testing.T) {
	for name, tc := range map[string]struct {
		limit    int
		in, want []string
	}{
		"below the limit":            {3, []string{"a", "b", "a"}, []string{"a", "b", "a"}},
		"first come, first served":   {2, []string{"a", "b", "c", "a", "b", "c"}, []string{"a", "b", Other, "a", "b", Other}},
		"empty takes no place":       {1, []string{"", "a", ""}, []string{Other, "a", Other}},
		"named other":                {1, []string{"other", "a"}, []string{"other", Other}},
		"no limit left, none at all": {0, []string{"a"}, []string{Other}},
		"negative limit":             {-1, []string{"a"}, []string{Other}},
	} {
		t.Run(name, func(t *testing.T) {
			label := NewBoundedLabel(tc.limit)
			var got []string
			for _, v := range tc.in {
				got = append(got, label.Value(v))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBoundedLabelConcurrently(t *testing.T) {
	const limit, values, goroutines = 10, 50, 8
	label := NewBoundedLabel(limit)
	var wg sync.WaitGroup
	got := make([]map[string]string, goroutines)
	for g := range goroutines {
		got[g] = map[string]string{}
		wg.Go(func() {
			for i := range 4 * values {
				v := fmt.Sprint((i*(g+1) + g) % values)
				got[g][v] = label.Value(v)
			}
		})
	}
	wg.Wait()
	own := map[string]bool{}
	for _, g := range got {
		for _, label := range g {
			if label != Other {
				own[label] = true
			}
		}
	}
	if len(own) != limit {
		t.Errorf("%d values have a label of their own, want %d", len(own), limit)
	}
}

func TestBoundedLabelAllocatesNothing(t *testing.T) {
	label := NewBoundedLabel(1)
	label.Value("known")
	if n := testing.AllocsPerRun(100, func() { label.Value("known"); label.Value("unknown") }); n != 0 {
		t.Errorf("%v allocations a call, want 0", n)
	}
}

func TestTenantAndPriority(t *testing.T) {
	for name, tc := range map[string]struct {
		label, class     string
		tenant, priority string
	}{
		"by label":        {"team-a", "auriga-high", "team-a", "auriga-high"},
		"by namespace":    {"", "auriga-batch", "ns", "auriga-batch"},
		"foreign class":   {"", "system-node-critical", "ns", Other},
		"no class at all": {"", "", "ns", Other},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Labels: map[string]string{"auriga.dev/tenant": tc.label}},
				Spec:       corev1.PodSpec{PriorityClassName: tc.class},
			}
			if got := Tenant(pod); got != tc.tenant {
				t.Errorf("tenant %q, want %q", got, tc.tenant)
			}
			if got := Priority(pod); got != tc.priority {
				t.Errorf("priority %q, want %q", got, tc.priority)
			}
		})
	}
}
