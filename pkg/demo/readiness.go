// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
)

// readiness counts the workers on which pods can be placed and closes all once
// as many as wanted are.
type readiness struct {
	all chan struct{}

	mu    sync.Mutex
	want  int
	ready map[string]bool
}

func newReadiness(want int) *readiness {
	return &readiness{all: make(chan struct{}), want: want, ready: map[string]bool{}}
}

// OnAdd implements cache.ResourceEventHandler.
func (r *readiness) OnAdd(obj any, _ bool) { r.see(obj) }

// OnUpdate implements cache.ResourceEventHandler.
func (r *readiness) OnUpdate(_, obj any) { r.see(obj) }

// OnDelete implements cache.ResourceEventHandler. Nobody deletes workers here.
func (r *readiness) OnDelete(any) {}

func (r *readiness) see(obj any) {
	node, ok := obj.(*corev1.Node)
	if !ok || !usable(node) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ready[node.Name] {
		return
	}
	r.ready[node.Name] = true
	if len(r.ready) == r.want {
		close(r.all)
	}
}

// usable says whether the node is ready and not tainted as new or unreachable.
func usable(node *corev1.Node) bool {
	ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	return ready && len(node.Spec.Taints) == 0
}
