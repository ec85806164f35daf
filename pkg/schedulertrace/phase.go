// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package schedulertrace

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
)

// phase is one call, or for Filter all calls, of the framework in an attempt.
type phase struct {
	span trace.Span
	last string // in Score the plugin whose end nobody tells: only counted; else ""

	mu      sync.Mutex
	plugins map[string]usage
	nodes   int // Filter: nodes that were evaluated
	passed  int // Filter: nodes that passed
	rejects map[string]int
	until   time.Time // Filter: when the latest call ended
}

// usage is a plugin's part of a phase.
type usage struct {
	time  time.Duration
	calls int64
}

// startPhase begins a phase of the open attempt; nil if there is none.
func (t *podTrace) startPhase(name string) *phase {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.attempt == nil {
		return nil
	}
	t.endFilter()
	return t.newPhase(name)
}

// newPhase begins a phase. t.mu is held and an attempt is open.
func (t *podTrace) newPhase(name string) *phase {
	_, span := t.tracer.Start(t.tryCtx, name)
	return &phase{span: span, plugins: map[string]usage{}}
}

// filterPhase is the open Filter phase, which it begins if need be.
func (t *podTrace) filterPhase() *phase {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.attempt == nil {
		return nil
	}
	if t.filter == nil {
		t.filter = t.newPhase("Filter")
		t.filter.rejects = map[string]int{}
	}
	return t.filter
}

// endFilter ends the Filter phase if there is one, at the end of its last
// call. t.mu is held.
func (t *podTrace) endFilter() {
	p := t.filter
	if p == nil {
		return
	}
	t.filter = nil
	p.mu.Lock()
	defer p.mu.Unlock()
	attributes := []attribute.KeyValue{attribute.Int("nodes.evaluated", p.nodes), attribute.Int("nodes.feasible", p.passed)}
	for plugin, n := range p.rejects {
		attributes = append(attributes, attribute.Int("rejected."+plugin, n))
	}
	p.span.SetAttributes(append(attributes, p.pluginTimes()...)...)
	p.span.End(trace.WithTimestamp(p.until))
}

// filtered counts a node.
func (p *phase) filtered(c *chain, status *fwk.Status) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	c.stop(now)
	p.nodes++
	if status.IsSuccess() {
		p.passed++
	} else if status.Code() != fwk.Skip {
		p.rejects[status.Plugin()]++
	}
	if now.After(p.until) {
		p.until = now
	}
}

// end ends a phase that is one call.
func (p *phase) end(c *chain, status *fwk.Status, attributes ...attribute.KeyValue) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	c.stop(now)
	if !status.IsSuccess() {
		attributes = append(attributes, attribute.String("auriga.status", status.Code().String()),
			attribute.String("auriga.plugin", status.Plugin()), attribute.String("auriga.message", short(status.Message())))
		if status.Code() == fwk.Error {
			p.span.SetStatus(codes.Error, short(status.Message()))
		}
	}
	p.span.SetAttributes(append(attributes, p.pluginTimes()...)...)
	p.span.End(trace.WithTimestamp(now))
}

// pluginTimes are the plugins' attributes, by name. p.mu is held.
func (p *phase) pluginTimes() []attribute.KeyValue {
	attributes := make([]attribute.KeyValue, 0, 2*len(p.plugins))
	for plugin, u := range p.plugins {
		attributes = append(attributes, attribute.Int64("plugin."+plugin+".calls", u.calls))
		if plugin != p.last {
			attributes = append(attributes, attribute.Float64("plugin."+plugin+".seconds", u.time.Seconds()))
		}
	}
	slices.SortFunc(attributes, func(a, b attribute.KeyValue) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	return attributes
}

// chain is a sequence of plugin calls, one after another: a serial phase, or
// one node in Filter and Score. The phase's mutex guards it.
type chain struct {
	phase  *phase
	plugin string // whose turn it is, "" for none
	since  time.Time
}

// turn begins a plugin's turn and ends the one before.
func (c *chain) turn(plugin string) {
	now := time.Now()
	c.phase.mu.Lock()
	defer c.phase.mu.Unlock()
	c.stop(now)
	c.plugin, c.since = plugin, now
	if plugin == c.phase.last {
		c.stop(now)
	}
}

// stop ends the turn. The phase's mutex is held.
func (c *chain) stop(now time.Time) {
	if c.plugin == "" {
		return
	}
	u := c.phase.plugins[c.plugin]
	u.time += now.Sub(c.since)
	u.calls++
	c.phase.plugins[c.plugin] = u
	c.plugin = ""
}

// fork begins another chain of the same phase, as each node has in Score.
func (c *chain) fork() *chain { return &chain{phase: c.phase} }

// watch returns a context for the framework, whose logger tells the chain whose
// turn it is, and with the phase's span.
func (p *phase) watch(ctx context.Context, isPlugin map[string]bool) (context.Context, *chain) {
	c := &chain{phase: p}
	logger := klog.FromContext(ctx)
	ctx = trace.ContextWithSpan(ctx, p.span)
	return klog.NewContext(ctx, logger.WithSink(newSink(logger.GetSink(), c, isPlugin))), c
}
