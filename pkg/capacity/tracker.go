// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Placement is a pod on a node.
type Placement struct {
	Pod  types.UID
	Node string
	Expected
}

// Tracker joins what was measured with what was placed since, and publishes
// snapshots of it. It may be used by several goroutines.
//
// A placement goes through these states, for CPU and for memory apart:
//
//	Place ──> in flight ──sample of the node >= start + ramp──> settled
//	             └──────────── Remove ────────────┴──> gone
//
// A pod that has not started is in flight. What is in flight is part of
// Estimate.InFlight; a reclaimed pod is part of Estimate.Reclaimed until it is gone.
type Tracker struct {
	ramp     time.Duration
	snapshot atomic.Pointer[Snapshot]

	mu         sync.Mutex
	generation int64
	nodes      map[string]*trackedNode
	pods       map[types.UID]*trackedPod
	freeIDs    []int
	nextID     int
	// left are the pods that went while in flight, since the last Publish.
	left map[types.UID]bool
	// published are called after every Publish, without the lock.
	published []func(*Snapshot)
}

type trackedNode struct {
	id       int
	measured *NodeCapacity // nil: never, or no more
	pods     map[types.UID]*trackedPod
	sums     *sums
}

type trackedPod struct {
	Placement
	amounts [2]int64 // millicores, bytes
	started time.Time
	settled [2]bool
}

// NewTracker makes a tracker. ramp is how long after its start a pod's use may
// take to show in a measurement; not negative.
func NewTracker(ramp time.Duration) *Tracker {
	return &Tracker{
		ramp:  ramp,
		nodes: map[string]*trackedNode{}, pods: map[types.UID]*trackedPod{}, left: map[types.UID]bool{},
	}
}

// Snapshot is the last one that was published, nil before the first.
func (t *Tracker) Snapshot() *Snapshot { return t.snapshot.Load() }

// OnPublish has f called after every Publish, one call at a time, by the
// goroutine that publishes. Register before the first Publish.
func (t *Tracker) OnPublish(f func(*Snapshot)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.published = append(t.published, f)
}

// Set takes over what was measured of a node. It shows in the next snapshot;
// what it settles is no longer in flight from now on.
func (t *Tracker) Set(n *NodeCapacity) {
	t.mu.Lock()
	defer t.mu.Unlock()
	node := t.node(n.Name)
	node.measured = n
	for _, p := range node.pods {
		t.settle(node, p)
	}
}

// Delete forgets the measurements of a node.
func (t *Tracker) Delete(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	node, ok := t.nodes[name]
	if !ok {
		return
	}
	node.measured = nil
	t.drop(name, node)
}

// Publish makes a snapshot of all that was set.
func (t *Tracker) Publish(now time.Time) {
	t.mu.Lock()
	t.generation++
	s := &Snapshot{Generation: t.generation, TakenAt: now, nodes: make(map[string]*Estimate, len(t.nodes)), ids: t.nextID}
	estimates := make([]Estimate, 0, len(t.nodes)) // one allocation for all
	for name, node := range t.nodes {
		if node.measured == nil {
			continue
		}
		estimates = append(estimates, Estimate{
			Name: name, UID: node.measured.UID, ID: node.id,
			Capacity: node.measured.Capacity, Measured: node.measured.Measured, sums: node.sums,
		})
		s.nodes[name] = &estimates[len(estimates)-1]
	}
	clear(t.left)
	published := t.published
	t.mu.Unlock()

	t.snapshot.Store(s)
	for _, f := range published {
		f(s)
	}
}

// Place adds a pod, in flight until it has started and been measured. A pod
// that is there already is moved if it is on another node, else left alone.
func (t *Tracker) Place(p Placement) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, ok := t.pods[p.Pod]; ok {
		if old.Node == p.Node {
			return
		}
		t.remove(old)
	}
	pod := &trackedPod{Placement: p}
	for _, r := range [...]Resource{CPU, Memory} {
		pod.amounts[r] = toAmount(p.Use, r)
	}
	node := t.node(p.Node)
	t.pods[p.Pod], node.pods[p.Pod] = pod, pod
	for r, amount := range pod.amounts {
		node.sums.inFlight[r].Add(amount)
		if p.Reclaimed {
			node.sums.reclaimed[r].Add(amount)
		}
	}
	delete(t.left, p.Pod)
}

