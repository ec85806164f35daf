// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"auriga.dev/auriga/pkg/capacity"
)

// many are series of the nodes 0 to 999, with labels in which %[1]d is its
// number.
func many(from, to int, labels string) []series {
	var s []series
	for i := from; i < to; i++ {
		s = append(s, series{strings.ReplaceAll(labels, "%d", fmt.Sprint(i)), "1"})
	}
	return s
}

func TestSelfCheck(t *testing.T) {
	const nodesAre = "nodes have name node-0, InternalIP 192.168.0.0; "
	for name, tc := range map[string]struct {
		mapping NodeMapping
		answer  []series // To each query.
		noAge   bool
		raw     []series // Of exampleSeries.
		gpu     []series
		want    string
	}{
		"matches":      {answer: many(0, 1000, `instance="node-%d"`)},
		"half matches": {answer: many(0, 500, `instance="node-%d"`)},
		"few scraped": {
			answer: many(400, 500, `instance="node-%d"`), raw: many(400, 500, `instance="node-%d"`),
			want: "matched 100 of 1000 nodes (queries age, cpu, memory): series carry instance=node-400; " + nodesAre +
				"all series match: let Prometheus scrape the other nodes too",
		},
		"another label has the name": {
			answer: many(0, 1000, `instance="10.0.0.%d:9100"`), raw: many(0, 1000, `instance="10.0.0.%d:9100",job="node-exporter",kubernetes_node="node-%d"`),
			want: "matched 0 of 1000 nodes (queries age, cpu, memory): series carry instance=10.0.0.0:9100, job=node-exporter, kubernetes_node=node-0; " + nodesAre +
				"set `nodeMapping` to {label: kubernetes_node, match: Name}",
		},
		"another label has the address": {
			answer: many(0, 1000, `instance="exporter-%d:9100"`), raw: many(0, 1000, `host_ip="192.168.0.%d",instance="exporter-%d:9100"`),
			want: "matched 0 of 1000 nodes (queries age, cpu, memory): series carry instance=exporter-0:9100, host_ip=192.168.0.0; " + nodesAre +
				"set `nodeMapping` to {label: host_ip, match: InternalIP}",
		},
		"a domain is too much": {
			answer: many(0, 1000, `instance="node-%d.example.com:9100"`), raw: many(0, 1000, `instance="node-%d.example.com:9100"`),
			want: "matched 0 of 1000 nodes (queries age, cpu, memory): series carry instance=node-0.example.com:9100; " + nodesAre +
				"set `nodeMapping` to {label: instance, match: Name, regexp: '^([^.:]+)'}",
		},
		"the match is too narrow": {
			mapping: NodeMapping{Match: MatchInternalIP},
			answer:  many(0, 1000, `instance="node-%d:9100"`), raw: many(0, 1000, `instance="node-%d:9100"`),
			want: "matched 0 of 1000 nodes (queries age, cpu, memory): series carry instance=node-0:9100; " + nodesAre +
				"set `nodeMapping` to {label: instance, match: Name}",
		},
		"no such label": {
			mapping: NodeMapping{Label: "node"},
			answer:  []series{{"", "1"}}, raw: many(0, 1000, `instance="node-%d:9100",job="n"`),
			want: "matched 0 of 1000 nodes (queries age, cpu, memory): series carry no label node, instance=node-0:9100, job=n; " + nodesAre +
				"set `nodeMapping` to {label: instance, match: Name}",
		},
		"nothing fits": {
			answer: many(0, 1000, `instance="vm-%d"`), raw: many(0, 1000, `instance="vm-%d",job="n"`),
			want: "matched 0 of 1000 nodes (queries age, cpu, memory): series carry instance=vm-0, job=n; " + nodesAre +
				"set `nodeMapping` to a label with a node's name or InternalIP; no label has one, so add one by relabelling the scrape (__meta_kubernetes_node_name as node)",
		},
		"no series": {
			want: "matched 0 of 1000 nodes (queries age, cpu, memory): Prometheus answered no series: let it scrape node_exporter on the nodes, " +
				"or replace `ageQuery`, `queries.cpu`, `queries.memory` by what it has (where there is no age, no reading is taken)",
		},
		"no age": {
			answer: many(0, 1000, `instance="node-%d"`), noAge: true,
			want: "matched 0 of 1000 nodes (query age): Prometheus answered no series: let it scrape node_exporter on the nodes, " +
				"or replace `ageQuery` by what it has (where there is no age, no reading is taken)",
		},
		"only the GPUs do not match": {
			answer: many(0, 1000, `instance="node-%d"`), gpu: many(0, 10, `instance="172.16.0.%d:9400"`),
			want: "matched 0 of 1000 nodes (query gpu): series carry instance=172.16.0.0:9400; " + nodesAre +
				"replace `queries.gpu` so that it answers a node's name or address in the label instance (see label_replace)",
		},
		"few nodes have GPUs": {answer: many(0, 1000, `instance="node-%d"`), gpu: many(0, 10, `instance="node-%d"`)},
	} {
		t.Run(name, func(t *testing.T) {
			age := defaultAgeQuery("instance")
			r := newRig(t, func(c *Config) { c.NodeMapping, c.AgeQuery = tc.mapping, &age }, capacity.CPU, capacity.Memory, capacity.GPU)
			for i := range 1000 {
				ip := fmt.Sprintf("192.168.%d.%d", i/200, i%200)
				r.addNode(fmt.Sprintf("node-%d", i), ip)
			}
			r.prom.set("*", vector(tc.answer...))
			r.prom.set("gpu", vector(tc.gpu...))
			r.prom.set(exampleSeries, vector(tc.raw...))
			if tc.noAge {
				r.prom.set(age, vector())
			}
			r.inf.source.poll(t.Context())
			if got := r.inf.source.check(t.Context()); got != tc.want {
				t.Errorf("message:\n%s\nwant:\n%s", got, tc.want)
			}
			if asked := r.prom.count(exampleSeries); (asked > 0) != (tc.want != "" && len(tc.gpu) == 0) {
				t.Errorf("asked %d times for an example", asked)
			}
		})
	}
}

// TestSelfCheckRuns is the check at the start and each minute.
func TestSelfCheckRuns(t *testing.T) {
	r := twoNodes(t, nil)
	for _, query := range []string{"age", "cpu", "memory"} {
		r.prom.set(query, vector(on("10.9.9.9:9100", 1)))
	}
	r.run()
	taken := func() (n int) {
		for _, e := range r.takeEvents() {
			if strings.HasPrefix(e, "Warning CapacityNodesUnmatched matched 0 of 2 nodes") {
				n++
			}
		}
		return n
	}
	r.eventually("the first check", func() bool { return taken() == 1 })
	r.eventually("another", func() bool {
		r.clock.Step(time.Second)
		return taken() == 1
	})
	if waited := r.clock.Since(start); waited < selfCheckInterval {
		t.Errorf("the second check came after %v", waited)
	}
	r.healthy()
	r.eventually("silence", func() bool {
		r.clock.Step(time.Second)
		r.mu.Lock()
		defer r.mu.Unlock()
		return strings.Contains(strings.Join(r.logs, "\n"), "load match the nodes")
	})
}
