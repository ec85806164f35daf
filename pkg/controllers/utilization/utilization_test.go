// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package utilization

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func node(pool string, used Amounts) Node {
	return Node{Pool: pool, Capacity: Amounts{CPU: 10, Memory: 100}, Used: used}
}

func TestAggregate(t *testing.T) {
	for name, test := range map[string]struct {
		nodes      []Node
		samples    []Sample
		unmeasured []Unmeasured
	}{
		"nobody": {},
		"two of a pool": {
			[]Node{node("a", Amounts{5, 20}), node("a", Amounts{10, 0})},
			[]Sample{{"a", CPU, 0.75}, {"a", Memory, 0.1}}, []Unmeasured{{"a", 0}},
		},
		"big and small": { // 9 of 100 cores, not the mean of 0.1 and 0
			[]Node{{Pool: "a", Capacity: Amounts{90, 1}, Used: Amounts{9, 1}}, {Pool: "a", Capacity: Amounts{10, 1}, Used: Amounts{0, 1}}},
			[]Sample{{"a", CPU, 0.09}, {"a", Memory, 1}}, []Unmeasured{{"a", 0}},
		},
		"pools apart, default for none": {
			[]Node{node("z", Amounts{1, 0}), node("", Amounts{2, 0})},
			[]Sample{{"default", CPU, 0.2}, {"default", Memory, 0}, {"z", CPU, 0.1}, {"z", Memory, 0}}, []Unmeasured{{"default", 0}, {"z", 0}},
		},
		"one is not measured": {
			[]Node{node("a", Amounts{5, 50}), node("a", Unknown())},
			[]Sample{{"a", CPU, 0.5}, {"a", Memory, 0.5}}, []Unmeasured{{"a", 1}},
		},
		"none is measured": {[]Node{node("a", Unknown())}, nil, []Unmeasured{{"a", 1}}},
		"one resource is not measured": {
			[]Node{node("a", Amounts{math.NaN(), 50})}, []Sample{{"a", Memory, 0.5}}, []Unmeasured{{"a", 1}},
		},
		"negative, infinite": {[]Node{node("a", Amounts{-1, math.Inf(1)})}, nil, []Unmeasured{{"a", 1}}},
		"no capacity":        {[]Node{{Pool: "a", Used: Amounts{1, 1}}}, nil, []Unmeasured{{"a", 1}}},
		"above capacity":     {[]Node{node("a", Amounts{11, 100})}, []Sample{{"a", CPU, 1}, {"a", Memory, 1}}, []Unmeasured{{"a", 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			samples, unmeasured := Aggregate(test.nodes)
			if diff := cmp.Diff(test.samples, samples); diff != "" {
				t.Errorf("samples (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.unmeasured, unmeasured); diff != "" {
				t.Errorf("unmeasured (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCollector(t *testing.T) {
	elected := make(chan struct{})
	var nodes []Node
	var readErr error
	c := NewCollector(func(context.Context) ([]Node, error) { return nodes, readErr }, elected)
	nodes = []Node{node("a", Amounts{5, 50}), node("b", Unknown())}
	if got := testutil.CollectAndCount(c); got != 0 {
		t.Errorf("a standby exports %d series", got)
	}
	close(elected)
	if err := testutil.CollectAndCompare(c, strings.NewReader(`
# HELP auriga_pool_unmeasured_nodes Workers of a pool without a fresh reading, which its utilization leaves out.
# TYPE auriga_pool_unmeasured_nodes gauge
auriga_pool_unmeasured_nodes{pool="a"} 0
auriga_pool_unmeasured_nodes{pool="b"} 1
# HELP worker_manager_resource_utilization What is used of a pool's resource (cpu, memory) as measured, over the capacity of its measured workers, 0 to 1.
# TYPE worker_manager_resource_utilization gauge
worker_manager_resource_utilization{pool="a",resource="cpu"} 0.5
worker_manager_resource_utilization{pool="a",resource="memory"} 0.5
`)); err != nil {
		t.Error(err)
	}

	nodes = nil
	for i := range 2 * poolLimit {
		nodes = append(nodes, node(fmt.Sprint("pool-", i), Amounts{1, 1}))
	}
	// a and b are known already; the others share one.
	if got := testutil.CollectAndCount(c, "auriga_pool_unmeasured_nodes"); got != poolLimit-2+1 {
		t.Errorf("%d pools", got)
	}
	readErr = errors.New("broken")
	if err := testutil.CollectAndCompare(c, strings.NewReader("")); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("%v", err)
	}
}
