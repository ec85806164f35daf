// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/utils/clock"

	"auriga.dev/auriga/pkg/capacity"
)

// poller asks all queries at once and keeps what is known of each node.
type poller struct {
	client  *client
	nodes   corev1listers.NodeLister
	clock   clock.WithTicker
	metrics *informerMetrics
	report  *reporter
	mapper  mapper
	queries []resourceQuery
	age     string // "" is none.

	pollInterval time.Duration
	burstWindow  time.Duration
	staleAfter   time.Duration

	// mu is held through a poll, which the client's timeout ends.
	mu sync.Mutex
	// jitter is drawn from for each poll.
	jitter *rand.Rand
	// polls counts those begun. version is the number of the last one that had
	// events: what the handed-out objects' resourceVersion says at most.
	polls, version uint64
	began          time.Time
	early          int // How many polls came early: see wait.
	wanting        bool
	known          map[string]*nodeState
	ages           []sample // Of the present poll, by node; kept for its memory.
	column         []sample
	sorted         []float64

	lookMu sync.Mutex
	look   look
	// matchable is closed after the first poll that had a node to match.
	matchable     chan struct{}
	closeWhenSeen sync.Once
}

// resourceQuery is a query that is on.
type resourceQuery struct {
	resource capacity.Resource
	promQL   string
}

// nodeState is what is known of a node of one UID.
type nodeState struct {
	uid      types.UID
	measured capacity.Measured
	bursts   [capacity.NumResources]burst
	object   *capacity.NodeCapacity // As last handed out; nil for never.
}

// look is what the self-check looks at: the last poll's matching.
type look struct {
	index   *nodeIndex
	matches []match
}

// match is how an answer's series matched the nodes.
type match struct {
	query    string
	required bool // All nodes should have one.
	series   int
	matched  int            // Nodes.
	examples []model.Metric // Some of the series, at most maxExamples.
	without  int            // The first node, by name, without a series; -1 for none.
}

const maxExamples = 100

// sample is what an answer said of a node.
type sample struct {
	value     float64
	evaluated model.Time // By the source's clock, as it states.
	state     sampleState
}

type sampleState uint8

const (
	sampleMissing sampleState = iota
	sampleOK
	sampleRejected // No number that can be.
	sampleDuplicate
)

// poll asks, and returns the events; nil if ctx ended meanwhile.
func (p *poller) poll(ctx context.Context) []watch.Event {
	p.polls++
	p.began = p.clock.Now()
	answers := p.ask(ctx)
	if ctx.Err() != nil {
		return nil
	}
	nodes, err := p.nodes.List(labels.Everything())
	if err != nil {
		p.client.logger.Error(err, "Cannot list nodes")
		return nil
	}
	index := newNodeIndex(p.mapper, nodes)
	took := p.take(index, answers)
	events := p.events(index, took)
	p.account(index, answers, took)
	return events
}

// ask sends all queries in parallel; the age's is the first.
func (p *poller) ask(ctx context.Context) []answer {
	answers := make([]answer, 1+len(p.queries))
	var wg sync.WaitGroup
	if p.age != "" {
		wg.Go(func() { answers[0] = p.client.ask(ctx, ageQuery, p.age) })
	}
	for i, q := range p.queries {
		wg.Go(func() { answers[1+i] = p.client.ask(ctx, q.resource.String(), q.promQL) })
	}
	wg.Wait()
	return answers
}

// take puts the answers' readings into known, and says whether there were
// answers to take from.
func (p *poller) take(index *nodeIndex, answers []answer) bool {
	p.forgetOthers(index)
	seen := look{index: index}
	if p.age != "" {
		if answers[0].err != nil {
			return false // Nobody knows how old the other answers are.
		}
		var m match
		p.ages, m = p.evaluate(index, answers[0], p.ages, true)
		seen.matches = append(seen.matches, m)
	}
	took := false
	for i, q := range p.queries {
		a := answers[1+i]
		if a.err != nil {
			continue
		}
		took = true
		var m match
		p.column, m = p.evaluate(index, a, p.column, isRequired(q.resource))
		seen.matches = append(seen.matches, m)
		for n, node := range index.nodes {
			p.read(node, q.resource, p.column[n], n, answers[0].received, a.received)
		}
	}
	p.lookMu.Lock()
	p.look = seen
	p.lookMu.Unlock()
	if len(index.nodes) > 0 && took {
		p.closeWhenSeen.Do(func() { close(p.matchable) })
	}
	return took
}

