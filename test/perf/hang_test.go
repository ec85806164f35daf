// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	fwk "k8s.io/kube-scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"auriga.dev/auriga/pkg/capacity"
	"auriga.dev/auriga/plugins"
	"auriga.dev/auriga/plugins/realcapacity"
)

// So often, and with so little patience, that many polls hang during a run.
const (
	hangPollInterval = time.Second
	hangQueryTimeout = time.Second
)

// hangPodsAtATime are far fewer than saturate the API server: an attempt ends
// with the binding, and of pods by the thousand that is a wait for the API server.
const hangPodsAtATime = 10

// steadily has a workload of plain pods schedule hangPodsAtATime pods, delete
// them and create the next, for a time; without pods that are there before.
func steadily(w workload, long time.Duration) workload {
	w.name, w.pods = fmt.Sprintf("%dNodes_%dPodsSteadily", w.nodes, hangPodsAtATime), hangPodsAtATime
	spec := maps.Clone(w.spec)
	spec["workloadTemplate"] = []any{
		map[string]any{"opcode": "createNodes", "count": w.nodes},
		map[string]any{"opcode": "createPods", "count": hangPodsAtATime, "steadyState": true, "duration": long.String(), "collectMetrics": true},
	}
	spec["workloads"] = []any{map[string]any{
		"name": w.name, "labels": []any{"performance"}, "featureGates": featureGates(),
	}}
	metrics := map[string]any{attemptMetric: []any{map[string]any{"label": "result", "values": []any{"scheduled"}}}, algorithmMetric: nil}
	spec["metricsCollectorConfig"] = map[string]any{"metrics": metrics}
	w.spec = spec
	return w
}

// hangMethod is how the comparison is made.
const hangMethod = "scheduler_perf's SchedulingBasic in its steady state, ten pods at a time so that attempts do not queue for the API server, with Auriga's profile; the healthy side's server answers all default queries for the very nodes of the run, " +
	"the hanging side's accepts connections, reads requests and never answers, from the start: that side decides by requests (onStale), the healthy one by measurements; " +
	"one run that does not count, then pairs, the healthy side first in every other; servers, etcd and API server share the cores"

// BenchmarkHangingPrometheus compares scheduling while Prometheus answers and
// while it hangs. It completes the report that TestCapacityFigures has begun, and
// prints the table.
func BenchmarkHangingPrometheus(b *testing.B) {
	if opts.capacity.report == "" {
		b.Skip("runs with the flag -capacity: see make bench-capacity")
	}
	if err := compareHanging(b, opts, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "test/perf: %v\n", err)
		b.FailNow()
	}
}

func compareHanging(b *testing.B, o options, out io.Writer) error {
	o.workloads, o.sizes = "^"+AcceptanceTestCase+"/", strconv.Itoa(o.capacity.hangNodes)
	dir := b.TempDir()
	p, err := newPlan(o, dir)
	if err != nil {
		return err
	}
	profile, err := os.ReadFile(p.auriga.config)
	if err != nil {
		return err
	}
	c := hangComparison{
		runner:   runner{dir: dir, runs: 1 + 2*o.repeat, out: out},
		workload: steadily(p.workloads[0], o.capacity.hangTime), profile: profile,
	}
	// The first run in a process is slower.
	if _, err := c.run(b, true, 0); err != nil {
		return err
	}
	var healthy, hanging []hangRun
	for repetition := 1; repetition <= o.repeat; repetition++ {
		healthyFirst := repetition%2 == 1
		first, err := c.run(b, healthyFirst, repetition)
		if err != nil {
			return err
		}
		second, err := c.run(b, !healthyFirst, repetition)
		if err != nil {
			return err
		}
		if !healthyFirst {
			first, second = second, first
		}
		healthy, hanging = append(healthy, first), append(hanging, second)
	}
	report, err := readCapacityReport(o.capacity.report)
	if err != nil {
		return err
	}
	report.Machine, report.Versions = p.report.Machine, p.report.Versions
	if report.Hang, err = newHangFigure(c.workload, healthy, hanging); err != nil {
		return err
	}
	report.Hang.Method = hangMethod
	report.Hang.PollIntervalSeconds = hangPollInterval.Seconds()
	report.Hang.QueryTimeoutSeconds = hangQueryTimeout.Seconds()
	if err := report.writeFile(o.capacity.report); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\n%s\nReport: %s\n", report.table(), o.capacity.report)
	return err
}

// hangComparison makes runs with a Prometheus.
type hangComparison struct {
	runner   runner
	workload workload
	profile  []byte // Auriga's, without a Prometheus.
}

// run schedules the workload against a server of its own.
func (c *hangComparison) run(b *testing.B, healthy bool, repetition int) (hangRun, error) {
	nodes := &follower{}
	name, answers := "hanging", answerer(nil)
	if healthy {
		name, answers = "healthy", nodes.answer
	}
	server := newPrometheusServer(answers)
	defer server.stop()
	config, err := withPrometheus(c.profile, server.URL, hangPollInterval, hangQueryTimeout)
	if err != nil {
		return hangRun{}, err
	}
	path := filepath.Join(c.runner.dir, fmt.Sprintf("%s-%d.yaml", name, repetition))
	if err := os.WriteFile(path, config, 0o600); err != nil {
		return hangRun{}, err
	}
	watched := watchedPlugin{nodes: nodes}
	registry := plugins.Registry()
	registry[realcapacity.Name] = watched.New
	sample, err := c.runner.run(b, c.workload, side{name: name, config: path, registry: registry}, repetition)
	if err != nil {
		return hangRun{}, err
	}
	if n := server.mistakes.Load(); n != 0 {
		return hangRun{}, fmt.Errorf("%s: the server could not answer %d queries", name, n)
	}
	return hangRun{
		sample: sample, answered: server.answered.Load(), hung: server.hung.Load(), nodesMeasured: watched.measured(),
	}, nil
}

// watchedPlugin makes RealCapacity as its registry does, and looks at what its
// scheduler knows of nodes and of their load.
type watchedPlugin struct {
	nodes      *follower
	capacities atomic.Pointer[cache.SharedIndexInformer]
}

// New is a frameworkruntime.PluginFactory.
func (w *watchedPlugin) New(ctx context.Context, args kruntime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	plugin, err := realcapacity.New(ctx, args, handle)
	if err != nil {
		return nil, err
	}
	factory := handle.SharedInformerFactory()
	w.nodes.follow(factory.Core().V1().Nodes().Lister())
	registered := true
	capacities := factory.InformerFor(&capacity.NodeCapacity{}, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer {
		registered = false
		return cache.NewSharedIndexInformer(&cache.ListWatch{}, &capacity.NodeCapacity{}, 0, cache.Indexers{})
	})
	if !registered {
		return nil, errors.New("the plugin has registered no informer of NodeCapacity")
	}
	w.capacities.Store(&capacities)
	return plugin, nil
}

var _ frameworkruntime.PluginFactory = (&watchedPlugin{}).New

// measured is how many nodes have a reading of CPU and memory, after the run as
// it was at the end.
func (w *watchedPlugin) measured() int {
	capacities := w.capacities.Load()
	if capacities == nil {
		return 0
	}
	measured := 0
	for _, item := range (*capacities).GetStore().List() {
		if n, ok := item.(*capacity.NodeCapacity); ok && n.Measured[capacity.CPU].Mean.OK() && n.Measured[capacity.Memory].Mean.OK() {
			measured++
		}
	}
	return measured
}
