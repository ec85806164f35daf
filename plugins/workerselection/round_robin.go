// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package workerselection

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"

	"auriga.dev/auriga/pkg/apis/config"
	"auriga.dev/auriga/pkg/score"
)

// usedKey finds in the cycle state what to undo if the pod is not bound.
const usedKey fwk.StateKey = "Reserve" + Name

// errNoReserve is returned for every pod, since a RoundRobin that never learns
// what was used would send all of them to one worker.
var errNoReserve = errors.New(Name + " with strategy RoundRobin must also be enabled at reserve, where it learns which workers were used: enable it under multiPoint")

// newRoundRobin makes the strategy RoundRobin. It remembers in memory which
// worker this profile used when; after a restart all are unused.
func newRoundRobin(handle fwk.Handle, _ *config.WorkerSelectionArgs) (strategy, error) {
	used := &lastUse{stamps: map[string]int64{}}
	// The framework makes the plugins before it puts them at their points, so
	// this cannot be found out earlier than for the first pod.
	reserves := sync.OnceValue(func() bool { return enabledAtReserve(handle) })
	return strategy{
		prepare: func(_ context.Context, _ *v1.Pod, feasible []fwk.NodeInfo) (scorer, *fwk.Status) {
			if !reserves() {
				return nil, fwk.AsStatus(errNoReserve)
			}
			all, err := handle.SnapshotSharedLister().NodeInfos().List()
			if err != nil {
				return nil, fwk.AsStatus(err)
			}
			used.forget(all)
			ranks := used.ranks(feasible)
			return func(_ context.Context, worker fwk.NodeInfo) int64 {
				rank, ok := ranks[worker.Node().Name]
				if !ok {
					return score.Min
				}
				return score.RoundRobin(rank, len(ranks))
			}, nil
		},
		sign: func(*v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
			return nil, fwk.NewStatus(fwk.Unschedulable, "RoundRobin depends on the worker used last, so a ranking cannot serve a second pod")
		},
		reserve:   func(state fwk.CycleState, node string) { state.Write(usedKey, used.use(node)) },
		unreserve: used.undo,
	}, nil
}

// enabledAtReserve tells whether the profile has this plugin at the reserve
// point. A handle that cannot say (it is not the scheduler's own) counts as yes.
func enabledAtReserve(handle fwk.Handle) bool {
	profile, ok := handle.(interface{ ListPlugins() *schedconfig.Plugins })
	if !ok {
		return true
	}
	return slices.ContainsFunc(profile.ListPlugins().Reserve.Enabled, func(p schedconfig.Plugin) bool { return p.Name == Name })
}

// lastUse knows in which order nodes were used. Reserve runs in the scheduling
// cycle, but Unreserve may run beside it.
type lastUse struct {
	mu sync.Mutex
	// clock counts uses; it only grows.
	clock int64
	// stamps has the clock of each node's last use; a node that is absent has
	// never been used.
	stamps map[string]int64
}

// use is one use of a node, kept in the cycle state until it is sure.
type use struct {
	node         string
	stamp        int64
	previous     int64
	hadBeenThere bool
}

// Clone implements fwk.StateData; a use never changes.
func (u *use) Clone() fwk.StateData { return u }

func (l *lastUse) use(node string) *use {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock++
	previous, ok := l.stamps[node]
	l.stamps[node] = l.clock
	return &use{node: node, stamp: l.clock, previous: previous, hadBeenThere: ok}
}

// undo makes the use that state holds as if it had not been, once. If the node
// was used again since, the later use stands.
func (l *lastUse) undo(state fwk.CycleState) {
	data, err := state.Read(usedKey)
	if err != nil {
		return // Unreserve may come without Reserve, or twice
	}
	u, ok := data.(*use)
	if !ok {
		return
	}
	state.Delete(usedKey)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.stamps[u.node] != u.stamp:
	case u.hadBeenThere:
		l.stamps[u.node] = u.previous
	default:
		delete(l.stamps, u.node)
	}
}

// ranks orders nodes by last use, 0 for the least recent. Nodes that have
// never been used come first, in the order of the list.
func (l *lastUse) ranks(nodes []fwk.NodeInfo) map[string]int {
	type entry struct {
		stamp int64
		index int
	}
	entries := make([]entry, len(nodes))
	l.mu.Lock()
	for i, n := range nodes {
		entries[i] = entry{l.stamps[n.Node().Name], i}
	}
	l.mu.Unlock()
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.stamp, b.stamp), cmp.Compare(a.index, b.index))
	})
	ranks := make(map[string]int, len(nodes))
	for rank, e := range entries {
		ranks[nodes[e.index].Node().Name] = rank
	}
	return ranks
}

// forget drops nodes that are gone, once they are as many as those that are there.
func (l *lastUse) forget(all []fwk.NodeInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.stamps) <= 2*len(all) {
		return
	}
	kept := make(map[string]int64, len(all))
	for _, n := range all {
		if stamp, ok := l.stamps[n.Node().Name]; ok {
			kept[n.Node().Name] = stamp
		}
	}
	l.stamps = kept
}
