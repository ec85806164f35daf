// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"auriga.dev/auriga/pkg/demo/heatmap"
	"auriga.dev/auriga/pkg/trace"
)

// prometheus answers each query for CPU and for memory in turn, by the bodies it
// is given; the last one stays. "" is an error.
type prometheus struct {
	cpu, memory []string
	queries     []string
}

func (p *prometheus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.FormValue("query")
	p.queries = append(p.queries, query)
	answers := &p.memory
	if strings.Contains(query, "node_cpu_seconds_total") {
		answers = &p.cpu
	}
	body := (*answers)[0]
	if len(*answers) > 1 {
		*answers = (*answers)[1:]
	}
	w.Header().Set("Content-Type", "application/json")
	if body == "" {
		w.WriteHeader(http.StatusUnprocessableEntity)
		body = `{"status":"error","errorType":"execution","error":"the disk is full"}`
	}
	_, _ = w.Write([]byte(body)) // the client says what is wrong
}

// vector is an answer with a value for each worker.
func vector(pairs ...any) string {
	var series []string
	for i := 0; i < len(pairs); i += 2 {
		series = append(series, fmt.Sprintf(`{"metric":{"instance":"%v"},"value":[1,"%v"]}`, pairs[i], pairs[i+1]))
	}
	return `{"status":"success","data":{"resultType":"vector","result":[` + strings.Join(series, ",") + `]}}`
}

// twoWorkers have 4 cores and 16 bytes, 12 cores and 48 bytes.
func twoWorkers() []trace.Node {
	return []trace.Node{{Name: "small", CPUMilli: 4000, MemoryBytes: 16}, {Name: "large", CPUMilli: 12000, MemoryBytes: 48}}
}

// newTestSampler asks the prometheus about twoWorkers, of which 2 cores and 8
// bytes, 12 cores and 12 bytes are requested.
func newTestSampler(t *testing.T, p http.Handler) (*sampler, *clocktesting.FakePassiveClock) {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	clock := clocktesting.NewFakePassiveClock(start)
	requested := func() map[string]amounts {
		return map[string]amounts{"small": {cpu: 2, memory: 8}, "large": {cpu: 12, memory: 12}}
	}
	s, err := newSampler(server.URL, 5*time.Second, twoWorkers(), requested, clock)
	if err != nil {
		t.Fatal(err)
	}
	s.start = start
	return s, clock
}

func TestSampler(t *testing.T) {
	p := &prometheus{
		cpu:    []string{vector("small", 1, "large", 6), "", vector("large", 3, "stranger", 7)},
		memory: []string{vector("small", 4, "large", 6), vector("small", 2, "large", 6), vector("small", 6, "large", 12)},
	}
	s, clock := newTestSampler(t, p)
	for i := range 3 {
		clock.SetTime(start.Add(time.Duration(5*(i+1)) * time.Second))
		s.sample(t.Context())
	}
	nan := math.NaN()
	want := Load{
		Workers: []string{"small", "large"},
		Seconds: []float64{5, 10, 15},
		CPU: Pair{
			Requested: heatmap.Matrix{{0.5, 0.5, 0.5}, {1, 1, 1}},
			Measured:  heatmap.Matrix{{0.25, nan, nan}, {0.5, nan, 0.25}},
		},
		Memory: Pair{
			Requested: heatmap.Matrix{{0.5, 0.5, 0.5}, {0.25, 0.25, 0.25}},
			Measured:  heatmap.Matrix{{0.25, 0.125, 0.375}, {0.125, 0.125, 0.25}},
		},
	}
	if diff := cmp.Diff(want, s.load, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("load (-want +got):\n%s", diff)
	}
	if got := p.queries[0]; got != `sum by (instance) (rate(node_cpu_seconds_total{mode!="idle"}[15s]))` {
		t.Errorf("the query for CPU is %s, want a rate over three scrapes", got)
	}

	report := s.report()
	if !strings.Contains(report.LastError, "the disk is full") {
		t.Errorf("last error = %q, want what Prometheus said", report.LastError)
	}
	report.LastError = ""
	wantReport := Measured{
		Samples: 2, Errors: 1, ScrapeIntervalSeconds: 5,
		// Moments 1 and 3: 14 of 16 cores, 7 of them used; of the large one alone, 12 of 12 and 3.
		CPU: ResourceUse{RequestedMean: (14.0/16 + 1) / 2, RequestedPeak: 1, MeasuredMean: (7.0/16 + 0.25) / 2, MeasuredPeak: 7.0 / 16},
		// 20 of 64 bytes; 10, 8 and 18 of them used.
		Memory: ResourceUse{RequestedMean: 20.0 / 64, RequestedPeak: 20.0 / 64, MeasuredMean: 12.0 / 64, MeasuredPeak: 18.0 / 64},
		Workers: []WorkerUse{
			{"small", 0.5, 0.25, 0.5, 0.25},
			{"large", 1, 0.375, 0.25, 0.5 / 3},
		},
	}
	if diff := cmp.Diff(wantReport, report, cmpopts.EquateApprox(0, 1e-12)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

// Whatever Prometheus answers, the sampler goes on and counts it.
func TestSamplerErrors(t *testing.T) {
	for name, body := range map[string]string{
		"an error":       "",
		"no series":      vector(),
		"not a vector":   `{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`,
		"not Prometheus": `<html>`,
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newTestSampler(t, &prometheus{cpu: []string{body}, memory: []string{body}})
			s.sample(t.Context())
			got := s.report()
			if got.Samples != 0 || got.Errors != 2 || !strings.Contains(got.LastError, memoryQuery) || len(got.Workers) != 0 || got.CPU != (ResourceUse{}) {
				t.Errorf("report = %+v, want two errors, the last for the query of memory, and nothing else", got)
			}
		})
	}
}

