// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package reclaim

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"auriga.dev/auriga/pkg/capacity"
)

// Level is how much of a resource of a worker is in use, in cores or bytes.
type Level struct {
	// Use is of what is placed, without what is being given back.
	Use float64
	// Full is what there is; 0 is unknown, and then nothing is over the ceiling.
	Full float64
	// Ceiling is the share of Full, 0 to 1, up to which it may be used.
	Ceiling float64
	// Measured says that Use was, else it is by requests; Stale is when that will
	// be too old.
	Measured bool
	Stale    time.Time
}

// rounding is the share of Full that sums of fractions may be off.
const rounding = 1e-9

// excess is what has to go, 0 if nothing has to.
func (l Level) excess() float64 {
	if l.Full <= 0 {
		return 0
	}
	if excess := l.Use - l.Ceiling*l.Full; excess > rounding*l.Full {
		return excess
	}
	return 0
}

// numLevels is how many resources pods declare: CPU and memory.
const numLevels = capacity.Memory + 1

// Levels are the levels of CPU and memory, by capacity.Resource.
type Levels [numLevels]Level

// of is the amount of a resource.
func of(u capacity.Use, r capacity.Resource) float64 {
	if r == capacity.CPU {
		return u.CPU
	}
	return u.Memory
}

// Candidate is a reclaimed pod that may be evicted.
type Candidate struct {
	types.NamespacedName
	UID types.UID
	Use capacity.Use
	// Started is zero if it has not.
	Started time.Time
}

// Victim is a pod to evict.
type Victim struct {
	Candidate
	// Resource is the one that it is evicted for.
	Resource capacity.Resource
}

// Decide chooses the pods to evict so that no level is above its ceiling: the
// youngest first, none that helps nothing, none that the others make up for. If
// all together are not enough, they are all that help.
func Decide(levels Levels, candidates []Candidate) []Victim {
	var excess [numLevels]float64
	for r := range levels {
		excess[r] = levels[r].excess()
	}
	over := excess
	if over == [numLevels]float64{} {
		return nil
	}
	var victims []Victim
	for _, c := range slices.SortedFunc(slices.Values(candidates), byLostWork) {
		resource, ok := helps(c, excess)
		if !ok {
			continue
		}
		victims = append(victims, Victim{Candidate: c, Resource: resource})
		for r := range numLevels {
			excess[r] -= of(c.Use, r)
		}
	}
	return spare(victims, levels, over, excess)
}

// helps says with which excess the pod's end would help first.
func helps(c Candidate, excess [numLevels]float64) (capacity.Resource, bool) {
	for r := range numLevels {
		if excess[r] > 0 && of(c.Use, r) > 0 {
			return r, true
		}
	}
	return 0, false
}

// spare takes those out, the oldest first, whom the rest makes up for.
func spare(victims []Victim, levels Levels, over, excess [numLevels]float64) []Victim {
	for i, v := range slices.Backward(victims) {
		needed := false
		for r := range numLevels {
			use := of(v.Use, r)
			needed = needed || over[r] > 0 && use > 0 && excess[r]+use > rounding*levels[r].Full
		}
		if needed {
			continue
		}
		victims = slices.Delete(victims, i, i+1)
		for r := range numLevels {
			excess[r] += of(v.Use, r)
		}
	}
	return victims
}

// byLostWork sorts those first that lose the least: not started, then youngest.
func byLostWork(a, b Candidate) int {
	if a.Started.IsZero() != b.Started.IsZero() {
		return a.Started.Compare(b.Started) // The zero time is before all others.
	}
	return cmp.Or(b.Started.Compare(a.Started), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
