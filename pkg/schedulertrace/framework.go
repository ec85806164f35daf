// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package schedulertrace

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// topNodes is how many of the best nodes are in a Score span.
const topNodes = 3

// timed is a framework that tells when pods are bound.
type timed struct {
	framework.Framework
	recorder *recorder
}

var _ framework.Framework = &timed{}

// RunPostBindPlugins is called once for each bound pod, after it was bound.
func (f *timed) RunPostBindPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) {
	f.Framework.RunPostBindPlugins(ctx, state, pod, node)
	f.recorder.bound(pod, node, time.Now())
}

// traced is a framework that measures its phases for sampled pods.
type traced struct {
	framework.Framework
	recorder *recorder
	isPlugin map[string]bool
	scorers  []string // in the order of their calls

	// cycle is the trace of the pod whose scheduling cycle runs, nil if it has
	// none. There is one cycle at a time; Filter asks here, once a node, and not
	// under a lock that all workers share.
	cycle atomic.Pointer[podTrace]
}

var _ framework.Framework = &traced{}

func newTraced(inner framework.Framework, r *recorder) *traced {
	f := &traced{Framework: inner, recorder: r, isPlugin: map[string]bool{}}
	plugins := inner.ListPlugins()
	if plugins == nil {
		return f
	}
	for _, set := range []config.PluginSet{
		plugins.PreFilter, plugins.Filter, plugins.PostFilter, plugins.PreScore, plugins.Score,
		plugins.Reserve, plugins.Permit, plugins.PreBind, plugins.Bind, plugins.PostBind,
	} {
		for _, p := range set.Enabled {
			f.isPlugin[p.Name] = true
		}
	}
	for _, p := range plugins.Score.Enabled {
		f.scorers = append(f.scorers, p.Name)
	}
	return f
}

// start begins a phase of a pod's attempt; nil if the pod is not traced.
func (f *traced) start(pod *corev1.Pod, name string) *phase {
	t := f.recorder.find(pod.UID)
	if t == nil {
		return nil
	}
	return t.startPhase(name)
}

func (f *traced) RunPreFilterPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod) (*fwk.PreFilterResult, *fwk.Status, sets.Set[string]) {
	t := f.recorder.find(pod.UID)
	f.cycle.Store(t)
	var p *phase
	if t != nil {
		p = t.startPhase("PreFilter")
	}
	if p == nil {
		return f.Framework.RunPreFilterPlugins(ctx, state, pod)
	}
	ctx, c := p.watch(ctx, f.isPlugin)
	result, status, unschedulable := f.Framework.RunPreFilterPlugins(ctx, state, pod)
	var attributes []attribute.KeyValue
	if !result.AllNodes() {
		attributes = append(attributes, attribute.Int("nodes.preselected", len(result.NodeNames)))
	}
	p.end(c, status, attributes...)
	return result, status, unschedulable
}

// RunFilterPluginsWithNominatedPods is called concurrently, once a node.
func (f *traced) RunFilterPluginsWithNominatedPods(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) *fwk.Status {
	var p *phase
	if t := f.cycle.Load(); t != nil && t.uid == pod.UID {
		p = t.filterPhase()
	}
	if p == nil {
		return f.Framework.RunFilterPluginsWithNominatedPods(ctx, state, pod, node)
	}
	ctx, c := p.watch(ctx, f.isPlugin)
	status := f.Framework.RunFilterPluginsWithNominatedPods(ctx, state, pod, node)
	p.filtered(c, status)
	return status
}

func (f *traced) RunPostFilterPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, statuses fwk.NodeToStatusReader) (*fwk.PostFilterResult, *fwk.Status) {
	p := f.start(pod, "PostFilter")
	if p == nil {
		return f.Framework.RunPostFilterPlugins(ctx, state, pod, statuses)
	}
	ctx, c := p.watch(ctx, f.isPlugin)
	result, status := f.Framework.RunPostFilterPlugins(ctx, state, pod, statuses)
	var attributes []attribute.KeyValue
	if result != nil && result.NominatingInfo != nil && result.NominatedNodeName != "" {
		attributes = append(attributes, attribute.String("node.nominated", result.NominatedNodeName))
	}
	p.end(c, status, attributes...)
	return result, status
}

func (f *traced) RunPreScorePlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo) *fwk.Status {
	p := f.start(pod, "PreScore")
	if p == nil {
		return f.Framework.RunPreScorePlugins(ctx, state, pod, nodes)
	}
	ctx, c := p.watch(ctx, f.isPlugin)
	status := f.Framework.RunPreScorePlugins(ctx, state, pod, nodes)
	p.end(c, status)
	return status
}

