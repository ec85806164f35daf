// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
)

const (
	// TargetLevel is the least that phase B is to reach (the goal is 0.85), a share
	// of the cluster's CPUs.
	TargetLevel = 0.80
	// TargetIntervals is for how many sampling intervals in a row a worker may be
	// above its ceiling.
	TargetIntervals = 2
	// Tolerance is what measurements of simulated workers are off by on a machine
	// that is busy with other things, as a share of the capacity: nobody who decides
	// by them can tell less.
	Tolerance = 0.01
)

// Report is what one run found out. Shares are of the capacity, 0 to 1.
type Report struct {
	Config Config `json:"config"`
	// Controller says whether auriga-controller evicted reclaimed pods, or why not.
	Controller string `json:"controller"`
	Plain      Level  `json:"plain"`
	Reclaimed  Filled `json:"reclaimed"`
	Shrink     Shrunk `json:"shrink"`
	// Seconds is how long the run took.
	Seconds float64 `json:"seconds"`
}

// Level is how much of the cluster is in use, as a mean over a steady time.
type Level struct {
	// CPU and Memory are what Prometheus measured.
	CPU    float64 `json:"cpu"`
	Memory float64 `json:"memory"`
	// TrueCPU is what the running pods declare.
	TrueCPU float64 `json:"trueCPU"`
	// RequestedCPU is what the running pods request.
	RequestedCPU float64 `json:"requestedCPU"`
	// Pods is how many run.
	Pods int `json:"pods"`
	// MaxError is by how much a worker's windowed measurement differed from its
	// true use at the most: what the machine's other load adds in noise.
	MaxError float64 `json:"maxError"`
}

// Over is for how long workers were above their CPU ceiling.
type Over struct {
	// True is by the pods' declarations, exact in time; Clear as well, but only what
	// is above the ceiling by more than Tolerance counts.
	True  Run `json:"true"`
	Clear Run `json:"clear"`
	// Measured is by Prometheus, each value over one scrape interval.
	Measured Run `json:"measured"`
	// Windowed is by Prometheus over the window that the scheduler decides by.
	Windowed Run `json:"windowed"`
}

// Run is the longest time without interruption that any worker was above its
// ceiling.
type Run struct {
	// Intervals is the time in scrape intervals.
	Intervals float64 `json:"intervals"`
	// Worker is the one of the longest time; empty if none was above.
	Worker string `json:"worker,omitempty"`
	// Workers is how many were above at any time.
	Workers int `json:"workers"`
	// Peak is the highest share that a worker was seen at.
	Peak float64 `json:"peak"`
}

// Evictions are the pods that went and that the experiment had not deleted.
type Evictions struct {
	Reclaimed int `json:"reclaimed"`
	Ordinary  int `json:"ordinary"`
}

// Filled is phase B.
type Filled struct {
	Level Level `json:"level"`
	// Submitted is the backlog, Waiting what of it has no worker at the end.
	Submitted int `json:"submitted"`
	Waiting   int `json:"waiting"`
	// PlacingSeconds is the time from the first submission to the last placement.
	PlacingSeconds float64 `json:"placingSeconds"`
	// Steady says that placing and evicting ended by themselves within the time.
	Steady  bool      `json:"steady"`
	Over    Over      `json:"over"`
	Evicted Evictions `json:"evicted"`
	// SmallestWaitingCores is what the smallest pod that waits would use.
	SmallestWaitingCores float64 `json:"smallestWaitingCores"`
	// WorkersWithRoom is how many workers could take it by their true use.
	WorkersWithRoom int `json:"workersWithRoom"`
	// RoomCores is the free room below the ceiling, by true use, as a mean over
	// the workers, MaxRoomCores the most of any.
	RoomCores    float64 `json:"roomCores"`
	MaxRoomCores float64 `json:"maxRoomCores"`
}

// Shrunk is phase C.
type Shrunk struct {
	// Skipped says why there was no such phase; the rest is 0 then.
	Skipped string `json:"skipped,omitempty"`
	// Replaced is how many ordinary pods were replaced by such that use more.
	Replaced int `json:"replaced"`
	// AddedCores is by how much that raised the ordinary pods' use.
	AddedCores float64   `json:"addedCores"`
	Evicted    Evictions `json:"evicted"`
	// Elsewhere is how many of the reclaimed ones went from workers on which nothing
	// was replaced: they had to go for another reason, or for none.
	Elsewhere int `json:"elsewhere"`
	// Needed is the least number of reclaimed pods that had to go, worker by
	// worker, the largest first.
	Needed int `json:"needed"`
	// PlacedReclaimed is how many reclaimed pods were placed meanwhile.
	PlacedReclaimed int   `json:"placedReclaimed"`
	Over            Over  `json:"over"`
	Level           Level `json:"level"`
	// Steady says that placing and evicting ended by themselves within the time.
	Steady bool `json:"steady"`
}

