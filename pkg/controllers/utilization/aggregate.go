// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package utilization

import (
	"cmp"
	"math"
	"slices"
)

// DefaultPool is the pool of workers that name none.
const DefaultPool = "default"

// The resources.
const (
	CPU    = "cpu"
	Memory = "memory"
)

// Amounts of resources. NaN is unknown; so is what is negative or infinite.
type Amounts struct {
	CPU    float64 // cores
	Memory float64 // bytes
}

// Unknown are the amounts used of a worker whose reading is missing or stale.
func Unknown() Amounts { return Amounts{CPU: math.NaN(), Memory: math.NaN()} }

// Node is a worker's reading.
type Node struct {
	// Pool it belongs to; "" is DefaultPool.
	Pool string
	// Capacity is what there is, Used what was measured.
	Capacity, Used Amounts
}

// Sample is the utilization of a resource in a pool.
type Sample struct {
	Pool, Resource string
	// Value is 0 to 1: used over capacity of the measured workers.
	Value float64
}

// Unmeasured is how many workers of a pool lack the reading of a resource.
type Unmeasured struct {
	Pool  string
	Nodes int
}

// Aggregate sums readings up by pool, in the order of the names. A pool without
// a measured worker has no sample; every pool has an Unmeasured.
func Aggregate(nodes []Node) ([]Sample, []Unmeasured) {
	type sum struct{ used, capacity float64 }
	type pool struct {
		cpu, memory sum
		unmeasured  int
	}
	// add says whether the reading counts.
	add := func(s *sum, used, capacity float64) bool {
		if !(used >= 0) || !(capacity > 0) || math.IsInf(used, 0) || math.IsInf(capacity, 0) {
			return false
		}
		s.used += used
		s.capacity += capacity
		return true
	}
	pools := map[string]*pool{}
	for _, n := range nodes {
		name := cmp.Or(n.Pool, DefaultPool)
		p := pools[name]
		if p == nil {
			p = &pool{}
			pools[name] = p
		}
		cpu := add(&p.cpu, n.Used.CPU, n.Capacity.CPU)
		memory := add(&p.memory, n.Used.Memory, n.Capacity.Memory)
		if !cpu || !memory {
			p.unmeasured++
		}
	}
	var samples []Sample
	var unmeasured []Unmeasured
	for name, p := range pools {
		for resource, s := range map[string]sum{CPU: p.cpu, Memory: p.memory} {
			if s.capacity > 0 {
				samples = append(samples, Sample{Pool: name, Resource: resource, Value: min(s.used/s.capacity, 1)})
			}
		}
		unmeasured = append(unmeasured, Unmeasured{Pool: name, Nodes: p.unmeasured})
	}
	slices.SortFunc(samples, func(a, b Sample) int {
		return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Resource, b.Resource))
	})
	slices.SortFunc(unmeasured, func(a, b Unmeasured) int { return cmp.Compare(a.Pool, b.Pool) })
	return samples, unmeasured
}
