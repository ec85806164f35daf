// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"auriga.dev/auriga/pkg/demo/heatmap"
)

// The picture in the terminal: a label and two maps side by side, 80 columns.
const (
	pictureRows  = 10
	pictureWidth = 30 // of one map, without its frame
	labelWidth   = 12
)

// rowLabels names n rows of a picture of these workers: the workers themselves
// if there is a row for each, else the numbers of the first and the last one.
func rowLabels(workers []string, n int) []string {
	labels := make([]string, n)
	for i := range labels {
		first, end := heatmap.Part(i, n, len(workers))
		switch {
		case n == len(workers):
			labels[i] = workers[first]
		case end == first+1:
			labels[i] = fmt.Sprint(end)
		default:
			labels[i] = fmt.Sprintf("%d-%d", first+1, end)
		}
	}
	return labels
}

// rowMeaning says what a row of a picture of n rows is.
func rowMeaning(workers, n int) string {
	switch {
	case n == workers:
		return "a worker"
	case workers%n == 0:
		return fmt.Sprintf("the mean of %d workers", workers/n)
	default:
		return fmt.Sprintf("the mean of %d or %d workers", workers/n, workers/n+1)
	}
}

// picture draws what was requested beside what was measured, for a terminal: a
// line for each group of workers.
func (r *Report) picture() []string {
	m := r.Measured
	lines := []string{"  Requested and really used, as Prometheus measured it:", "  " + r.sampling() + "."}
	if m.LastError != "" {
		lines = append(lines, "  The last failure: "+m.LastError)
	}
	if m.Samples == 0 {
		return lines
	}
	rows := min(pictureRows, len(r.Load.Workers))
	first, last := r.Load.Seconds[0], r.Load.Seconds[len(r.Load.Seconds)-1]
	lines = append(lines,
		fmt.Sprintf("  A row is %s; left to right: second %.0f to %.0f.", rowMeaning(len(r.Load.Workers), rows), first, last),
		"  "+heatmap.Legend())
	for _, part := range []struct {
		name string
		pair Pair
		use  ResourceUse
	}{{"cpu", r.Load.CPU, m.CPU}, {"memory", r.Load.Memory, m.Memory}} {
		lines = append(lines, "", fmt.Sprintf("  %-*s %-*s %s", labelWidth, part.name, pictureWidth+2,
			fmt.Sprintf("requested %s, peak %s", percent(part.use.RequestedMean), percent(part.use.RequestedPeak)),
			fmt.Sprintf("measured %s, peak %s", percent(part.use.MeasuredMean), percent(part.use.MeasuredPeak))))
		requested := heatmap.Text(part.pair.Requested.Shrink(rows, pictureWidth), pictureWidth)
		measured := heatmap.Text(part.pair.Measured.Shrink(rows, pictureWidth), pictureWidth)
		width := utf8.RuneCountInString(requested[0])
		for i, label := range rowLabels(r.Load.Workers, rows) {
			lines = append(lines, fmt.Sprintf("  %-*s │%s│%s│%s│", labelWidth, shorten(label, labelWidth),
				requested[i], strings.Repeat(" ", pictureWidth-width+1), measured[i]))
		}
	}
	return lines
}

// sampling says how often the load was measured, and how often that failed.
func (r *Report) sampling() string {
	m := r.Measured
	text := fmt.Sprintf("%d samples, one every %g s", m.Samples, m.ScrapeIntervalSeconds)
	if m.Errors > 0 {
		text += fmt.Sprintf("; failed queries: %d", m.Errors)
	}
	return text
}

// shorten leaves the end of a text, where names differ.
func shorten(text string, width int) string {
	if n := utf8.RuneCountInString(text); n > width {
		return "…" + string([]rune(text)[n-width+1:])
	}
	return text
}