// isRequired says whether every node should have a reading of a resource.
func isRequired(r capacity.Resource) bool { return r == capacity.CPU || r == capacity.Memory }

// evaluate sorts an answer's samples by node, into the memory of column. What it
// rejects it counts.
func (p *poller) evaluate(index *nodeIndex, a answer, column []sample, required bool) ([]sample, match) {
	column = slices.Grow(column[:0], len(index.nodes))[:len(index.nodes)]
	clear(column)
	m := match{query: a.query, required: required, series: len(a.vector), without: -1}
	rejected := map[string]int{}
	for _, s := range a.vector {
		if len(m.examples) < maxExamples {
			m.examples = append(m.examples, s.Metric)
		}
		n, ok := index.of(s.Metric)
		if !ok {
			rejected[rejectedUnmatched]++
			continue
		}
		at := &column[n]
		switch at.state {
		case sampleMissing:
			m.matched++
			value, reason := plausible(s, a.query == ageQuery)
			*at = sample{value, s.Timestamp, sampleOK}
			if reason != "" {
				at.state = sampleRejected
				rejected[reason]++
			}
		case sampleDuplicate:
			rejected[rejectedDuplicate]++
		default:
			at.state = sampleDuplicate
			rejected[rejectedDuplicate] += 2 // It and the one before.
		}
	}
	if len(index.nodes) > 0 { // Else nobody told us of the nodes yet.
		for reason, count := range rejected {
			p.metrics.rejected.WithLabelValues(a.query, reason).Add(float64(count))
		}
	}
	m.without = slices.IndexFunc(column, func(s sample) bool { return s.state == sampleMissing })
	return column, m
}

// plausible is a sample's value, or why it can be none.
func plausible(s *model.Sample, isAge bool) (value float64, reason string) {
	value = float64(s.Value)
	switch {
	case s.Histogram != nil || math.IsNaN(value):
		return 0, rejectedNaN
	case math.IsInf(value, 0):
		return 0, rejectedInfinite
	case isAge && value < 0 && value > -1:
		// Prometheus moves the time of a scrape by some milliseconds to align it.
		return 0, ""
	case value < 0:
		return 0, rejectedNegative
	}
	return value, ""
}

// read makes a reading of a sample of the n-th node.
func (p *poller) read(node *corev1.Node, r capacity.Resource, s sample, n int, agesReceived, received time.Time) {
	if s.state != sampleOK {
		return
	}
	sampled := received
	if p.age != "" {
		age := p.ages[n]
		if age.state != sampleOK || age.value > maxAge.Seconds() {
			return
		}
		// The queries of a poll are not evaluated at the same moment: a scrape that
		// came after this one is none of its value. The next poll has it.
		old := time.Duration(age.value * float64(time.Second))
		if scraped := age.evaluated.Add(-old); scraped > s.evaluated+1 {
			return
		}
		sampled = agesReceived.Add(-old)
	}
	// Of a node of the same name that was there before.
	if sampled.Before(node.CreationTimestamp.Time) {
		return
	}
	mean, ok := capacity.NewReading(s.value, sampled)
	if !ok {
		return
	}
	state := p.known[node.Name]
	if state == nil {
		state = &nodeState{uid: node.UID}
		p.known[node.Name] = state
	}
	state.measured[r].Mean = mean
	b := &state.bursts[r]
	b.add(s.value, received, p.burstWindow)
	var p95 float64
	p95, p.sorted = b.p95(p.sorted)
	state.measured[r].Burst = capacity.Reading{Value: p95, Sampled: sampled}
}

// maxAge is the oldest sample that is worth anything; it keeps a nonsensical age
// from overflowing a duration.
const maxAge = 24 * time.Hour

// forgetOthers starts afresh what is another node now, but keeps its object: it
// is replaced or deleted.
func (p *poller) forgetOthers(index *nodeIndex) {
	for _, node := range index.nodes {
		if state := p.known[node.Name]; state != nil && state.uid != node.UID {
			p.known[node.Name] = &nodeState{uid: node.UID, object: state.object}
		}
	}
}

