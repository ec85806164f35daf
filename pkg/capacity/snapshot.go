// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"math"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Snapshot is what is known about all measured nodes at one moment. It never
// changes, but for the sums of what is in flight, which its Estimates read from
// the Tracker. The nil Snapshot knows no node.
type Snapshot struct {
	// Generation counts the snapshots of a Tracker.
	Generation int64
	// TakenAt is when it was published.
	TakenAt time.Time

	nodes map[string]*Estimate
	ids   int
}

// Node is what is known about the node of that name and UID, nil if nothing is.
func (s *Snapshot) Node(name string, uid types.UID) *Estimate {
	if s == nil {
		return nil
	}
	e := s.nodes[name]
	if e == nil || e.UID != uid {
		return nil
	}
	return e
}

// Len is the number of its nodes.
func (s *Snapshot) Len() int {
	if s == nil {
		return 0
	}
	return len(s.nodes)
}

// IDs is one more than the highest Estimate.ID.
func (s *Snapshot) IDs() int {
	if s == nil {
		return 0
	}
	return s.ids
}

// Nodes calls yield for every node, in no order, until it returns false.
func (s *Snapshot) Nodes(yield func(*Estimate) bool) {
	if s == nil {
		return
	}
	for _, e := range s.nodes {
		if !yield(e) {
			return
		}
	}
}

// Estimate is what is known about one node.
type Estimate struct {
	Name string
	UID  types.UID
	// ID is a small number that is the node's own for as long as it is measured.
	ID int
	// Capacity is of the whole machine; 0 is unknown.
	Capacity Amounts
	// Measured is what the source said.
	Measured Measured

	sums *sums
}

// sums are of the pods on one node: what has been placed and cannot be in the
// measurement yet, and what reclaimed pods use, in flight or not. Millicores
// and bytes. Written under the Tracker's lock, read without.
type sums struct {
	inFlight, reclaimed [2]atomic.Int64 // by Resource: CPU, Memory
}

// scale converts between what sums count and a Resource's unit.
func scale(r Resource) float64 {
	if r == CPU {
		return 1000
	}
	return 1
}

// InFlight is the expected use of the pods that the measurement of the resource
// cannot contain yet.
func (e *Estimate) InFlight(r Resource) float64 {
	if r > Memory {
		return 0
	}
	return float64(e.sums.inFlight[r].Load()) / scale(r)
}

// Reclaimed is what reclaimed pods use, measured or not.
func (e *Estimate) Reclaimed(r Resource) float64 {
	if r > Memory {
		return 0
	}
	return float64(e.sums.reclaimed[r].Load()) / scale(r)
}

// Predicted is the use of a resource once everything that is placed runs:
// measured and in flight. ok is false if there is no fresh measurement.
func (e *Estimate) Predicted(r Resource, now time.Time, maxAge time.Duration) (use float64, ok bool) {
	mean := e.Measured[r].Mean
	if !mean.Fresh(now, maxAge) {
		return 0, false
	}
	return mean.Value + e.InFlight(r), true
}

// Firm is Predicted without what gives way: the reclaimed pods' use.
func (e *Estimate) Firm(r Resource, now time.Time, maxAge time.Duration) (use float64, ok bool) {
	use, ok = e.Predicted(r, now, maxAge)
	return math.Max(use-e.Reclaimed(r), 0), ok
}
