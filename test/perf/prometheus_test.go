// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	corev1listers "k8s.io/client-go/listers/core/v1"

	"auriga.dev/auriga/pkg/capacity"
	"auriga.dev/auriga/pkg/capacity/prometheus"
)

// answers are the bodies of the answers, by PromQL.
type answers map[string][]byte

// answerer says what is answered at the moment. The nil one hangs: connections
// are accepted, requests read, and nothing is ever answered.
type answerer func() (answers, error)

// prometheusServer is a loopback server that speaks Prometheus' query API.
type prometheusServer struct {
	*httptest.Server
	answers answerer
	// history are the queries that are no poll's.
	history []string

	// began is when the first query of a poll arrived since newPoll, in
	// nanoseconds since 1970; 0 for not yet.
	began atomic.Int64
	// answered and hung count queries; mistakes those that could not be answered.
	answered, hung, mistakes atomic.Int64
}

// newPrometheusServer starts a server, which the caller stops.
func newPrometheusServer(answers answerer) *prometheusServer {
	defaults := prometheus.Config{}.WithDefaults()
	s := &prometheusServer{answers: answers, history: []string{defaults.History.CPU, defaults.History.Memory}}
	s.Server = httptest.NewServer(s)
	return s
}

// stop stops the server, and lets nobody wait for an answer.
func (s *prometheusServer) stop() {
	s.CloseClientConnections()
	s.Close()
}

// newPoll has the next query count as a poll's first.
func (s *prometheusServer) newPoll() { s.began.Store(0) }

// pollBegan is when it arrived.
func (s *prometheusServer) pollBegan() time.Time { return time.Unix(0, s.began.Load()) }

// ServeHTTP implements http.Handler.
func (s *prometheusServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.FormValue("query")
	if !slices.Contains(s.history, query) {
		s.began.CompareAndSwap(0, time.Now().UnixNano())
	}
	if s.answers == nil {
		s.hung.Add(1)
		<-r.Context().Done() // The client has hung up.
		return
	}
	known, err := s.answers()
	body, ok := known[query]
	if err != nil || !ok || r.URL.Path != "/api/v1/query" {
		s.mistakes.Add(1)
		http.Error(w, fmt.Sprintf("%s: %q: %v", r.URL.Path, query, err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(body); err == nil {
		s.answered.Add(1)
	}
}

// always answers the same.
func always(a answers) answerer {
	return func() (answers, error) { return a, nil }
}

// follower answers for the nodes that a lister has at the moment.
type follower struct {
	nodes atomic.Pointer[corev1listers.NodeLister]

	mu      sync.Mutex
	names   []string // Of the nodes that answers are for.
	answers answers
}

// follow sets the lister.
func (f *follower) follow(nodes corev1listers.NodeLister) { f.nodes.Store(&nodes) }

// answer is asked by several queries at once; the first renders for all.
func (f *follower) answer() (answers, error) {
	lister := f.nodes.Load()
	if lister == nil {
		return nil, errors.New("no plugin has been made yet")
	}
	nodes, err := (*lister).List(labels.Everything())
	if err != nil {
		return nil, err
	}
	slices.SortFunc(nodes, func(a, b *v1.Node) int { return strings.Compare(a.Name, b.Name) })
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.answers == nil || !slices.EqualFunc(f.names, nodes, func(name string, n *v1.Node) bool { return name == n.Name }) {
		f.names = f.names[:0]
		for _, n := range nodes {
			f.names = append(f.names, n.Name)
		}
		f.answers = render(nodes)
	}
	return f.answers, nil
}

// render answers all default queries for the nodes, as node_exporters and a
// DCGM exporter on all of them would let Prometheus do: loads from 10 to 50 % of
// a node, ages below a second. No history of workloads is known.
func render(nodes []*v1.Node) answers {
	const nothing = `{"status":"success","data":{"resultType":"vector","result":[]}}`
	defaults := prometheus.Config{}.WithDefaults()
	out := answers{
		defaults.History.CPU: []byte(nothing), defaults.History.Memory: []byte(nothing),
		*defaults.AgeQuery: renderVector(nodes, func(_ *v1.Node, load float64) float64 { return load }),
	}
	for r, query := range defaults.Queries {
		out[query] = renderVector(nodes, func(n *v1.Node, load float64) float64 { return load * amount(n, r) })
	}
	return out
}

// amount is what a node has of a resource; 0 of something unknown.
func amount(n *v1.Node, r capacity.Resource) float64 {
	switch r {
	case capacity.CPU:
		return n.Status.Capacity.Cpu().AsApproximateFloat64()
	case capacity.Memory:
		return n.Status.Capacity.Memory().AsApproximateFloat64()
	case capacity.Disk, capacity.GPU:
		return 1
	case capacity.Network:
		return 1.25e9
	case capacity.GPUMemory:
		return 80 << 30
	case capacity.Power:
		return 400
	default:
		return 0
	}
}

// renderVector writes a vector of one series a node in Prometheus' JSON. load,
// from 0.1 to 0.5, is spread evenly over the nodes and the same in each vector.
func renderVector(nodes []*v1.Node, value func(n *v1.Node, load float64) float64) []byte {
	var b bytes.Buffer
	b.WriteString(`{"status":"success","data":{"resultType":"vector","result":[`)
	for i, n := range nodes {
		if i > 0 {
			b.WriteByte(',')
		}
		_, part := math.Modf(float64(i) * math.Phi)
		fmt.Fprintf(&b, `{"metric":{"instance":%q},"value":[1700000000.123,%q]}`,
			instance(n), strconv.FormatFloat(value(n, 0.1+0.4*part), 'g', -1, 64))
	}
	b.WriteString(`]}}`)
	return b.Bytes()
}

// instance is what a scrape of the node's exporter is called.
func instance(n *v1.Node) string {
	for _, a := range n.Status.Addresses {
		if a.Type == v1.NodeInternalIP {
			return a.Address + ":9100"
		}
	}
	return n.Name + ":9100"
}
