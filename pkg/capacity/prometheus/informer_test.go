// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/component-base/metrics/testutil"
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
	r.settle()
}

func (r *rig) end() {
	r.stop()
	<-r.ended
}

// poll lets the clock go on to after the next poll, whenever that is, and waits
// for its end. How many polls there were is on the source.
func (r *rig) poll() {
	r.t.Helper()
	polls := func() uint64 {
		r.inf.source.mu.Lock()
		defer r.inf.source.mu.Unlock()
		return r.inf.source.polls
	}
	before := polls()
	r.eventually("a timer", r.clock.HasWaiters)
	r.eventually("a poll", func() bool {
		r.clock.Step(500 * time.Millisecond)
		return polls() != before
	})
	r.settle()
}

// settle waits until the handlers have what the source has handed out.
func (r *rig) settle() {
	r.t.Helper()
	handedOut := map[string]string{}
	s := r.inf.source
	s.mu.Lock()
	for name, state := range s.known {
		handedOut[name] = state.object.ResourceVersion
	}
	s.mu.Unlock()
	r.eventually("the handlers", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		got := map[string]string{}
		for name, n := range r.set {
			got[name] = n.ResourceVersion
		}
		return maps.Equal(got, handedOut) && (len(r.steps) == 0 || r.steps[len(r.steps)-1] == "publish")
	})
}

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	condition := func(context.Context) (bool, error) { return ok(), nil }
	if err := wait.PollUntilContextTimeout(context.Background(), time.Millisecond, 10*time.Second, true, condition); err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.t.Fatalf("%s: not within 10 s; log %q, steps %q", what, r.logs, r.steps)
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

// counted is by how much a metric has grown since, under a label's values.
func counted(t *testing.T, metric func() float64) func() float64 {
	t.Helper()
	before := metric()
	return func() float64 { return metric() - before }
}

