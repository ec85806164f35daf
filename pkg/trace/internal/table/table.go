// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package table reads delimited text, plain or gzip, strictly and by column
// name.
//
// In: a file. Out: rows, whose cells are read as text or as numbers within
// stated limits. Everything that is wrong is a *trace.InputError that names
// the file, the line (from 1, the header included), the column, the value and
// what is accepted. Columns that nobody asked for are ignored.
package table

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"

	"auriga.dev/auriga/pkg/trace"
)

// Row is one line of a table. Cells are read by column; the first one that is
// not acceptable is remembered and returned by Err, so that a caller can read
// a whole line and check once.
type Row struct {
	file  string
	line  int
	index map[string]int
	cells []string
	err   error
}

// Line is the line in the file, from 1.
func (r *Row) Line() int { return r.line }

// Err is what was wrong with the first bad cell, nil if none was.
func (r *Row) Err() error { return r.err }

// Fail notes that the value in column is not acceptable.
func (r *Row) Fail(column, problem, want string) {
	if r.err == nil {
		r.err = &trace.InputError{
			File: r.file, Line: r.line, Column: column, Value: r.Text(column), Problem: problem, Want: want,
		}
	}
}

// Text is the cell without surrounding blanks. The column must be one of those
// named to Read.
func (r *Row) Text(column string) string {
	return strings.TrimSpace(r.cells[r.index[column]])
}

// Int is the cell as a whole number from low to high; 0 if it is not.
func (r *Row) Int(column string, low, high int64) int64 {
	v, err := strconv.ParseInt(r.Text(column), 10, 64)
	if err != nil || v < low || v > high {
		r.Fail(column, "not accepted", fmt.Sprintf("a whole number from %d to %d", low, high))
		return 0
	}
	return v
}

// Float is the cell as a finite number from low to high; 0 if it is not.
func (r *Row) Float(column string, low, high float64) float64 {
	v, err := strconv.ParseFloat(r.Text(column), 64)
	if err != nil || math.IsNaN(v) || v < low || v > high {
		r.Fail(column, "not accepted", fmt.Sprintf("a number from %g to %g", low, high))
		return 0
	}
	return v
}

// Source is a file to read.
type Source struct {
	FS fs.FS
	// Name is the path within FS; a name that ends in .gz is read as gzip.
	Name string
	// Shown is how errors name the file.
	Shown string
	// Comma is the delimiter.
	Comma rune
}

// Read calls each for every line after the header. The header must hold each
// of columns once. It ends at the first error, of the file or of each.
func Read(src Source, columns []string, each func(*Row) error) (err error) {
	f, err := src.FS.Open(src.Name)
	if err != nil {
		return &trace.InputError{File: src.Shown, Problem: "cannot be opened", Want: "a readable file", Err: err}
	}
	defer func() { err = errors.Join(err, f.Close()) }()

	var in io.Reader = f
	if strings.HasSuffix(src.Name, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return src.broken(1, err)
		}
		in = z
	}
	return src.read(in, columns, each)
}

func (src Source) read(in io.Reader, columns []string, each func(*Row) error) error {
	buffered := bufio.NewReader(in)
	byteOrderMark := []byte("\ufeff")
	if start, err := buffered.Peek(len(byteOrderMark)); err == nil && bytes.Equal(start, byteOrderMark) {
		if _, err := buffered.Discard(len(byteOrderMark)); err != nil {
			return src.broken(1, err)
		}
	}
	lines := csv.NewReader(buffered)
	lines.Comma = src.Comma
	lines.FieldsPerRecord = -1 // checked below, with a clearer message
	lines.ReuseRecord = true

	header, err := lines.Read()
	if errors.Is(err, io.EOF) {
		return &trace.InputError{
			File: src.Shown, Problem: "the file is empty", Want: "a header line with the columns " + strings.Join(columns, ", "),
		}
	}
	if err != nil {
		return src.broken(1, err)
	}
	index, err := src.index(header, columns)
	if err != nil {
		return err
	}
	width, line := len(header), 1
	for {
		cells, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return src.broken(line+1, err)
		}
		line, _ = lines.FieldPos(0)
		if len(cells) != width {
			return &trace.InputError{
				File: src.Shown, Line: line,
				Problem: fmt.Sprintf("the line has %d fields", len(cells)), Want: fmt.Sprintf("%d, as many as the header", width),
			}
		}
		if err := each(&Row{file: src.Shown, line: line, index: index, cells: cells}); err != nil {
			return err
		}
	}
}

// index maps each wanted column to its place.
func (src Source) index(header, columns []string) (map[string]int, error) {
	index := make(map[string]int, len(columns))
	for i, h := range header {
		h = strings.TrimSpace(h)
		if !slices.Contains(columns, h) {
			continue
		}
		if _, twice := index[h]; twice {
			return nil, &trace.InputError{
				File: src.Shown, Line: 1, Problem: fmt.Sprintf("the header has the column %q twice", h), Want: "each column once",
			}
		}
		index[h] = i
	}
	for _, c := range columns {
		if _, ok := index[c]; !ok {
			return nil, &trace.InputError{
				File: src.Shown, Line: 1, Problem: fmt.Sprintf("the header has no column %q", c),
				Want: "the columns " + strings.Join(columns, ", "),
			}
		}
	}
	return index, nil
}

// broken explains an error of the layers beneath: gzip or the text format.
func (src Source) broken(line int, err error) error {
	e := &trace.InputError{File: src.Shown, Line: line, Err: err}
	var format *csv.ParseError
	switch {
	case errors.As(err, &format):
		e.Line, e.Err = format.Line, format.Err
		e.Problem, e.Want = "the line cannot be split into fields", fmt.Sprintf("fields separated by %q, quotes in pairs", src.Comma)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		e.Problem, e.Want = "the gzip data end too early", "the whole file: copy it again"
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), isCorrupt(err):
		e.Problem, e.Want = "the gzip data are damaged", "a gzip file: copy it again, or name it without .gz if it is plain text"
	default:
		e.Problem, e.Want = "cannot be read", "a readable file"
	}
	return e
}

func isCorrupt(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.As(err, &corrupt)
}
