// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package heatmap draws shares over time as pictures, for a terminal and for a
// page. Numbers in, text or SVG out; it knows nothing of what they measure.
package heatmap

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Matrix has a row for each thing and a column for each moment. A cell is a
// share: 1 is all there is, more is an overload, NaN is not known. All rows are
// of one length.
type Matrix [][]float64

// columns is the number of moments.
func (m Matrix) columns() int {
	if len(m) == 0 {
		return 0
	}
	return len(m[0])
}

// Shrink returns a matrix of at most so many rows and columns. Its cells are
// means over neighbours, of those that are known.
func (m Matrix) Shrink(rows, columns int) Matrix {
	rows, columns = min(rows, len(m)), min(columns, m.columns())
	small := make(Matrix, rows)
	for i := range small {
		small[i] = make([]float64, columns)
		top, bottom := Part(i, rows, len(m))
		for j := range small[i] {
			left, right := Part(j, columns, m.columns())
			var sum, known float64
			for _, row := range m[top:bottom] {
				for _, share := range row[left:right] {
					if !math.IsNaN(share) {
						sum += share
						known++
					}
				}
			}
			small[i][j] = sum / known // NaN if none is known
		}
	}
	return small
}

// Part is the i-th of n parts of `of` things, as even as they get: from first
// up to, but not with, end.
func Part(i, n, of int) (first, end int) { return i * of / n, (i + 1) * of / n }

// idle is the share below which nothing is drawn.
const idle = 0.005

// overloaded says whether a share is more than all, rounding aside.
func overloaded(share float64) bool { return share > 1+1e-9 }

// blocks are the cells of Text for eighths: up to 1/8, up to 2/8 and so on.
func blocks() []rune { return []rune("▁▂▃▄▅▆▇█") }

// Legend says what the characters of Text mean.
func Legend() string {
	return "▁ to 12.5 %  ▂ to 25 %  ▄ to 50 %  ▆ to 75 %  █ to 100 %  ! more  ? unknown"
}

// Text draws a line for each row, with a character for each cell: the higher,
// the larger the share. It is as wide as fits into width when all cells are of
// one width: columns are averaged if there are more, else cells are repeated.
func Text(m Matrix, width int) []string {
	m = m.Shrink(len(m), width)
	lines := make([]string, len(m))
	for i, row := range m {
		var line strings.Builder
		for _, share := range row {
			line.WriteString(strings.Repeat(block(share), width/len(row)))
		}
		lines[i] = line.String()
	}
	return lines
}

func block(share float64) string {
	switch {
	case math.IsNaN(share):
		return "?"
	case overloaded(share):
		return "!"
	case share < idle:
		return " "
	default:
		all := blocks()
		return string(all[level(share, len(all))-1])
	}
}

// level is which of n equal steps from 0 to 1 a share is in, 1 to n.
func level(share float64, n int) int {
	return min(max(int(math.Ceil(share*float64(n)-1e-9)), 1), n)
}

// Classes are the CSS classes of an SVG's cells in the order of the shares:
// h1 is up to 10 %, h10 up to 100 %, over is more, unknown is not known. What is
// idle has none.
func Classes() []string {
	return []string{"h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8", "h9", "h10", "over", "unknown"}
}

// class is the cell's; "" if nothing is drawn.
func class(share float64) string {
	switch {
	case math.IsNaN(share):
		return "unknown"
	case overloaded(share):
		return "over"
	case share < idle:
		return ""
	default:
		return fmt.Sprintf("h%d", level(share, 10))
	}
}

// SVG draws a cell of 1 x 1 for each cell, rows from the top down, stretched to
// the size that the page gives it. The page colors the Classes; id is unique in
// the page; title and description are for who cannot see it.
func SVG(m Matrix, id, title, description string) string {
	var svg strings.Builder
	write := func(format string, args ...any) { fmt.Fprintf(&svg, format, args...) }
	id = html.EscapeString(id)
	write(`<svg class="heatmap" viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-labelledby="%s-title %s-desc">`,
		max(m.columns(), 1), max(len(m), 1), id, id)
	write(`<title id="%s-title">%s</title><desc id="%s-desc">%s</desc>`, id, html.EscapeString(title), id, html.EscapeString(description))
	paths := outlines(m)
	for _, c := range Classes() {
		if path := paths[c]; path != "" {
			write(`<path class="%s" d="%s"/>`, c, path)
		}
	}
	write("</svg>")
	return svg.String()
}

// outlines is the path around each class's cells. Neighbours of one class in a
// row are one rectangle, so that thousands of workers make a page that loads.
func outlines(m Matrix) map[string]string {
	paths := map[string]*strings.Builder{}
	for y, row := range m {
		for x := 0; x < len(row); {
			c, from := class(row[x]), x
			for x < len(row) && class(row[x]) == c {
				x++
			}
			if c == "" {
				continue
			}
			if paths[c] == nil {
				paths[c] = &strings.Builder{}
			}
			fmt.Fprintf(paths[c], "M%d %dh%dv1h-%dz", from, y, x-from, x-from)
		}
	}
	drawn := make(map[string]string, len(paths))
	for c, path := range paths {
		drawn[c] = path.String()
	}
	return drawn
}
