// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package realcapacity

import (
	"sync"
	"sync/atomic"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"auriga.dev/auriga/pkg/capacity"
)

// nodeSet is a set of nodes by their Estimate.ID. Add is safe for concurrent use.
type nodeSet []atomic.Uint64

func newNodeSet(ids int) nodeSet { return make(nodeSet, (ids+63)/64) }

func (s nodeSet) add(id int) {
	if word := id / 64; word < len(s) {
		s[word].Or(1 << (id % 64))
	}
}

func (s nodeSet) empty() bool {
	for i := range s {
		if s[i].Load() != 0 {
			return false
		}
	}
	return true
}

// intersects says whether the sets have a node in common.
func (s nodeSet) intersects(other nodeSet) bool {
	for i := range min(len(s), len(other)) {
		if s[i].Load()&other[i].Load() != 0 {
			return true
		}
	}
	return false
}

// waitingPod is a pod that no node could take, at least one of them because of
// its load.
type waitingPod struct {
	pod  *v1.Pod
	need capacity.Expected
	// hot are the measured nodes that rejected it, unmeasured says that some were
	// rejected of which nothing was known.
	hot        nodeSet
	unmeasured bool
}

// waiting are the pods that wait for a node's load to fall.
type waiting struct {
	mu   sync.Mutex
	pods map[types.UID]waitingPod
}

func (w *waiting) add(p waitingPod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pods == nil {
		w.pods = map[types.UID]waitingPod{}
	}
	w.pods[p.pod.UID] = p
}

func (w *waiting) remove(uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pods, uid)
}

// wake takes out the pods for which a node that rejected them has room in the
// snapshot, by namespace and name. Pods of equal need are looked at together:
// it costs nodes x different needs + nodes/64 x pods.
func (w *waiting) wake(snapshot *capacity.Snapshot, hasRoom func(*capacity.Estimate, capacity.Expected) bool) map[string]*v1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	var woken map[string]*v1.Pod
	free := map[capacity.Expected]nodeSet{}
	for uid, p := range w.pods {
		roomy, ok := free[p.need]
		if !ok {
			roomy = newNodeSet(snapshot.IDs())
			for e := range snapshot.Nodes {
				if hasRoom(e, p.need) {
					roomy.add(e.ID)
				}
			}
			free[p.need] = roomy
		}
		if !p.hot.intersects(roomy) && (!p.unmeasured || roomy.empty()) {
			continue
		}
		if woken == nil {
			woken = map[string]*v1.Pod{}
		}
		woken[p.pod.Namespace+"/"+p.pod.Name] = p.pod
		delete(w.pods, uid)
	}
	return woken
}