// events are of what is gone, then of all that is known, each sorted by name. If
// the poll brought no answer they are only of what is gone.
func (p *poller) events(index *nodeIndex, took bool) []watch.Event {
	var gone, present []watch.Event
	version := strconv.FormatUint(p.polls, 10)
	for name, state := range p.known {
		if n, exists := index.names[name]; exists && index.nodes[n].UID == state.uid && hasReading(state.measured) {
			continue
		}
		delete(p.known, name)
		if state.object != nil {
			last := *state.object
			last.ResourceVersion, last.Last = version, false
			gone = append(gone, watch.Event{Type: watch.Deleted, Object: &last})
		}
	}
	slices.SortFunc(gone, func(a, b watch.Event) int { return cmp.Compare(nodeOf(a).Name, nodeOf(b).Name) })
	for _, node := range index.nodes {
		state := p.known[node.Name]
		if !took || state == nil {
			continue
		}
		event := watch.Event{Type: watch.Modified}
		if state.object == nil {
			event.Type = watch.Added
		}
		state.object = newObject(node, state.measured, version)
		event.Object = state.object
		present = append(present, event)
	}
	events := slices.Concat(gone, present)
	if len(events) > 0 {
		nodeOf(events[len(events)-1]).Last = true
		p.version = p.polls
	}
	return events
}

// nodeOf is an event's object.
func nodeOf(e watch.Event) *capacity.NodeCapacity { return e.Object.(*capacity.NodeCapacity) }

func hasReading(m capacity.Measured) bool {
	return slices.ContainsFunc(m[:], func(m capacity.Measure) bool { return m.Mean.OK() })
}

func newObject(node *corev1.Node, measured capacity.Measured, version string) *capacity.NodeCapacity {
	n := &capacity.NodeCapacity{
		ObjectMeta: metav1.ObjectMeta{
			Name: node.Name, UID: node.UID, ResourceVersion: version, CreationTimestamp: node.CreationTimestamp,
		},
		Measured: measured,
	}
	for name, quantity := range node.Status.Capacity {
		switch {
		case name == corev1.ResourceCPU:
			n.Capacity[capacity.CPU] = quantity.AsApproximateFloat64()
		case name == corev1.ResourceMemory:
			n.Capacity[capacity.Memory] = quantity.AsApproximateFloat64()
		case strings.HasSuffix(string(name), "/gpu"): // Of any vendor.
			n.Capacity[capacity.GPU] += quantity.AsApproximateFloat64()
		}
	}
	return n
}

// list is all that is known, sorted by name; the last is marked so.
func (p *poller) list() *capacity.NodeCapacityList {
	list := &capacity.NodeCapacityList{Items: make([]capacity.NodeCapacity, 0, len(p.known))}
	list.ResourceVersion = strconv.FormatUint(p.version, 10)
	for _, state := range p.known {
		if state.object != nil {
			list.Items = append(list.Items, *state.object)
		}
	}
	slices.SortFunc(list.Items, func(a, b capacity.NodeCapacity) int { return cmp.Compare(a.Name, b.Name) })
	for i := range list.Items {
		list.Items[i].Last = i == len(list.Items)-1
	}
	return list
}

// wait is how long to wait for the next poll: the interval, give or take a
// tenth, counted from the last one's begin. As long as a node has no reading,
// such as before the nodes have been listed, the first polls come earlier: after
// 1, 2, 4 and 8 s.
func (p *poller) wait() time.Duration {
	interval := time.Duration(float64(p.pollInterval) * (0.9 + 0.2*p.jitter.Float64()))
	if soon := time.Second << p.early; p.wanting && p.early < 4 && soon < interval {
		interval = soon
		p.early++
	}
	return max(interval-p.clock.Since(p.began), interval/10)
}

// account counts the poll, and tells of a change.
func (p *poller) account(index *nodeIndex, answers []answer, took bool) {
	now := p.clock.Now()
	var failed []*queryError
	asked := 0
	for _, a := range answers {
		if a.query != "" {
			asked++
		}
		if a.err != nil {
			failed = append(failed, a.err)
		}
	}
	result := resultSuccess
	switch {
	case !took:
		result = resultError
	case len(failed) > 0:
		result = resultPartial
	}
	p.metrics.polls.WithLabelValues(result).Inc()
	p.metrics.duration.Observe(now.Sub(p.began).Seconds())
	if took {
		p.metrics.lastSuccess.Set(float64(now.UnixMilli()) / 1000)
	}
	p.accountNodes(index, now)
	p.report.polled(failed, asked, took)
}

