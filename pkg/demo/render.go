// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// Targets of the scheduling path at 1000 workers, in seconds.
const (
	filterTarget    = 0.020
	scoreTarget     = 0.050
	bindTarget      = 0.010
	algorithmTarget = 0.100
)

// Render writes the report for a person.
func (r *Report) Render(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) } // tabwriter keeps the first error for Flush

	line("")
	line("%s", r.headline())
	line("%s", r.endings())
	line("")
	line("  latency\tp50\tp99\ttarget of p99")
	for _, l := range r.latencyTable() {
		line("  %s\t%s\t%s\t%s", l.Name, seconds(l.P50), seconds(l.P99), l.verdict())
	}
	line("")
	line("  requested of the workers\tmean\t\tpeak")
	use := func(name string, mean, peak float64) {
		line("  %s\t%s\t%s\t%s", name, percent(mean), bar(mean, 30), percent(peak))
	}
	use("cpu", r.Utilization.CPU, r.PeakUtilization.CPU)
	use("memory", r.Utilization.Memory, r.PeakUtilization.Memory)
	use("gpu", r.Utilization.GPU, r.PeakUtilization.GPU)
	line("")
	for _, l := range r.picture() {
		line("%s", l)
	}
	groups := func(title string, groups []Group) {
		line("")
		line("  %s\tpods\tscheduled\tmean wait\tp99 wait", title)
		for _, g := range groups {
			line("  %s\t%d\t%d\t%s\t%s", g.Name, g.Pods, g.Scheduled, seconds(g.QueueWaitSeconds.Mean), seconds(g.QueueWaitSeconds.P99))
		}
	}
	groups("tenant", r.ByTenant)
	groups("priority", r.ByPriority)
	line("")
	line("%s", r.neighbour())
	if limit := r.limit(); limit != "" {
		line("%s", limit)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return nil
}

// headline is the report in a sentence.
func (r *Report) headline() string {
	return fmt.Sprintf("Auriga scheduled %d of %d pods on %d workers, %.1f a second.", r.Scheduled, r.Pods, r.Nodes, r.PodsPerSecond)
}

// endings says how the jobs ended.
func (r *Report) endings() string {
	return fmt.Sprintf("%.2f %% ran to a successful end, %d did not; %d pods gave way to more important ones and ran again.",
		100*r.SuccessRate, r.Failed, r.Preempted)
}

// neighbour says how the stock scheduler fared.
func (r *Report) neighbour() string {
	return fmt.Sprintf("The stock scheduler placed %d of %d pods of its own beside Auriga.",
		r.DefaultSchedulerPods.Scheduled, r.DefaultSchedulerPods.Submitted)
}

// latencyRow is a row of the table of latencies, in seconds. A target of 0 is none.
type latencyRow struct {
	Name     string
	P50, P99 float64
	Target   float64
}

// verdict says whether the target is kept; nothing without one.
func (l latencyRow) verdict() string {
	if l.Target == 0 {
		return ""
	}
	return "< " + seconds(l.Target) + mark(l.P99 < l.Target)
}

// latencyTable is what a pod waits for, in the order in which it does.
func (r *Report) latencyTable() []latencyRow {
	row := func(name string, q Quantiles, target float64) latencyRow {
		return latencyRow{name, q.P50, q.P99, target}
	}
	return []latencyRow{
		{"waiting in the queue", r.QueueWaitSeconds.P50, r.QueueWaitSeconds.P99, 0},
		row("filter", r.PhaseSeconds.Filter, filterTarget),
		row("score", r.PhaseSeconds.Score, scoreTarget),
		row("choosing the worker, in all", r.AlgorithmSeconds, algorithmTarget),
		row("bind", r.PhaseSeconds.Bind, bindTarget),
		row("whole attempt", r.AttemptSeconds, 0),
	}
}

// saturated is the share of the cores from which on the machine is the limit.
const saturated = 0.85

// limit says what bounded the throughput.
func (r *Report) limit() string {
	if len(r.Processes) == 0 {
		return ""
	}
	var ours float64
	shares := make([]string, 0, len(r.Processes))
	for _, p := range r.Processes {
		ours += p.Share
		if p.Share >= 0.01 {
			shares = append(shares, fmt.Sprintf("%s %s", p.Name, percent(p.Share)))
		}
	}
	text := fmt.Sprintf("While jobs arrived and ran, the %d cores were %s busy", r.Cores, percent(r.MachineBusy))
	if others := r.MachineBusy - ours; others > 0.05 {
		text += fmt.Sprintf(", %s with processes that are not the demo's", percent(others))
	}
	text += fmt.Sprintf(" (%s).", strings.Join(shares, ", "))
	if r.MachineBusy > saturated {
		return text + " The machine was the limit: control plane, workers and scheduler share it."
	}
	return text + " The arrivals set the pace, not the machine."
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func mark(ok bool) string {
	if ok {
		return "  ✓"
	}
	return "  ✗"
}

// bar draws a share as a bar of the given width.
func bar(share float64, width int) string {
	full := int(math.Round(min(max(share, 0), 1) * float64(width)))
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

// seconds writes a time with the precision that a reader needs.
func seconds(s float64) string {
	switch {
	case s == 0:
		return "0"
	case s < 0.001:
		return fmt.Sprintf("%.0f µs", s*1e6)
	case s < 0.1:
		return fmt.Sprintf("%.1f ms", s*1e3)
	case s < 1:
		return fmt.Sprintf("%.0f ms", s*1e3)
	case s < 120:
		return fmt.Sprintf("%.1f s", s)
	default:
		return duration.HumanDuration(time.Duration(s * float64(time.Second)))
	}
}
