// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package heatmap

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var unknown = math.NaN()

func TestShrink(t *testing.T) {
	for name, tc := range map[string]struct {
		in            Matrix
		rows, columns int
		want          Matrix
	}{
		"empty":              {Matrix{}, 3, 3, Matrix{}},
		"rows of no moment":  {Matrix{{}, {}}, 1, 5, Matrix{{}}},
		"small enough":       {Matrix{{0.1, 0.2}}, 10, 10, Matrix{{0.1, 0.2}}},
		"both ways":          {Matrix{{0, 1, 1, 1}, {0, 1, 0, 2}}, 1, 2, Matrix{{0.5, 1}}},
		"uneven parts":       {Matrix{{0.1}, {0.2}, {0.4}}, 2, 1, Matrix{{0.1}, {0.3}}},
		"the known only":     {Matrix{{unknown, 0.4}, {0.2, unknown}}, 1, 1, Matrix{{0.3}}},
		"nothing known":      {Matrix{{unknown}, {unknown}}, 1, 1, Matrix{{unknown}}},
		"no overload is cut": {Matrix{{1.5}, {1.1}}, 1, 1, Matrix{{1.3}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := tc.in.Shrink(tc.rows, tc.columns)
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateApprox(0, 1e-12), cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestText(t *testing.T) {
	for name, tc := range map[string]struct {
		in    Matrix
		width int
		want  []string
	}{
		"empty":              {Matrix{}, 8, []string{}},
		"rows of no moment":  {Matrix{{}, {}}, 8, []string{"", ""}},
		"one sample":         {Matrix{{0.3}, {0.9}}, 3, []string{"▃▃▃", "███"}},
		"each height":        {Matrix{{0, 0.004, 0.005, 0.125, 0.126, 0.25, 0.3, 0.5, 0.6, 0.75, 0.8, 0.9, 1}}, 13, []string{"  ▁▁▂▂▃▄▅▆▇██"}},
		"overload, unknown":  {Matrix{{1.01, unknown, 1 + 1e-12}}, 3, []string{"!?█"}},
		"cells of one width": {Matrix{{0.1, 1, 0}}, 8, []string{"▁▁██  "}},
		"too many moments":   {Matrix{{0.2, 0.4, 1, 1}}, 2, []string{"▃█"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Text(tc.in, tc.width)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestSVG(t *testing.T) {
	for name, tc := range map[string]struct {
		in   Matrix
		want []string
	}{
		"empty":              {Matrix{}, []string{`viewBox="0 0 1 1"`}},
		"one sample":         {Matrix{{0.3}}, []string{`viewBox="0 0 1 1"`, `<path class="h3" d="M0 0h1v1h-1z"/>`}},
		"neighbours are one": {Matrix{{0.05, 0.1, 0.11}, {0, 1, 1}}, []string{`viewBox="0 0 3 2"`, `<path class="h1" d="M0 0h2v1h-2z"/><path class="h2" d="M2 0h1v1h-1z"/><path class="h10" d="M1 1h2v1h-2z"/>`}},
		"overload, unknown":  {Matrix{{2, unknown}}, []string{`<path class="over" d="M0 0h1v1h-1z"/><path class="unknown" d="M1 0h1v1h-1z"/>`}},
		"idle":               {Matrix{{0, 0.001}}, []string{`</desc></svg>`}},
	} {
		t.Run(name, func(t *testing.T) {
			got := SVG(tc.in, "cpu", `a<b & "c"`, "what it shows")
			for _, want := range append(tc.want,
				`role="img" aria-labelledby="cpu-title cpu-desc"`,
				`<title id="cpu-title">a&lt;b &amp; &#34;c&#34;</title><desc id="cpu-desc">what it shows</desc>`) {
				if !strings.Contains(got, want) {
					t.Errorf("no %s in\n%s", want, got)
				}
			}
		})
	}
}

func TestClass(t *testing.T) {
	for share, want := range map[float64]string{
		0: "", 0.0049: "", 0.005: "h1", 0.1: "h1", 0.3: "h3", 0.7: "h7", 0.701: "h8", 0.999: "h10", 1: "h10", 1.1: "over", unknown: "unknown",
	} {
		if got := class(share); got != want {
			t.Errorf("class(%v) = %q, want %q", share, got, want)
		}
	}
}

// Every part is of one thing at least, and nothing is left out.
func TestPart(t *testing.T) {
	for _, of := range []int{1, 2, 7, 200, 1001} {
		for n := 1; n <= min(of, 12); n++ {
			next := 0
			for i := range n {
				first, end := Part(i, n, of)
				if first != next || end <= first {
					t.Fatalf("Part(%d, %d, %d) = %d, %d after %d", i, n, of, first, end, next)
				}
				next = end
			}
			if next != of {
				t.Errorf("%d parts of %d end at %d", n, of, next)
			}
		}
	}
}