// toAmount is a use in what sums count; what is no amount counts as nothing.
func toAmount(u Use, r Resource) int64 {
	value := u.CPU
	if r == Memory {
		value = u.Memory
	}
	value *= scale(r)
	if math.IsNaN(value) || value <= 0 {
		return 0
	}
	return int64(math.Min(math.Round(value), 1<<52))
}

// Started says that a pod runs since a time. The first call counts.
func (t *Tracker) Started(pod types.UID, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.pods[pod]
	if !ok || !p.started.IsZero() {
		return
	}
	p.started = at
	t.settle(t.nodes[p.Node], p)
}

// Remove takes a pod away: it has ended, or its placement was undone.
func (t *Tracker) Remove(pod types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, ok := t.pods[pod]; ok {
		t.remove(p)
	}
}

// LeftInFlight says whether a pod is in flight, or was when it was removed since
// the last Publish: then its room is free without a new measurement.
func (t *Tracker) LeftInFlight(pod types.UID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, ok := t.pods[pod]; ok {
		return !p.settled[CPU] || !p.settled[Memory] || p.Reclaimed
	}
	return t.left[pod]
}

// Counts are the pods in flight and the reclaimed pods.
func (t *Tracker) Counts() (inFlight, reclaimed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.pods {
		if !p.settled[CPU] || !p.settled[Memory] {
			inFlight++
		}
		if p.Reclaimed {
			reclaimed++
		}
	}
	return inFlight, reclaimed
}

// On is what the pods use that are placed on a node, by whether they are
// reclaimed, for nodes that no snapshot knows.
func (t *Tracker) On(name string) (firm, reclaimed Use) {
	t.mu.Lock()
	defer t.mu.Unlock()
	node, ok := t.nodes[name]
	if !ok {
		return Use{}, Use{}
	}
	for _, p := range node.pods {
		sum := &firm
		if p.Reclaimed {
			sum = &reclaimed
		}
		sum.CPU += p.CPU
		sum.Memory += p.Memory
	}
	return firm, reclaimed
}

// ReclaimedOn lists the reclaimed pods on a node, in no order.
func (t *Tracker) ReclaimedOn(name string) []Placement {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []Placement
	if node, ok := t.nodes[name]; ok {
		for _, p := range node.pods {
			if p.Reclaimed {
				list = append(list, p.Placement)
			}
		}
	}
	return list
}

// node is the node of that name, made if need be. Under the lock.
func (t *Tracker) node(name string) *trackedNode {
	node, ok := t.nodes[name]
	if !ok {
		node = &trackedNode{id: t.nextID, pods: map[types.UID]*trackedPod{}, sums: &sums{}}
		if n := len(t.freeIDs); n > 0 {
			node.id, t.freeIDs = t.freeIDs[n-1], t.freeIDs[:n-1]
		} else {
			t.nextID++
		}
		t.nodes[name] = node
	}
	return node
}

// drop forgets a node of which nothing is known any more. Under the lock.
func (t *Tracker) drop(name string, node *trackedNode) {
	if node.measured == nil && len(node.pods) == 0 {
		delete(t.nodes, name)
		t.freeIDs = append(t.freeIDs, node.id)
	}
}

// settle takes out of flight what the node's sample contains. Under the lock.
func (t *Tracker) settle(node *trackedNode, p *trackedPod) {
	if p.started.IsZero() || node.measured == nil {
		return
	}
	shows := p.started.Add(t.ramp)
	for r := range p.settled {
		sample := node.measured.Measured[r].Mean
		if !p.settled[r] && sample.OK() && !sample.Sampled.Before(shows) {
			p.settled[r] = true
			node.sums.inFlight[r].Add(-p.amounts[r])
		}
	}
}

// remove takes a pod away. Under the lock.
func (t *Tracker) remove(p *trackedPod) {
	node := t.nodes[p.Node]
	for r, amount := range p.amounts {
		if !p.settled[r] {
			node.sums.inFlight[r].Add(-amount)
			t.left[p.Pod] = true
		}
		if p.Reclaimed {
			node.sums.reclaimed[r].Add(-amount)
			t.left[p.Pod] = true
		}
	}
	delete(t.pods, p.Pod)
	delete(node.pods, p.Pod)
	t.drop(p.Node, node)
}