func value(t *testing.T, counter metrics.CounterMetric) float64 {
	t.Helper()
	v, err := testutil.GetCounterMetricValue(counter)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (r *rig) polls(result string) func() float64 {
	return counted(r.t, func() float64 { return value(r.t, r.inf.source.metrics.polls.WithLabelValues(result)) })
}

// failures are of the query cpu.
func (r *rig) failures(reason string) func() float64 {
	return counted(r.t, func() float64 {
		return value(r.t, r.inf.source.metrics.queryErrors.WithLabelValues("cpu", reason))
	})
}

func (r *rig) rejections(query, reason string) func() float64 {
	return counted(r.t, func() float64 {
		return value(r.t, r.inf.source.metrics.rejected.WithLabelValues(query, reason))
	})
}

func (r *rig) gauge(state string) float64 {
	r.t.Helper()
	v, err := testutil.GetGaugeMetricValue(r.inf.source.metrics.nodes.WithLabelValues(state))
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// healthy answers CPU and memory of nodes a and b.
func (r *rig) healthy() {
	r.prom.set("age", vector(on("a", 3), on("10.0.0.2:9100", 4)))
	r.prom.set("cpu", vector(on("a", 1.5), on("10.0.0.2:9100", 2)))
	r.prom.set("memory", vector(on("a", 1e9), on("10.0.0.2:9100", 2e9)))
}

func twoNodes(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := newRig(t, change, capacity.CPU, capacity.Memory)
	r.addNode("a", "10.0.0.1")
	r.addNode("b", "10.0.0.2")
	r.healthy()
	return r
}

func TestFollowsPolls(t *testing.T) {
	r := twoNodes(t, nil)
	r.addNode("unmeasured", "10.0.0.3")
	r.prom.set("memory", vector(on("a", 1e9), on("10.0.0.2:9100", 2e9), on("elsewhere", 1)))
	unmatched, success := r.rejections("memory", rejectedUnmatched), r.polls(resultSuccess)
	r.run()
	if got, want := r.takeSteps(), []string{"set a", "set b", "publish"}; !slices.Equal(got, want) {
		t.Errorf("first list: %q, want %q", got, want)
	}
	want := capacity.Reading{Value: 1.5, Sampled: start.Add(-3 * time.Second)}
	if got := r.mean("a", capacity.CPU); got != want {
		t.Errorf("a's CPU = %v, want %v", got, want)
	}
	if fresh, unmeasured := r.gauge(stateFresh), r.gauge(stateUnmeasured); fresh != 2 || unmeasured != 1 {
		t.Errorf("%v fresh and %v unmeasured nodes, want 2 and 1", fresh, unmeasured)
	}

	before := r.clock.Now()
	r.prom.set("cpu", vector(on("a", 2.5), on("10.0.0.2:9100", 2)))
	r.poll()
	if got, want := r.takeSteps(), []string{"set a", "set b", "publish"}; !slices.Equal(got, want) {
		t.Errorf("second poll: %q, want %q", got, want)
	}
	got := r.mean("a", capacity.CPU)
	if received := got.Sampled.Add(3 * time.Second); got.Value != 2.5 || !received.After(before) || received.After(r.clock.Now()) {
		t.Errorf("a's CPU = %v, want 2.5 and an age of 3s", got)
	}
	if n, s := unmatched(), success(); n != 2 || s != 2 {
		t.Errorf("%v unmatched series in %v successful polls, want 2 in 2", n, s)
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
	if events := r.takeEvents(); len(events) != 0 {
		t.Errorf("events: %q", events)
	}
}

// TestOneQueryFails is one query of three that fails, in each way that there is.
func TestOneQueryFails(t *testing.T) {
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"vec`))
	}
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	huge := func(w http.ResponseWriter, _ *http.Request) {
		line := []byte(strings.Repeat(" ", 4095) + "\n")
		for range 50_000 {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	}
	for name, tc := range map[string]struct {
		answer       http.HandlerFunc
		reason, note string
	}{
		"dies in the middle": {half, reasonUnreachable, "unexpected EOF"},
		"hangs":              {hang, reasonTimeout, "no answer within 300ms (queryTimeout)"},
		"500":                {text(500, "oops"), reasonServerError, "HTTP status 500 Internal Server Error"},
		"503 with a message": {text(503, `{"status":"error","errorType":"timeout","error":"query timed out in query execution"}`), reasonTimeout, "query timed out in query execution"},
		"429":                {text(429, ""), reasonServerError, "429 Too Many Requests"},
		"401":                {text(401, ""), reasonBadAnswer, "credentials belong into httpConfigFile"},
		"404":                {text(404, ""), reasonBadAnswer, "is the path of address right?"},
		"422":                {text(422, `{"status":"error","errorType":"execution","error":"multiple matches for labels"}`), reasonBadQuery, "multiple matches for labels"},
		"mistyped query": {text(400, `{"status":"error","errorType":"bad_data","error":"1:5: parse error: unclosed left parenthesis"}`), reasonBadQuery,
			"query cpu: bad_data: 1:5: parse error: unclosed left parenthesis"},
		"HTML":           {text(200, "<!DOCTYPE html><html><body>Please sign in</body></html>"), reasonBadAnswer, "is address right?"},
		"empty":          {text(200, ""), reasonBadAnswer, "is address right?"},
		"other JSON":     {text(200, `{"hits":[]}`), reasonBadAnswer, "is address right?"},
		"scalar":         {text(200, `{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`), reasonBadAnswer, "it answers a scalar: want an instant vector"},
		"string":         {text(200, `{"status":"success","data":{"resultType":"string","result":[1,"2"]}}`), reasonBadAnswer, "string"},
		"matrix":         {text(200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`), reasonBadAnswer, "it answers a matrix"},
		"broken number":  {text(200, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}}`), reasonBadAnswer, "is address right?"},
		"too large":      {huge, reasonTooLarge, "longer than 65536 bytes (maxResponseBytes)"},
		"says so itself": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "200000000") }, reasonTooLarge, "raise maxResponseBytes"},
	} {
		t.Run(name, func(t *testing.T) {
			r := twoNodes(t, func(c *Config) { c.QueryTimeout, c.MaxResponseBytes = 300*time.Millisecond, 1<<16 })
			r.run()
			partial, failures := r.polls(resultPartial), r.failures(tc.reason)
			before := r.mean("a", capacity.CPU)
			r.prom.set("cpu", tc.answer)
			r.prom.set("memory", vector(on("a", 5e9)))
			r.poll()
			if got := r.mean("a", capacity.CPU); got != before {
				t.Errorf("CPU = %v, want the older %v", got, before)
			}
			if got := r.mean("a", capacity.Memory).Value; got != 5e9 {
				t.Errorf("memory = %v, want the new one", got)
			}
			if p, f := partial(), failures(); p != 1 || f != 1 {
				t.Errorf("%v partial polls and %v failures of %s, want 1 and 1", p, f, tc.reason)
			}
			events := r.takeEvents()
			if len(events) != 1 || !strings.HasPrefix(events[0], "Warning CapacityUnavailable 1 of 3 queries") || !strings.Contains(events[0], tc.note) {
				t.Errorf("events = %q, want one with %q", events, tc.note)
			}
			r.poll()
			if events := r.takeEvents(); len(events) != 0 {
				t.Errorf("the same failure again: %q", events)
			}
			r.healthy()
			r.poll()
			if got := r.mean("a", capacity.CPU); !got.Sampled.After(before.Sampled) {
				t.Errorf("CPU = %v after recovery, want a new one", got)
			}
			if events := r.takeEvents(); len(events) != 1 || !strings.HasPrefix(events[0], "Normal CapacityRestored") {
				t.Errorf("events = %q, want CapacityRestored", events)
			}
		})
	}
}

