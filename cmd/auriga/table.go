// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// column is one column of a table. A cell with more characters than width goes
// on in the next line.
type column struct {
	title string
	width int
}

// tableRow has a cell for each column. Below stands under the row as it is, for
// text whose lines must stay whole.
type tableRow struct {
	cells []string
	below string
}

// table lays out rows in columns as narrow as their content allows. Columns
// without content are left out.
func table(columns []column, rows []tableRow) string {
	header := make([]string, len(columns))
	for i, c := range columns {
		header[i] = c.title
	}
	rows = append([]tableRow{{cells: header}}, rows...)

	wrapped := make([][][]string, len(rows)) // row, column, line
	widths := make([]int, len(columns))
	filled := make([]bool, len(columns))
	for i, row := range rows {
		for j, cell := range row.cells {
			lines := wrap(cell, columns[j].width)
			for _, line := range lines {
				widths[j] = max(widths[j], utf8.RuneCountInString(line))
			}
			filled[j] = filled[j] || i > 0 && cell != ""
			wrapped[i] = append(wrapped[i], lines)
		}
	}

	var text strings.Builder
	for i, row := range wrapped {
		for n, more := 0, true; more; n++ {
			line := ""
			more = false
			for j, lines := range row {
				if !filled[j] {
					continue
				}
				cell := ""
				if n < len(lines) {
					cell = lines[n]
				}
				more = more || n+1 < len(lines)
				line += fmt.Sprintf("  %-*s", widths[j], cell)
			}
			text.WriteString(strings.TrimRight(line, " ") + "\n")
		}
		if rows[i].below != "" {
			text.WriteString(strings.TrimRight(rows[i].below, "\n") + "\n")
		}
	}
	return text.String()
}

// wrap breaks text into lines of at most width characters: between words, else
// between the parts of a path, else anywhere.
func wrap(text string, width int) []string {
	var lines []string
	rest := []rune(strings.Join(strings.Fields(text), " "))
	for len(rest) > width {
		end := breakAt(rest[:width+1])
		lines = append(lines, strings.TrimRight(string(rest[:end]), " "))
		rest = []rune(strings.TrimLeft(string(rest[end:]), " "))
	}
	return append(lines, string(rest))
}

// breakAt finds where a line of at most len(runes)-1 characters ends best.
func breakAt(runes []rune) int {
	width := len(runes) - 1
	for _, marks := range []string{" ", ".[{/"} {
		for i := width; i > width/3; i-- {
			if strings.ContainsRune(marks, runes[i]) {
				return i
			}
		}
	}
	return width
}
