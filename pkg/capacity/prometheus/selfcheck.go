// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
)

const selfCheckInterval = time.Minute

// selfCheck says, at the start and each minute, if the series are not the nodes'.
func (p *poller) selfCheck(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-p.matchable:
	}
	failing := false
	for {
		message := p.check(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case message != "":
			p.client.logger.Error(nil, message)
			p.report.record(corev1.EventTypeWarning, eventUnmatched, message)
		case failing:
			p.client.logger.Info("The series of the nodes' load match the nodes")
		}
		failing = message != ""
		timer := p.clock.NewTimer(selfCheckInterval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		}
	}
}

// check is what is wrong with the last poll's matching; "" is nothing. Only if
// there is something, it asks for series with all their labels.
func (p *poller) check(ctx context.Context) string {
	p.lookMu.Lock()
	seen := p.look
	p.lookMu.Unlock()
	bad := seen.bad()
	if len(bad) == 0 {
		return ""
	}
	var raw []model.Metric
	if bad[0].required && p.readsExampleSeries() {
		for _, s := range p.client.ask(ctx, bad[0].query, exampleSeries).vector {
			raw = append(raw, s.Metric)
		}
	}
	return diagnose(seen.index, bad, raw)
}

// readsExampleSeries says whether the labels of exampleSeries are of interest: a
// query of what nodes should have reads it.
func (p *poller) readsExampleSeries() bool {
	reads := strings.Contains(p.age, exampleSeries)
	for _, q := range p.queries {
		reads = reads || strings.Contains(q.promQL, exampleSeries)
	}
	return reads
}

// bad are the queries that matched fewer than half of the nodes; of those that
// not every node has something to say to, fewer than half of their series.
func (l look) bad() []match {
	var bad []match
	for _, m := range l.matches {
		want := len(l.index.nodes)
		if !m.required {
			want = min(want, m.series)
		}
		if m.matched*2 < want {
			bad = append(bad, m)
		}
	}
	// What every node should have says most.
	slices.SortStableFunc(bad, func(a, b match) int {
		switch {
		case a.required == b.required:
			return 0
		case a.required:
			return -1
		}
		return 1
	})
	return bad
}

// diagnose says what the bad matches of nodes are, and the setting that would
// match most. raw are series with all their labels; if there are none, those of
// the first bad answer are looked at.
func diagnose(index *nodeIndex, bad []match, raw []model.Metric) string {
	first := bad[0]
	var names []string
	for _, m := range bad {
		if m.matched == first.matched && m.required == first.required {
			names = append(names, m.query)
		}
	}
	queries := "query"
	if len(names) > 1 {
		queries = "queries"
	}
	message := fmt.Sprintf("matched %d of %d nodes (%s %s): ", first.matched, len(index.nodes), queries, strings.Join(names, ", "))
	series := raw
	if len(series) == 0 {
		series = first.examples
	}
	if len(series) == 0 {
		return message + noSeries(names)
	}
	example := index.nodes[max(first.without, 0)]
	message += fmt.Sprintf("series carry %s; nodes have %s; ", describe(index, unmatchedOf(index, series)), describeNode(example))
	proposed, matches := propose(index, series)
	switch {
	case matches > first.matched:
		return message + "set `nodeMapping` to " + proposed
	case first.matched > 0 && !slices.ContainsFunc(series, func(m model.Metric) bool { _, ok := index.of(m); return !ok }):
		return message + "all series match: let Prometheus scrape the other nodes too"
	case !first.required:
		return message + fmt.Sprintf("replace `queries.%s` so that it answers a node's name or address in the label %s (see label_replace)", first.query, index.Label)
	}
	return message + "set `nodeMapping` to a label with a node's name or InternalIP; no label has one, so add one by relabelling the scrape " +
		"(__meta_kubernetes_node_name as node)"
}

// noSeries is the advice for queries whose answers are empty.
func noSeries(queries []string) string {
	var fields []string
	advice := ""
	for _, query := range queries {
		if query == ageQuery {
			fields = append(fields, "`ageQuery`")
			advice = " (where there is no age, no reading is taken)"
		} else {
			fields = append(fields, "`queries."+query+"`")
		}
	}
	return "Prometheus answered no series: let it scrape node_exporter on the nodes, or replace " + strings.Join(fields, ", ") + " by what it has" + advice
}

// unmatchedOf is a series of no node, or just one if there is none: the same one
// each time, in whatever order they come.
func unmatchedOf(index *nodeIndex, series []model.Metric) model.Metric {
	unmatched := slices.DeleteFunc(slices.Clone(series), func(m model.Metric) bool { _, ok := index.of(m); return ok })
	if len(unmatched) == 0 {
		unmatched = series
	}
	return slices.MinFunc(unmatched, func(a, b model.Metric) int {
		return cmp.Or(cmp.Compare(a[index.label], b[index.label]), cmp.Compare(a.String(), b.String()))
	})
}

// describe writes a series' labels, that of the mapping first.
func describe(index *nodeIndex, series model.Metric) string {
	const most = 8
	texts := []string{fmt.Sprintf("no label %s", index.Label)}
	if value, ok := series[index.label]; ok {
		texts[0] = fmt.Sprintf("%s=%s", index.Label, shorten(string(value), 100))
	}
	for _, label := range labelsOf(series) {
		if label != index.label && len(texts) < most {
			texts = append(texts, fmt.Sprintf("%s=%s", label, shorten(string(series[label]), 100)))
		}
	}
	return strings.Join(texts, ", ")
}

func labelsOf(series model.Metric) []model.LabelName {
	names := slices.Sorted(maps.Keys(series))
	return slices.DeleteFunc(names, func(name model.LabelName) bool { return name == model.MetricNameLabel })
}

func describeNode(node *corev1.Node) string {
	if ip := internalIP(node); ip != "" {
		return fmt.Sprintf("name %s, InternalIP %s", node.Name, ip)
	}
	return fmt.Sprintf("name %s, no InternalIP", node.Name)
}

// firstLabel takes the first label of a DNS name.
const firstLabel = `^([^.:]+)`

// propose tries each label of the series in the ways in which it can name a node,
// and returns the mapping of most nodes and of how many.
func propose(index *nodeIndex, series []model.Metric) (string, int) {
	labels := map[model.LabelName]struct{}{}
	for _, m := range series {
		for label := range m {
			labels[label] = struct{}{}
		}
	}
	best, most := "", 0
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		for _, way := range []NodeMapping{
			{Match: MatchName},
			{Match: MatchInternalIP},
			{Match: MatchNameOrInternalIP},
			{Match: MatchName, Regexp: firstLabel},
		} {
			way.Label = string(label)
			if n := matching(index, way, series); n > most {
				best, most = way.String(), n
			}
		}
	}
	return best, most
}

// matching is how many nodes a mapping finds.
func matching(index *nodeIndex, way NodeMapping, series []model.Metric) int {
	tried := *index
	tried.mapper = newMapper(way)
	found := map[int]struct{}{}
	for _, m := range series {
		if n, ok := tried.of(m); ok {
			found[n] = struct{}{}
		}
	}
	return len(found)
}

// String writes it as in a configuration file.
func (m NodeMapping) String() string {
	if m.Regexp == "" {
		return fmt.Sprintf("{label: %s, match: %s}", m.Label, m.Match)
	}
	return fmt.Sprintf("{label: %s, match: %s, regexp: '%s'}", m.Label, m.Match, m.Regexp)
}