// The end of the jobs ends a query that hangs, and that is no failure.
func TestSamplerEnds(t *testing.T) {
	asked := make(chan struct{})
	s, _ := newTestSampler(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.FormValue("query") // the server notices a client that leaves once it has read what it sent
		close(asked)
		<-r.Context().Done()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	ticks := make(chan time.Time)
	go func() {
		defer close(done)
		s.run(ctx, ticks)
	}()
	ticks <- start
	<-asked
	cancel()
	<-done
	if got := s.report(); got.Samples != 0 || got.Errors != 0 || len(s.load.Seconds) != 0 {
		t.Errorf("report = %+v, want neither a sample nor an error", got)
	}
}

func TestSamplerAwait(t *testing.T) {
	p := &prometheus{cpu: []string{"", vector(), vector("small", 1), vector("small", 1, "large", 1)}}
	s, _ := newTestSampler(t, p)
	ticks := make(chan time.Time)
	done := make(chan error)
	go func() { done <- s.await(t.Context(), ticks) }()
	for range 4 {
		ticks <- start
	}
	if err := <-done; err != nil {
		t.Errorf("await: %v", err)
	}
	if len(p.queries) != 4 {
		t.Errorf("%d queries, want 4: until all workers are known", len(p.queries))
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.await(ended, ticks); err == nil {
		t.Error("await: no error when it is ended")
	}
}

func TestReportOfNoWorkers(t *testing.T) {
	s, err := newSampler("http://127.0.0.1:1", time.Second, nil, nil, clocktesting.NewFakePassiveClock(start))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Measured{ScrapeIntervalSeconds: 1}, s.report()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestObserverRequested(t *testing.T) {
	on := func(worker string) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Spec.NodeName = worker } }
	s := newStory()
	s.also([]corev1.Pod{*pod("auriga", "0.5", on("b")), *pod("auriga-waits", "8")})
	s.at(0, pod("a", "2"), pod("b", "3", on("a")), pod("c", "4", on("b")), pod("d", "1", on("b")))
	s.at(1, pod("a", "2", on("a")), pod("c", "4", on("b"), phase(corev1.PodSucceeded)))
	want := map[string]amounts{"a": {cpu: 5}, "b": {cpu: 1.5}}
	if diff := cmp.Diff(want, s.requested(), cmp.AllowUnexported(amounts{})); diff != "" {
		t.Errorf("requested (-want +got):\n%s", diff)
	}
}