// TestTooLargeIsNotRead is how much of 200 MB leaves the server.
func TestTooLargeIsNotRead(t *testing.T) {
	r := twoNodes(t, func(c *Config) { c.MaxResponseBytes = 1 << 20 })
	var sent atomic.Int64
	ended := make(chan struct{})
	r.prom.set("cpu", func(w http.ResponseWriter, _ *http.Request) {
		defer close(ended)
		line := make([]byte, 1<<16)
		for sent.Load() < 200<<20 {
			n, err := w.Write(line)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	r.run()
	<-ended
	if got := sent.Load(); got > 32<<20 {
		t.Errorf("%d bytes left the server, want not much more than 1 MiB and what sockets hold", got)
	}
}

func TestNoReadings(t *testing.T) {
	for name, tc := range map[string]struct {
		samples []series
		reason  string
		count   float64
	}{
		"NaN":       {[]series{{`instance="a"`, "NaN"}}, rejectedNaN, 1},
		"+Inf":      {[]series{{`instance="a"`, "+Inf"}}, rejectedInfinite, 1},
		"-Inf":      {[]series{{`instance="a"`, "-Inf"}}, rejectedInfinite, 1},
		"negative":  {[]series{on("a", -1)}, rejectedNegative, 1},
		"duplicate": {[]series{on("a", 1), on("10.0.0.1:9100", 1), on("10.0.0.1:9101", 1)}, rejectedDuplicate, 3},
		"unmatched": {[]series{on("c", 1)}, rejectedUnmatched, 1},
		"no label":  {[]series{{"", "1"}}, rejectedUnmatched, 1},
		"missing":   {nil, rejectedNaN, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := twoNodes(t, nil)
			r.run()
			before, rejected := r.mean("a", capacity.CPU), r.rejections("cpu", tc.reason)
			r.prom.set("cpu", vector(append(tc.samples, on("b", 7))...))
			r.poll()
			if got := r.mean("a", capacity.CPU); got != before {
				t.Errorf("CPU = %v, want the older %v", got, before)
			}
			if got := r.mean("b", capacity.CPU).Value; got != 7 {
				t.Errorf("the other node's CPU = %v, want 7", got)
			}
			if got := rejected(); got != tc.count {
				t.Errorf("%v rejected as %s, want %v", got, tc.reason, tc.count)
			}
		})
	}
}

func TestAges(t *testing.T) {
	for name, tc := range map[string]struct {
		age  []series
		want time.Duration // -1 is no new reading.
	}{
		"some seconds":        {[]series{on("a", 7.5)}, 7500 * time.Millisecond},
		"aligned":             {[]series{on("a", -0.002)}, 0},
		"negative":            {[]series{on("a", -30)}, -1},
		"missing":             {[]series{on("b", 1)}, -1},
		"NaN":                 {[]series{{`instance="a"`, "NaN"}}, -1},
		"ambiguous":           {[]series{on("a", 1), on("a:1", 2)}, -1},
		"overflows":           {[]series{on("a", 1e300)}, -1},
		"before the creation": {[]series{on("a", 7200)}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			r := twoNodes(t, nil)
			r.prom.set("age", vector(tc.age...))
			r.run()
			want := capacity.Reading{}
			if tc.want >= 0 {
				want = capacity.Reading{Value: 1.5, Sampled: start.Add(-tc.want)}
			}
			if got := r.mean("a", capacity.CPU); got != want {
				t.Errorf("CPU = %v, want %v", got, want)
			}
		})
	}
	// The age's query was evaluated 2 s after that of CPU.
	for age, want := range map[float64]bool{1.5: false, 1.999: true, 2: true, 5: true} {
		t.Run(fmt.Sprintf("scraped %v s before a later evaluation", age), func(t *testing.T) {
			r := twoNodes(t, nil)
			r.prom.set("age", evaluatedAt(2*time.Second, on("a", age)))
			r.run()
			if got := r.mean("a", capacity.CPU); got.OK() != want {
				t.Errorf("CPU = %v, want a reading: %v", got, want)
			}
		})
	}
	t.Run("no query", func(t *testing.T) {
		none := ""
		r := twoNodes(t, func(c *Config) { c.AgeQuery = &none })
		r.run()
		if got, want := r.mean("a", capacity.CPU), (capacity.Reading{Value: 1.5, Sampled: start}); got != want {
			t.Errorf("CPU = %v, want %v", got, want)
		}
		if n := r.prom.count("age"); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
	t.Run("query fails", func(t *testing.T) {
		r := twoNodes(t, nil)
		r.prom.set("age", text(400, `{"status":"error","errorType":"bad_data","error":"parse error"}`))
		failed := r.polls(resultError)
		r.run()
		if got := r.known(); len(got) != 0 || failed() != 1 {
			t.Errorf("known = %q after %v failed polls: nobody knows how old that is", got, failed())
		}
	})
}

// TestDownAtStart is a list that succeeds with nothing, and a recovery without a
// restart.
func TestDownAtStart(t *testing.T) {
	r := twoNodes(t, nil)
	listener := r.prom.Listener.Addr().String()
	r.prom.Close()
	failed := r.polls(resultError)
	r.run()
	if got := r.known(); len(got) != 0 || failed() != 1 {
		t.Fatalf("known = %q after %v failed polls", got, failed())
	}
	events := r.takeEvents()
	if len(events) != 1 || !strings.HasPrefix(events[0], "Warning CapacityUnavailable 3 of 3 queries") || !strings.Contains(events[0], "queries age, cpu, memory: Post") || !strings.Contains(events[0], "connection refused; the readings") {
		t.Errorf("events = %q", events)
	}
	r.poll()
	if events := r.takeEvents(); len(events) != 0 {
		t.Errorf("events = %q", events)
	}

	again := httptest.NewUnstartedServer(r.prom)
	l, err := net.Listen("tcp", listener)
	if err != nil {
		t.Fatal(err)
	}
	_ = again.Listener.Close()
	again.Listener = l
	again.Start()
	t.Cleanup(again.Close)
	r.poll()
	if got := r.known(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("known = %q", got)
	}
	if events := r.takeEvents(); len(events) != 1 || !strings.HasPrefix(events[0], "Normal CapacityRestored") {
		t.Errorf("events = %q", events)
	}
}

// TestDiesWhole is a Prometheus that answers nothing any more: nothing is handed
// out, and what is known grows old.
func TestDiesWhole(t *testing.T) {
	r := twoNodes(t, nil)
	r.run()
	r.takeSteps()
	before := r.mean("a", capacity.CPU)
	r.prom.Close()
	for r.clock.Since(start) < 2*time.Minute {
		r.poll()
	}
	if steps := r.takeSteps(); len(steps) != 0 {
		t.Errorf("steps = %q, want none", steps)
	}
	if got := r.mean("a", capacity.CPU); got != before {
		t.Errorf("CPU = %v, want %v still", got, before)
	}
	if stale := r.gauge(stateStale); stale != 2 {
		t.Errorf("%v stale nodes, want 2", stale)
	}
	age, err := testutil.GetGaugeMetricValue(r.inf.source.metrics.oldest)
	if err != nil || age < 100 || age > 140 {
		t.Errorf("the oldest reading is %v s old, %v, want some 120", age, err)
	}
	last, err := testutil.GetGaugeMetricValue(r.inf.source.metrics.lastSuccess)
	if err != nil || last != float64(start.Unix()) {
		t.Errorf("last success at %v, %v, want %v", last, err, start.Unix())
	}
	if events := r.takeEvents(); len(events) != 1 {
		t.Errorf("events = %q, want one", events)
	}
}

// TestRunsOnAChannel is Run, as factories call it.
func TestRunsOnAChannel(t *testing.T) {
	r := twoNodes(t, nil)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		r.inf.Run(stop)
	}()
	r.eventually("the first list", r.inf.HasSynced)
	close(stop)
	<-ended
	if got := r.inf.Config().PollInterval; got != 15*time.Second {
		t.Errorf("poll interval = %v, want the default", got)
	}
}

// TestHangsAtStart is how long a list takes at most.
func TestHangsAtStart(t *testing.T) {
	r := newRig(t, func(c *Config) { c.QueryTimeout = 200 * time.Millisecond }, capacity.CPU, capacity.Memory)
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for _, query := range []string{"age", "cpu", "memory"} {
		r.prom.set(query, hang)
	}
	began := time.Now()
	r.run()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the first list took %v with a timeout of 200ms", took)
	}
}

// TestFlapping is a Prometheus that fails in another way at each poll.
func TestFlapping(t *testing.T) {
	r := twoNodes(t, nil)
	r.prom.set("cpu", text(500, ""))
	r.run()
	if events := r.takeEvents(); len(events) != 1 {
		t.Fatalf("events = %q", events)
	}
	r.prom.set("cpu", text(404, ""))
	r.poll()
	if events := r.takeEvents(); len(events) != 0 {
		t.Errorf("events = %q within a minute", events)
	}
	for range 8 {
		r.poll()
	}
	if events := r.takeEvents(); len(events) != 1 || !strings.Contains(events[0], "404") {
		t.Errorf("events = %q after a minute, want the present failure", events)
	}
}

func TestHalfTheNodesGoMissing(t *testing.T) {
	r := twoNodes(t, nil)
	r.run()
	before := r.mean("b", capacity.CPU)
	r.prom.set("age", vector(on("a", 1)))
	r.prom.set("cpu", vector(on("a", 9)))
	r.prom.set("memory", vector(on("a", 9)))
	for range 7 {
		r.poll()
	}
	if got := r.mean("b", capacity.CPU); got != before {
		t.Errorf("b's CPU = %v, want the old %v", got, before)
	}
	if fresh, stale := r.gauge(stateFresh), r.gauge(stateStale); fresh != 1 || stale != 1 {
		t.Errorf("%v fresh and %v stale nodes, want 1 and 1", fresh, stale)
	}
}

func TestNodeCreatedAgain(t *testing.T) {
	again := func(n *corev1.Node) {
		n.UID, n.CreationTimestamp = "second", metav1.NewTime(start.Add(time.Hour))
	}
	t.Run("not measured yet", func(t *testing.T) {
		r := twoNodes(t, nil)
		r.run()
		r.takeSteps()
		r.addNode("a", "10.0.0.1", again)
		r.poll()
		if got, want := r.takeSteps(), []string{"delete a false", "set b", "publish"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q: Prometheus still answers with the old node's samples", got, want)
		}
		r.clock.SetTime(start.Add(2 * time.Hour))
		r.poll()
		if got := r.mean("a", capacity.CPU); !got.OK() || r.set["a"].UID != "second" {
			t.Errorf("the new node's CPU = %v", got)
		}
	})
	t.Run("already measured", func(t *testing.T) {
		r := twoNodes(t, nil)
		r.run()
		r.addNode("a", "10.0.0.1", again, func(n *corev1.Node) { n.CreationTimestamp = metav1.NewTime(start.Add(-time.Minute)) })
		r.prom.set("memory", vector(on("b", 1)))
		r.poll()
		if n := r.set["a"]; n.UID != "second" || n.Measured[capacity.Memory].Mean.OK() || !n.Measured[capacity.CPU].Mean.OK() {
			t.Errorf("a = %v, want nothing of the old node's", n)
		}
	})
}

func TestLastOnADeletion(t *testing.T) {
	r := twoNodes(t, nil)
	r.run()
	r.takeSteps()
	r.prom.Close()
	if err := r.nodes.Delete(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "b"}}); err != nil {
		t.Fatal(err)
	}
	r.poll()
	if got, want := r.takeSteps(), []string{"delete b true", "publish"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestRelist is the ListerWatcher as the reflector uses it.
func TestRelist(t *testing.T) {
	r := twoNodes(t, nil)
	s := r.inf.source
	list := func() *capacity.NodeCapacityList {
		t.Helper()
		obj, err := s.ListWithContext(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return obj.(*capacity.NodeCapacityList)
	}
	first := list()
	if len(first.Items) != 2 || first.Items[0].Last || !first.Items[1].Last || first.ResourceVersion != "1" {
		t.Errorf("list = %v", first)
	}
	r.prom.Close()
	s.mu.Lock()
	s.poll(t.Context())
	s.mu.Unlock()
	if again := list(); len(again.Items) != 2 || again.ResourceVersion != "1" {
		t.Errorf("list after a failure = %v, want what is known", again)
	}
	if _, err := s.WatchWithContext(t.Context(), metav1.ListOptions{ResourceVersion: "0815"}); !apierrors.IsResourceExpired(err) {
		t.Errorf("a watch from an unknown version: %v, want Gone", err)
	}
	s.undelivered = true
	if _, err := s.Watch(metav1.ListOptions{ResourceVersion: "1"}); !apierrors.IsResourceExpired(err) {
		t.Errorf("a watch after lost events: %v, want Gone", err)
	}
	list()
	w, err := s.Watch(metav1.ListOptions{ResourceVersion: "1"})
	if err != nil {
		t.Fatal(err)
	}
	w.Stop()
	w.Stop()
	if _, open := <-w.ResultChan(); open {
		t.Error("a stopped watch has events")
	}
	if !s.IsWatchListSemanticsUnSupported() {
		t.Error("the reflector would ask for a watch list")
	}
}

// TestIsAnInformer is what users of any informer do: indexers, a handler with
// resync, one that comes late.
func TestIsAnInformer(t *testing.T) {
	r := twoNodes(t, nil)
	byUID := func(obj any) ([]string, error) { return []string{string(obj.(*capacity.NodeCapacity).UID)}, nil }
	if err := r.inf.AddIndexers(cache.Indexers{"uid": byUID}); err != nil {
		t.Fatal(err)
	}
	var resynced atomic.Int64
	if _, err := r.inf.AddEventHandlerWithResyncPeriod(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, after any) {
			if before == after {
				resynced.Add(1)
			}
		},
	}, time.Second); err != nil {
		t.Fatal(err)
	}
	r.run()
	found, err := r.inf.GetIndexer().ByIndex("uid", "uid-b")
	if err != nil || len(found) != 1 || found[0].(*capacity.NodeCapacity).Name != "b" {
		t.Errorf("by UID: %v, %v", found, err)
	}
	var late atomic.Int64
	registration, err := r.inf.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(any) { late.Add(1) }})
	if err != nil {
		t.Fatal(err)
	}
	r.eventually("a late handler", func() bool { return registration.HasSynced() && late.Load() == 2 })
	r.takeSteps()
	r.eventually("a resync", func() bool { return resynced.Load() >= 2 })
	if steps := r.takeSteps(); len(steps) != 0 {
		t.Errorf("a resync did %q to the tracker", steps)
	}
}

