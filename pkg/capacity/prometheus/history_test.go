// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics/testutil"

	"auriga.dev/auriga/pkg/capacity"
)

// owned is a pod of a controller in namespace ci.
func owned(kind, name string) *corev1.Pod {
	yes := true
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ci", OwnerReferences: []metav1.OwnerReference{{Kind: kind, Name: name, Controller: &yes}},
	}}
}

func TestHistory(t *testing.T) {
	r := twoNodes(t, func(c *Config) { c.History = History{CPU: "historyCPU", Memory: "historyMemory"} })
	r.prom.set("historyCPU", vector(
		series{`namespace="ci",owner_kind="Job",owner_name="build-28000000"`, "1"},
		series{`namespace="ci",owner_kind="Job",owner_name="build-28000001"`, "3"},
		series{`namespace="ci",workload="tests"`, "0.5"},
		series{`namespace="ci",owner_kind="Job",owner_name="half"`, "1"},
		series{`namespace="ci",owner_kind="Job",owner_name="odd"`, "NaN"},
		series{`namespace="ci"`, "1"},
		series{`workload="nowhere"`, "1"},
	))
	r.prom.set("historyMemory", vector(
		series{`namespace="ci",owner_kind="Job",owner_name="build-28000000"`, "2e9"},
		series{`namespace="ci",owner_kind="Job",owner_name="odd"`, "1"},
		series{`namespace="ci",workload="tests"`, "1e9"},
	))
	unmatched, nan := r.rejections(historyCPUQuery, rejectedUnmatched), r.rejections(historyCPUQuery, rejectedNaN)
	if r.inf.History().Len() != 0 {
		t.Error("something is known before the first refresh")
	}
	r.run()
	r.eventually("the history", func() bool { return r.inf.History().Len() > 0 })
	h := r.inf.History()
	if use, ok := h.Of(owned("Job", "build-28999999")); !ok || use != (capacity.Use{CPU: 3, Memory: 2e9}) {
		t.Errorf("another run of build: %v, %v", use, ok)
	}
	labelled := owned("Job", "other")
	labelled.Labels = map[string]string{capacity.LabelWorkload: "tests"}
	if use, ok := h.Of(labelled); !ok || use != (capacity.Use{CPU: 0.5, Memory: 1e9}) {
		t.Errorf("tests: %v, %v", use, ok)
	}
	for _, name := range []string{"half", "odd"} {
		if use, ok := h.Of(owned("Job", name)); ok {
			t.Errorf("%s: %v, want nothing: it is half known", name, use)
		}
	}
	if u, n := unmatched(), nan(); u != 2 || n != 1 {
		t.Errorf("%v unmatched and %v NaN, want 2 and 1", u, n)
	}
	if v, err := testutil.GetGaugeMetricValue(r.inf.source.metrics.workloads); err != nil || v != 2 {
		t.Errorf("workloads known = %v, %v, want 2", v, err)
	}

	r.prom.set("historyMemory", text(500, ""))
	r.inf.historian.refresh(t.Context())
	if r.inf.History() != h {
		t.Error("a failure replaced the history")
	}
	r.prom.set("historyMemory", vector())
	r.inf.historian.refresh(t.Context())
	if n := r.inf.History().Len(); n != 0 {
		t.Errorf("%d workloads known of an empty answer", n)
	}
}

func TestHistoryOfOneKind(t *testing.T) {
	r := twoNodes(t, func(c *Config) { c.History = History{Memory: "historyMemory"} })
	r.prom.set("historyMemory", vector(series{`namespace="ci",owner_kind="StatefulSet",owner_name="db"`, "5"}))
	r.inf.historian.refresh(t.Context())
	if use, ok := r.inf.History().Of(owned("StatefulSet", "db")); !ok || use.Memory != 5 {
		t.Errorf("use = %v, %v", use, ok)
	}
}
