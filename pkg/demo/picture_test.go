// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"auriga.dev/auriga/pkg/demo/heatmap"
)

// measuredReport is of two workers at three moments.
func measuredReport() *Report {
	nan := math.NaN()
	return &Report{
		Measured: Measured{
			Samples: 2, Errors: 1, LastError: "ask <Prometheus>: too slow", ScrapeIntervalSeconds: 5,
			CPU:     ResourceUse{0.75, 1, 0.375, 0.5},
			Memory:  ResourceUse{0.5, 0.5, 0.125, 0.25},
			Workers: []WorkerUse{{"worker-a", 0.5, 0.25, 0.5, 0.125}},
		},
		Load: Load{
			Workers: []string{"worker-a", "a-worker-with-a-long-name"}, Seconds: []float64{5, 10, 15},
			CPU: Pair{
				Requested: heatmap.Matrix{{0.5, 0.5, 0}, {1, 1, 1}},
				Measured:  heatmap.Matrix{{0.25, nan, 0}, {0.5, nan, 1.2}},
			},
			Memory: Pair{
				Requested: heatmap.Matrix{{0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}},
				Measured:  heatmap.Matrix{{0.1, nan, 0.1}, {0.2, nan, 0.2}},
			},
		},
	}
}

func TestPicture(t *testing.T) {
	x := func(block string) string { return strings.Repeat(block, 10) }
	want := []string{
		"  Requested and really used, as Prometheus measured it:",
		"  2 samples, one every 5 s; failed queries: 1.",
		"  The last failure: ask <Prometheus>: too slow",
		"  A row is a worker; left to right: second 5 to 15.",
		"  " + heatmap.Legend(),
		"",
		"  cpu          requested 75.0 %, peak 100.0 %   measured 37.5 %, peak 50.0 %",
		"  worker-a     │" + x("▄") + x("▄") + x(" ") + "│ │" + x("▂") + x("?") + x(" ") + "│",
		"  …a-long-name │" + x("█") + x("█") + x("█") + "│ │" + x("▄") + x("?") + x("!") + "│",
		"",
		"  memory       requested 50.0 %, peak 50.0 %    measured 12.5 %, peak 25.0 %",
		"  worker-a     │" + x("▄") + x("▄") + x("▄") + "│ │" + x("▁") + x("?") + x("▁") + "│",
		"  …a-long-name │" + x("▄") + x("▄") + x("▄") + "│ │" + x("▂") + x("?") + x("▂") + "│",
	}
	if diff := cmp.Diff(want, measuredReport().picture()); diff != "" {
		t.Errorf("picture (-want +got):\n%s", diff)
	}
}

// However many workers and moments, the picture is of one size.
func TestPictureSize(t *testing.T) {
	for _, workers := range []int{1, 2, 10, 11, 1000} {
		for _, moments := range []int{1, 16, 29, 30, 31, 500} {
			r := Report{Measured: Measured{Samples: moments, ScrapeIntervalSeconds: 15}}
			m := make(heatmap.Matrix, workers)
			for i := range m {
				m[i] = make([]float64, moments)
				r.Load.Workers = append(r.Load.Workers, fmt.Sprintf("worker-%05d", i))
			}
			r.Load.Seconds = make([]float64, moments)
			r.Load.CPU, r.Load.Memory = Pair{m, m}, Pair{m, m}
			lines := r.picture()
			if most := 8 + 2*pictureRows; len(lines) > most {
				t.Errorf("%d workers, %d moments: %d lines, want at most %d", workers, moments, len(lines), most)
			}
			for _, line := range lines {
				if width := utf8.RuneCountInString(line); width > 80 {
					t.Errorf("%d workers, %d moments: %d columns:\n%s", workers, moments, width, line)
				}
			}
		}
	}
}

func TestPictureOfNothing(t *testing.T) {
	want := []string{"  Requested and really used, as Prometheus measured it:", "  0 samples, one every 5 s."}
	got := (&Report{Measured: Measured{ScrapeIntervalSeconds: 5}}).picture()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("picture (-want +got):\n%s", diff)
	}
}

func TestRowLabels(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	for n, want := range map[int][]string{
		0: {},
		2: {"1-2", "3-5"},
		3: {"1", "2-3", "4-5"},
		5: names,
	} {
		if diff := cmp.Diff(want, rowLabels(names, n)); diff != "" {
			t.Errorf("%d rows (-want +got):\n%s", n, diff)
		}
	}
}

func TestPage(t *testing.T) {
	r := measuredReport()
	r.ByTenant = []Group{{Name: "<b>web</b>", Pods: 2}}
	data, err := r.Page()
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	if n := strings.Count(page, `<svg class="heatmap"`); n != 4 {
		t.Errorf("%d heat maps, want requested and measured of CPU and memory", n)
	}
	for _, want := range []string{
		`<title id="CPU-requested-title">`, `<title id="CPU-measured-title">`, `<title id="Memory-requested-title">`, `<title id="Memory-measured-title">`,
		"mean 37.5 %, peak 50.0 %", "ask &lt;Prometheus&gt;: too slow", "&lt;b&gt;web&lt;/b&gt;", "whole attempt",
		`style="--rows: 2"`, `class="over" d=`, `class="unknown" d=`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, external := range []string{"http://", "https://", "<script", "@import", "url("} {
		if strings.Contains(page, external) {
			t.Errorf("the page has %s: it must stand by itself", external)
		}
	}
}

// Without measurements the page has the rest.
func TestPageOfNothing(t *testing.T) {
	data, err := (&Report{}).Page()
	if err != nil {
		t.Fatal(err)
	}
	if page := string(data); !strings.Contains(page, "Nothing was measured") || strings.Contains(page, `class="heatmap"`) {
		t.Errorf("the page does not say that nothing was measured:\n%s", page)
	}
}