// TestTrackerSeesARelist is a deletion that the informer itself found.
func TestTrackerSeesARelist(t *testing.T) {
	r := newRig(t, nil, capacity.CPU)
	h := handler{r}
	h.OnDelete(cache.DeletedFinalStateUnknown{Key: "gone"})
	h.OnDelete("nonsense")
	h.OnAdd("nonsense", false)
	h.OnUpdate(nil, "nonsense")
	if got, want := r.takeSteps(), []string{"delete gone true", "publish"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestNodesComeLate is a node lister that has not synced at the first poll.
func TestNodesComeLate(t *testing.T) {
	r := newRig(t, nil, capacity.CPU, capacity.Memory)
	r.healthy()
	unmatched := r.rejections("cpu", rejectedUnmatched)
	r.run()
	r.addNode("a", "10.0.0.1")
	r.addNode("b", "10.0.0.2")
	r.poll()
	if waited := r.clock.Since(start); waited > 3*time.Second {
		t.Errorf("the poll after the nodes came only %v after the start", waited)
	}
	if got := r.known(); !slices.Equal(got, []string{"a", "b"}) || unmatched() != 0 {
		t.Errorf("known = %q, with %v series unmatched", got, unmatched())
	}
}

func TestLeavesNothingBehind(t *testing.T) {
	r := twoNodes(t, func(c *Config) { c.History = History{CPU: "historyCPU"} })
	r.run()
	r.poll()
	hanging := make(chan struct{})
	var once sync.Once
	r.prom.set("cpu", func(_ http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(hanging) })
		<-r.Context().Done()
	})
	r.eventually("a poll under way", func() bool {
		r.clock.Step(time.Second)
		select {
		case <-hanging:
			return true
		default:
			return false
		}
	})
	errors := r.polls(resultError)
	began := time.Now()
	r.end()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if errors() != 0 {
		t.Error("being stopped counts as a failure")
	}
	r.prom.Close()
	r.eventually("no goroutine", func() bool {
		var stacks bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
			t.Fatal(err)
		}
		for _, s := range strings.Split(stacks.String(), "\n\n") {
			ours := strings.Contains(s, "client-go") || strings.Contains(s, "persistConn") || strings.Contains(s, "capacity/prometheus.(")
			if ours && !strings.Contains(s, "TestLeavesNothingBehind") {
				return false
			}
		}
		return true
	})
}

