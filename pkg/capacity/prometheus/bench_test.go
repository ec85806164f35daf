// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	clocktesting "k8s.io/utils/clock/testing"

	"auriga.dev/auriga/pkg/capacity"
)

// BenchmarkPoll5000 is a poll of 5000 nodes with all signals: ms/poll is from
// the arrival of the first query at the server, which is of this process too, to
// the last event at the handler.
func BenchmarkPoll5000(b *testing.B) { benchmarkPoll(b, 5000) }

// BenchmarkPoll100 is the same of a small cluster.
func BenchmarkPoll100(b *testing.B) { benchmarkPoll(b, 100) }

func benchmarkPoll(b *testing.B, count int) {
	prom := newFakePrometheus(b)
	nodes := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	values := make([]series, count)
	ages := make([]series, count)
	for i := range count {
		name := fmt.Sprintf("node-%05d", i)
		ip := fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
		node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}}
		node.Status.Capacity = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("256Gi")}
		if err := nodes.Add(node); err != nil {
			b.Fatal(err)
		}
		values[i] = on(ip+":9100", 0.123456789*float64(i))
		ages[i] = on(ip+":9100", float64(i%15)+0.123)
	}
	var first atomic.Int64 // When the poll's first query arrived.
	answer := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			first.CompareAndSwap(0, time.Now().UnixNano())
			h(w, r)
		}
	}
	prom.set("*", answer(vector(values...)))
	prom.set(defaultAgeQuery("instance"), answer(vector(ages...)))

	clock := clocktesting.NewFakeClock(start)
	inf, err := NewInformer(Config{Address: prom.URL, History: History{Interval: 1000 * time.Hour}},
		Deps{Nodes: corev1listers.NewNodeLister(nodes), Clock: clock, Logger: klog.Background()})
	if err != nil {
		b.Fatal(err)
	}
	published := make(chan time.Time, 1)
	if _, err := inf.Track(publishes(published)); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		inf.RunWithContext(ctx)
	}()
	<-published
	for range 25 { // So that the windows of the bursts are full.
		next(b, clock, &first, published)
	}
	var total, worst time.Duration
	polls := 0
	b.ReportAllocs()
	for b.Loop() {
		took := next(b, clock, &first, published)
		total += took
		worst = max(worst, took)
		polls++
	}
	mean := total / time.Duration(polls)
	b.ReportMetric(float64(mean.Microseconds())/1000, "ms/poll")
	b.ReportMetric(float64(worst.Microseconds())/1000, "ms/worst-poll")
	cancel()
	<-ended
	if mean > time.Second {
		b.Errorf("a poll took %v, want less than 1s", mean)
	}
}

// next lets the next poll come, and returns how long it took from the arrival of
// its first query to the last event's handling.
func next(b *testing.B, clock *clocktesting.FakeClock, first *atomic.Int64, published <-chan time.Time) time.Duration {
	b.Helper()
	first.Store(0)
	if err := wait.PollUntilContextTimeout(b.Context(), 2*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		clock.Step(20 * time.Second)
		return first.Load() != 0, nil
	}); err != nil {
		b.Fatalf("no poll began: %v", err)
	}
	select {
	case at := <-published:
		return at.Sub(time.Unix(0, first.Load()))
	case <-time.After(10 * time.Second):
		b.Fatal("no poll")
		return 0
	}
}

// publishes is a Tracker that tells when it has published.
type publishes chan time.Time

func (publishes) Set(*capacity.NodeCapacity) {}
func (publishes) Delete(string, bool)        {}
func (p publishes) Publish()                 { p <- time.Now() }
