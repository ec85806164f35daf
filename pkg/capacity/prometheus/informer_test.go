// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"

	"auriga.dev/auriga/pkg/capacity"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// rig is an informer on a fake clock, with a fake Prometheus and nodes of a
// test's choice.
type rig struct {
	t      *testing.T
	prom   *fakePrometheus
	clock  *clocktesting.FakeClock
	nodes  cache.Indexer
	inf    *Informer
	stop   context.CancelFunc
	ended  chan struct{}
	mu     sync.Mutex
	events []string // Emitted ones.
	logs   []string
	steps  []string // Of the Tracker.
	set    map[string]*capacity.NodeCapacity
	rounds int
}

func newRig(t *testing.T, change func(*Config), resources ...capacity.Resource) *rig {
	t.Helper()
	r := &rig{
		t: t, prom: newFakePrometheus(t), clock: clocktesting.NewFakeClock(start),
		nodes: cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{}),
		set:   map[string]*capacity.NodeCapacity{},
	}
	config := named(r.prom.URL, resources...)
	if change != nil {
		change(&config)
	}
	logger := funcr.New(func(prefix, args string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.logs = append(r.logs, args)
	}, funcr.Options{})
	inf, err := NewInformer(config, Deps{
		Nodes: corev1listers.NewNodeLister(r.nodes), Clock: r.clock, Logger: logger,
		Recorder: func(eventtype, reason, note string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, eventtype+" "+reason+" "+note)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.inf = inf
	if _, err := inf.Track(r); err != nil {
		t.Fatal(err)
	}
	return r
}

// Set implements Tracker.
func (r *rig) Set(n *capacity.NodeCapacity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set[n.Name] = n
	r.steps = append(r.steps, "set "+n.Name)
}

// Delete implements Tracker.
func (r *rig) Delete(name string, last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.set, name)
	r.steps = append(r.steps, fmt.Sprintf("delete %s %v", name, last))
}

// Publish implements Tracker.
func (r *rig) Publish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rounds++
	r.steps = append(r.steps, "publish")
}

func (r *rig) addNode(name, ip string, change ...func(*corev1.Node)) {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(start.Add(-time.Hour))},
	}
	if ip != "" {
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}, {Type: corev1.NodeHostName, Address: name}}
	}
	for _, c := range change {
		c(node)
	}
	if err := r.nodes.Add(node); err != nil {
		r.t.Fatal(err)
	}
}

// run runs the informer until the test's end and waits for its first list.
func (r *rig) run() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	r.stop, r.ended = cancel, make(chan struct{})
	go func() {
		defer close(r.ended)
		r.inf.RunWithContext(ctx)
	}()
	r.t.Cleanup(r.end)
	r.eventually("the first list", r.inf.HasSynced)
}

func (r *rig) end() {
	r.stop()
	<-r.ended
}

// poll lets the clock go on to after the next poll, whenever that is, and waits
// for its end. How many polls there were is on the source.
func (r *rig) poll() {
	r.t.Helper()
	s := r.inf.source
	polls := func() uint64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.polls
	}
	before := polls()
	r.eventually("a timer", r.clock.HasWaiters)
	for deadline := time.Now().Add(10 * time.Second); polls() == before; {
		if time.Now().After(deadline) {
			r.t.Fatal("no poll")
		}
		r.clock.Step(500 * time.Millisecond)
		time.Sleep(time.Millisecond)
	}
	version := ""
	s.mu.Lock()
	version = fmt.Sprint(s.version)
	s.mu.Unlock()
	r.eventually("the delivery of version "+version, func() bool { return r.inf.LastSyncResourceVersion() == version })
	r.settle()
}

// settle waits until the handlers have what the store has.
func (r *rig) settle() {
	r.t.Helper()
	r.eventually("the handlers", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		store := r.inf.GetStore().List()
		if len(store) != len(r.set) {
			return false
		}
		for _, obj := range store {
			if n := obj.(*capacity.NodeCapacity); r.set[n.Name] != n {
				return false
			}
		}
		return len(r.steps) == 0 || r.steps[len(r.steps)-1] == "publish"
	})
}

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("%s: not within 10 s; log %q, steps %q", what, r.logs, r.steps)
		}
	}
}

func (r *rig) takeSteps() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	steps := r.steps
	r.steps = nil
	return steps
}

func (r *rig) takeEvents() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	events := r.events
	r.events = nil
	return events
}

func (r *rig) mean(node string, res capacity.Resource) capacity.Reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.set[node]; n != nil {
		return n.Measured[res].Mean
	}
	return capacity.Reading{}
}

func (r *rig) known() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.set))
}

func TestFollowsPolls(t *testing.T) {
	r := newRig(t, nil, capacity.CPU, capacity.Memory)
	r.addNode("a", "10.0.0.1")
	r.addNode("b", "10.0.0.2")
	r.addNode("unmeasured", "10.0.0.3")
	r.prom.set("age", vector(on("a", 3), on("10.0.0.2:9100", 4)))
	r.prom.set("cpu", vector(on("a", 1.5), on("10.0.0.2:9100", 2)))
	r.prom.set("memory", vector(on("a", 1e9), on("10.0.0.2:9100", 2e9), on("elsewhere", 1)))
	r.run()
	r.settle()
	if got, want := r.takeSteps(), []string{"set a", "set b", "publish"}; !slices.Equal(got, want) {
		t.Errorf("first list: %q, want %q", got, want)
	}
	want := capacity.Reading{Value: 1.5, Sampled: start.Add(-3 * time.Second)}
	if got := r.mean("a", capacity.CPU); got != want {
		t.Errorf("a's CPU = %v, want %v", got, want)
	}
	r.prom.set("cpu", vector(on("a", 2.5), on("10.0.0.2:9100", 2)))
	r.poll()
	if got, want := r.takeSteps(), []string{"set a", "set b", "publish"}; !slices.Equal(got, want) {
		t.Errorf("second poll: %q, want %q", got, want)
	}
	if got := r.mean("a", capacity.CPU); got.Value != 2.5 || got.Sampled.Before(start) == false && got.Sampled != r.clock.Now().Add(-3*time.Second) {
		t.Errorf("a's CPU = %v", got)
	}
	if err := r.nodes.Delete(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "b"}}); err != nil {
		t.Fatal(err)
	}
	r.poll()
	if got, want := r.takeSteps(), []string{"delete b false", "set a", "publish"}; !slices.Equal(got, want) {
		t.Errorf("after b is gone: %q, want %q", got, want)
	}
	if r.prom.sawTime {
		t.Error("a query carried our time")
	}
	for _, l := range r.logs {
		if strings.Contains(l, "failed") {
			t.Errorf("log: %s", l)
		}
	}
}