// Violations says in words what must not be at any size and was.
func (r *Report) Violations() []string {
	found := slices.Concat(
		tooLong("B reclaimed: the true use, less the tolerance,", r.Reclaimed.Over.Clear),
		tooLong("C shrink: the true use, less the tolerance,", r.Shrink.Over.Clear))
	if n := r.Reclaimed.Evicted.Ordinary + r.Shrink.Evicted.Ordinary; n > 0 {
		found = append(found, fmt.Sprintf("%d ordinary pods were evicted", n))
	}
	if r.Reclaimed.Level.CPU <= r.Plain.CPU {
		found = append(found, fmt.Sprintf("reclaimed pods did not raise the use: %.3f before, %.3f after", r.Plain.CPU, r.Reclaimed.Level.CPU))
	}
	return found
}

// Shortfalls says in words which targets of the full size were missed.
func (r *Report) Shortfalls() []string {
	missed := slices.Concat(r.Violations(),
		tooLong("B reclaimed: the true use", r.Reclaimed.Over.True), tooLong("B reclaimed: the measured use", r.Reclaimed.Over.Measured),
		tooLong("C shrink: the true use", r.Shrink.Over.True), tooLong("C shrink: the measured use", r.Shrink.Over.Measured))
	if level := r.Reclaimed.Level.CPU; level < TargetLevel {
		missed = append(missed, fmt.Sprintf("B reclaimed: the use rose to %.1f %%, the target is %.0f %%", 100*level, 100*TargetLevel))
	}
	return missed
}

func tooLong(what string, run Run) []string {
	if run.Intervals <= TargetIntervals {
		return nil
	}
	return []string{fmt.Sprintf("%s of %s was above the ceiling for %.1f sampling intervals, want at most %d",
		what, run.Worker, run.Intervals, TargetIntervals)}
}

// Write writes the report as JSON.
func (r *Report) Write(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// Table writes the report for people.
func (r *Report) Table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) } // tabwriter keeps the first error for Flush
	line("%d workers of %g cores, ceiling %d %%, a scrape every %v, seed %d; %s",
		r.Config.Workers, r.Config.Cores, r.Config.CeilingPercent, r.Config.Interval(), r.Config.Seed, r.Controller)
	line("")
	line("phase\tpods\tCPU requested\tCPU used\t(true)\tmemory used\tlongest above ceiling, intervals: true\tclear\tmeasured\twindowed\tpeak\tevicted: reclaimed\tordinary")
	level := func(phase string, l Level, rest string) {
		line("%s\t%d\t%.1f %%\t%.1f %%\t%.1f %%\t%.1f %%\t%s", phase, l.Pods, 100*l.RequestedCPU, 100*l.CPU, 100*l.TrueCPU, 100*l.Memory, rest)
	}
	rest := func(o Over, e Evictions) string {
		return fmt.Sprintf("%.1f\t%.1f\t%.0f\t%.0f\t%.1f %%\t%d\t%d", o.True.Intervals, o.Clear.Intervals, o.Measured.Intervals, o.Windowed.Intervals, 100*o.True.Peak, e.Reclaimed, e.Ordinary)
	}
	level("A plain", r.Plain, "\t\t\t\t\t\t")
	level("B reclaimed", r.Reclaimed.Level, rest(r.Reclaimed.Over, r.Reclaimed.Evicted))
	if r.Shrink.Skipped == "" {
		level("C shrink", r.Shrink.Level, rest(r.Shrink.Over, r.Shrink.Evicted))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	b, c := r.Reclaimed, r.Shrink
	line("")
	line("B: %d of %d reclaimed pods were placed within %.0f s; the smallest that waits uses %.1f cores, for which %d workers have room; below the ceiling are free: %.2f cores a worker, %.2f at the most.",
		b.Submitted-b.Waiting, b.Submitted, b.PlacingSeconds, b.SmallestWaitingCores, b.WorkersWithRoom, b.RoomCores, b.MaxRoomCores)
	if c.Skipped != "" {
		line("C: skipped: %s", c.Skipped)
	} else {
		line("C: %d ordinary pods were replaced, which added %.0f cores; at least %d reclaimed pods had to go, %d went from these workers and %d from others, %d were placed.",
			c.Replaced, c.AddedCores, c.Needed, c.Evicted.Reclaimed-c.Elsewhere, c.Elsewhere, c.PlacedReclaimed)
	}
	for _, s := range r.Shortfalls() {
		line("missed: %s", s)
	}
	return w.Flush()
}