// TestMetricsStartAtZero is each metric and each value of its labels, before
// anything happened.
func TestMetricsStartAtZero(t *testing.T) {
	newRig(t, nil, capacity.CPU)
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "auriga_capacity_") {
			got[f.GetName()] = len(f.GetMetric())
		}
	}
	want := map[string]int{
		"auriga_capacity_polls_total":                    3,
		"auriga_capacity_poll_duration_seconds":          1,
		"auriga_capacity_query_errors_total":             10 * 6,
		"auriga_capacity_rejected_samples_total":         10 * 5,
		"auriga_capacity_nodes":                          3,
		"auriga_capacity_oldest_reading_age_seconds":     1,
		"auriga_capacity_last_success_timestamp_seconds": 1,
		"auriga_capacity_workloads_known":                1,
	}
	if !maps.Equal(got, want) {
		t.Errorf("series = %v, want %v", got, want)
	}
}

func TestCapacities(t *testing.T) {
	r := newRig(t, nil, capacity.CPU)
	r.addNode("a", "", func(n *corev1.Node) {
		n.Status.Capacity = corev1.ResourceList{
			"cpu": resource.MustParse("7500m"), "memory": resource.MustParse("2Ki"), "nvidia.com/gpu": resource.MustParse("4"), "pods": resource.MustParse("110"),
		}
	})
	r.healthy()
	r.run()
	if got, want := r.set["a"].Capacity, (capacity.Amounts{capacity.CPU: 7.5, capacity.Memory: 2048, capacity.GPU: 4}); got != want {
		t.Errorf("capacity = %v, want %v", got, want)
	}
}

func TestBurst(t *testing.T) {
	var b burst
	var scratch []float64
	at := start
	for i := range 40 {
		b.add(float64(i), at, 5*time.Minute)
		at = at.Add(15 * time.Second)
	}
	// 20 polls are in 5 minutes: 20 to 39; the 19th of them is the 95th percentile.
	got, _ := b.p95(scratch)
	if got != 38 || len(b.values) != 20 {
		t.Errorf("p95 = %v of %v", got, b.values)
	}
	var one burst
	one.add(3, at, time.Minute)
	if got, _ := one.p95(nil); got != 3 {
		t.Errorf("p95 of one = %v, want it", got)
	}
}