// accountNodes counts the nodes by what is known of them.
func (p *poller) accountNodes(index *nodeIndex, now time.Time) {
	var fresh, stale, unmeasured int
	var oldest time.Duration
	for _, node := range index.nodes {
		age, complete := p.ageOf(p.known[node.Name], now)
		oldest = max(oldest, age)
		switch {
		case !complete:
			unmeasured++
		case age > p.staleAfter:
			stale++
		default:
			fresh++
		}
	}
	p.wanting = unmeasured > 0 || len(index.nodes) == 0
	p.metrics.nodes.WithLabelValues(stateFresh).Set(float64(fresh))
	p.metrics.nodes.WithLabelValues(stateStale).Set(float64(stale))
	p.metrics.nodes.WithLabelValues(stateUnmeasured).Set(float64(unmeasured))
	p.metrics.oldest.Set(oldest.Seconds())
}

// ageOf is the age of the oldest reading that a node should have, and whether it
// has all of those.
func (p *poller) ageOf(state *nodeState, now time.Time) (age time.Duration, complete bool) {
	if state == nil {
		return 0, false
	}
	complete = true
	for _, q := range p.queries {
		if !isRequired(q.resource) {
			continue
		}
		mean := state.measured[q.resource].Mean
		complete = complete && mean.OK()
		age = max(age, mean.Age(now))
	}
	return age, complete
}

// burst keeps the means of a window.
type burst struct {
	times  []int64 // Nanoseconds since 1970, of their receipt.
	values []float64
}

// add takes a mean, and forgets those older than window.
func (b *burst) add(value float64, received time.Time, window time.Duration) {
	from := received.Add(-window).UnixNano()
	old := 0
	for old < len(b.times) && b.times[old] <= from {
		old++
	}
	b.times = append(slices.Delete(b.times, 0, old), received.UnixNano())
	b.values = append(slices.Delete(b.values, 0, old), value)
}

// p95 is the 95th percentile by nearest rank; it sorts in the memory of scratch,
// which it returns.
func (b *burst) p95(scratch []float64) (float64, []float64) {
	scratch = append(scratch[:0], b.values...)
	if len(scratch) == 0 {
		return 0, scratch
	}
	slices.Sort(scratch)
	rank := int(math.Ceil(0.95 * float64(len(scratch))))
	return scratch[max(rank, 1)-1], scratch
}

// reporter logs and emits an event when polls begin or cease to fail.
type reporter struct {
	client   *client
	address  string
	recorder func(eventtype, reason, note string)
	reported string // What is known to fail; "" is nothing.
	at       time.Time
}

// Reasons of events.
const (
	eventUnavailable = "CapacityUnavailable"
	eventRestored    = "CapacityRestored"
	eventUnmatched   = "CapacityNodesUnmatched"
)

// polled is told of each poll. It speaks when what fails has changed, at most
// once a minute; that nothing fails any more it says at once.
func (r *reporter) polled(failed []*queryError, asked int, took bool) {
	var kinds []string
	for _, f := range failed {
		kinds = append(kinds, f.query+"="+f.reason)
	}
	kind := strings.Join(kinds, " ")
	now := r.client.clock.Now()
	if kind == r.reported || (kind != "" && !r.at.IsZero() && now.Sub(r.at) < time.Minute) {
		return
	}
	r.reported = kind
	if kind == "" {
		note := "All queries of the nodes' load are answered again"
		r.client.logger.Info(note, "address", r.address)
		r.record(corev1.EventTypeNormal, eventRestored, note)
		return
	}
	r.at = now
	note := fmt.Sprintf("%d of %d queries of the nodes' load failed: %s", len(failed), asked, summary(failed))
	if !took {
		note += "; the readings at hand grow old"
	}
	r.client.logger.Error(nil, note, "address", r.address)
	r.record(corev1.EventTypeWarning, eventUnavailable, note)
}

// summary says what failed; what failed alike is said once.
func summary(failed []*queryError) string {
	var order []string
	queries := map[string][]string{}
	for _, f := range failed {
		text := f.err.Error()
		if len(queries[text]) == 0 {
			order = append(order, text)
		}
		queries[text] = append(queries[text], f.query)
	}
	for i, text := range order {
		what := "query "
		if len(queries[text]) > 1 {
			what = "queries "
		}
		order[i] = what + strings.Join(queries[text], ", ") + ": " + shorten(text, maxNote/4)
	}
	return strings.Join(order, "; ")
}

// maxNote is how long an event's note may be.
const maxNote = 1024

func (r *reporter) record(eventtype, reason, note string) {
	if r.recorder != nil {
		r.recorder(eventtype, reason, shorten(note, maxNote-3))
	}
}