func (f *traced) RunScorePlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, nodes []fwk.NodeInfo) ([]fwk.NodePluginScores, *fwk.Status) {
	p := f.start(pod, "Score")
	if p == nil {
		return f.Framework.RunScorePlugins(ctx, state, pod, nodes)
	}
	// A node's turn ends unseen: the next node has a logger of its own, and may
	// be another worker's.
	for _, scorer := range f.scorers {
		if !state.GetSkipScorePlugins().Has(scorer) {
			p.last = scorer
		}
	}
	ctx, c := p.watch(ctx, f.isPlugin)
	scores, status := f.Framework.RunScorePlugins(ctx, state, pod, nodes)
	p.end(c, status, attribute.StringSlice("scores.top", topScores(scores)), attribute.Int("nodes.scored", len(nodes)))
	return scores, status
}

// topScores describes the best nodes, best first, with the weighted scores that
// make up each total: "node-7 73 = NodeResourcesFit 30 + WorkerSelection 43".
func topScores(scores []fwk.NodePluginScores) []string {
	best := make([]*fwk.NodePluginScores, 0, topNodes+1)
	for i := range scores {
		at, _ := slices.BinarySearchFunc(best, &scores[i], func(a, b *fwk.NodePluginScores) int {
			// Equal totals stay in the order of the nodes.
			if a.TotalScore >= b.TotalScore {
				return -1
			}
			return 1
		})
		if at < topNodes {
			best = slices.Insert(best, at, &scores[i])[:min(len(best)+1, topNodes)]
		}
	}
	described := make([]string, len(best))
	for i, node := range best {
		parts := make([]string, len(node.Scores))
		for j, s := range node.Scores {
			parts[j] = fmt.Sprintf("%s %d", s.Name, s.Score)
		}
		described[i] = fmt.Sprintf("%s %d = %s", node.Name, node.TotalScore, strings.Join(parts, " + "))
	}
	return described
}

func (f *traced) RunReservePluginsReserve(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) *fwk.Status {
	p := f.start(pod, "Reserve")
	if p == nil {
		return f.Framework.RunReservePluginsReserve(ctx, state, pod, node)
	}
	ctx, c := p.watch(ctx, f.isPlugin)
	status := f.Framework.RunReservePluginsReserve(ctx, state, pod, node)
	p.end(c, status, attribute.String("k8s.node.name", node))
	return status
}

func (f *traced) RunReservePluginsUnreserve(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) {
	p := f.start(pod, "Unreserve")
	if p == nil {
		f.Framework.RunReservePluginsUnreserve(ctx, state, pod, node)
		return
	}
	ctx, c := p.watch(ctx, f.isPlugin)
	f.Framework.RunReservePluginsUnreserve(ctx, state, pod, node)
	p.end(c, nil, attribute.String("k8s.node.name", node))
}

func (f *traced) RunPermitPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) *fwk.Status {
	p := f.start(pod, "Permit")
	if p == nil {
		return f.Framework.RunPermitPlugins(ctx, state, pod, node)
	}
	ctx, c := p.watch(ctx, f.isPlugin)
	status := f.Framework.RunPermitPlugins(ctx, state, pod, node)
	p.end(c, status, attribute.String("k8s.node.name", node))
	return status
}

func (f *traced) WaitOnPermit(ctx context.Context, pod *corev1.Pod) *fwk.Status {
	if !f.WillWaitOnPermit(ctx, pod) {
		return f.Framework.WaitOnPermit(ctx, pod)
	}
	p := f.start(pod, "WaitOnPermit")
	if p == nil {
		return f.Framework.WaitOnPermit(ctx, pod)
	}
	status := f.Framework.WaitOnPermit(ctx, pod)
	p.end(&chain{phase: p}, status)
	return status
}

func (f *traced) RunPreBindPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) *fwk.Status {
	p := f.start(pod, "PreBind")
	if p == nil {
		return f.Framework.RunPreBindPlugins(ctx, state, pod, node)
	}
	ctx, c := p.watch(ctx, f.isPlugin)
	status := f.Framework.RunPreBindPlugins(ctx, state, pod, node)
	p.end(c, status, attribute.String("k8s.node.name", node))
	return status
}

func (f *traced) RunBindPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) *fwk.Status {
	p := f.start(pod, "Bind")
	if p == nil {
		return f.Framework.RunBindPlugins(ctx, state, pod, node)
	}
	ctx, c := p.watch(ctx, f.isPlugin)
	status := f.Framework.RunBindPlugins(ctx, state, pod, node)
	p.end(c, status, attribute.String("k8s.node.name", node))
	return status
}

func (f *traced) RunPostBindPlugins(ctx context.Context, state fwk.CycleState, pod *corev1.Pod, node string) {
	if p := f.start(pod, "PostBind"); p == nil {
		f.Framework.RunPostBindPlugins(ctx, state, pod, node)
	} else {
		ctx, c := p.watch(ctx, f.isPlugin)
		f.Framework.RunPostBindPlugins(ctx, state, pod, node)
		p.end(c, nil, attribute.String("k8s.node.name", node))
	}
	f.recorder.bound(pod, node, time.Now())
}
