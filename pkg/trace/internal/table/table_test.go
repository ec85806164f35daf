// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package table

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"auriga.dev/auriga/pkg/trace"
)

func zip(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type line struct {
	Line int
	Text string
	Int  int64
	Num  float64
}

// read reads the columns s (text), i (0..10) and f (0..1).
func read(name string, data []byte) ([]line, error) {
	var lines []line
	src := Source{FS: fstest.MapFS{name: {Data: data}}, Name: name, Shown: "dir/" + name, Comma: ','}
	err := Read(src, []string{"s", "i", "f"}, func(r *Row) error {
		lines = append(lines, line{r.Line(), r.Text("s"), r.Int("i", 0, 10), r.Float("f", 0, 1)})
		return r.Err()
	})
	return lines, err
}

func TestRead(t *testing.T) {
	want := []line{{2, "a", 3, 0.5}, {3, "b,\nc", 0, 0}, {5, "", 10, 1}}
	for name, text := range map[string]string{
		"plain":                     "s,i,f\na,3,0.5\n\"b,\nc\",0,0\n,10,1\n",
		"other order, more columns": "f,x,i,s\n0.5,?,3,a\n0,?,0,\"b,\nc\"\n1,?,10,\n",
		"byte order mark, CRLF":     "\ufeffs,i,f\r\na,3,.5\r\n\"b,\nc\",0,0\r\n,10,1e0",
		"blanks around":             " s ,i , f\n a , 3, 0.5\n\"b,\nc\",0,0\n,10,1\n",
	} {
		t.Run(name, func(t *testing.T) {
			for file, data := range map[string][]byte{"t.csv": []byte(text), "t.csv.gz": zip(t, text)} {
				got, err := read(file, data)
				if err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", file, diff)
				}
			}
		})
	}
}

func TestReadRejects(t *testing.T) {
	whole := zip(t, "s,i,f\na,3,0.5\n")
	damaged := bytes.Clone(whole)
	damaged[len(damaged)-8] ^= 1 // the checksum
	tests := map[string]struct {
		file string
		data []byte
		want string
	}{
		"empty":           {"t.csv", nil, `dir/t.csv: the file is empty; want a header line with the columns s, i, f`},
		"empty gzip":      {"t.csv.gz", zip(t, ""), `dir/t.csv.gz: the file is empty; want a header line with the columns s, i, f`},
		"missing column":  {"t.csv", []byte("s,f\n"), `dir/t.csv:1: the header has no column "i"; want the columns s, i, f`},
		"column twice":    {"t.csv", []byte("s,i,f,i\n"), `dir/t.csv:1: the header has the column "i" twice; want each column once`},
		"wrong case":      {"t.csv", []byte("S,i,f\n"), `dir/t.csv:1: the header has no column "s"; want the columns s, i, f`},
		"short line":      {"t.csv", []byte("s,i,f\na,3,0\na,3\n"), `dir/t.csv:3: the line has 2 fields; want 3, as many as the header`},
		"long line":       {"t.csv", []byte("s,i,f\na,3,0,9\n"), `dir/t.csv:2: the line has 4 fields; want 3, as many as the header`},
		"open quote":      {"t.csv", []byte("s,i,f\n\"a,3,0\n"), `dir/t.csv:2: the line cannot be split into fields (extraneous or missing " in quoted-field); want fields separated by ',', quotes in pairs`},
		"stray quote":     {"t.csv", []byte("s,i,f\na\"b,3,0\n"), `dir/t.csv:2: the line cannot be split into fields (bare " in non-quoted-field); want fields separated by ',', quotes in pairs`},
		"not a number":    {"t.csv", []byte("s,i,f\na,three,0\n"), `dir/t.csv:2: column "i": value "three": not accepted; want a whole number from 0 to 10`},
		"negative":        {"t.csv", []byte("s,i,f\na,-3,0\n"), `dir/t.csv:2: column "i": value "-3": not accepted; want a whole number from 0 to 10`},
		"too large":       {"t.csv", []byte("s,i,f\na,11,0\n"), `dir/t.csv:2: column "i": value "11": not accepted; want a whole number from 0 to 10`},
		"overflow":        {"t.csv", []byte("s,i,f\na,99999999999999999999,0\n"), `dir/t.csv:2: column "i": value "99999999999999999999": not accepted; want a whole number from 0 to 10`},
		"fraction":        {"t.csv", []byte("s,i,f\na,1.5,0\n"), `dir/t.csv:2: column "i": value "1.5": not accepted; want a whole number from 0 to 10`},
		"blank number":    {"t.csv", []byte("s,i,f\na,,0\n"), `dir/t.csv:2: column "i": value "": not accepted; want a whole number from 0 to 10`},
		"NaN":             {"t.csv", []byte("s,i,f\na,1,NaN\n"), `dir/t.csv:2: column "f": value "NaN": not accepted; want a number from 0 to 1`},
		"infinite":        {"t.csv", []byte("s,i,f\na,1,Inf\n"), `dir/t.csv:2: column "f": value "Inf": not accepted; want a number from 0 to 1`},
		"first of two":    {"t.csv", []byte("s,i,f\na,-1,-2\n"), `dir/t.csv:2: column "i": value "-1": not accepted; want a whole number from 0 to 10`},
		"truncated gzip":  {"t.csv.gz", whole[:len(whole)-10], `dir/t.csv.gz:3: the gzip data end too early (unexpected EOF); want the whole file: copy it again`},
		"gzip header cut": {"t.csv.gz", whole[:5], `dir/t.csv.gz:1: the gzip data end too early (unexpected EOF); want the whole file: copy it again`},
		"gzip of 0 bytes": {"t.csv.gz", nil, `dir/t.csv.gz:1: the gzip data end too early (EOF); want the whole file: copy it again`},
		"checksum":        {"t.csv.gz", damaged, `dir/t.csv.gz:3: the gzip data are damaged (gzip: invalid checksum); want a gzip file: copy it again, or name it without .gz if it is plain text`},
		"plain named .gz": {"t.csv.gz", []byte("s,i,f\na,3,0.5\n"), `dir/t.csv.gz:1: the gzip data are damaged (gzip: invalid header); want a gzip file: copy it again, or name it without .gz if it is plain text`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := read(tc.file, tc.data)
			var input *trace.InputError
			if !errors.As(err, &input) {
				t.Fatalf("got %v, want a *trace.InputError", err)
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadMissingFile(t *testing.T) {
	src := Source{FS: fstest.MapFS{}, Name: "t.csv", Shown: "dir/t.csv", Comma: ','}
	err := Read(src, []string{"s"}, func(*Row) error { return nil })
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist beneath", err)
	}
}

// Whatever the bytes, Read returns rows within the limits or an InputError.
func FuzzRead(f *testing.F) {
	f.Add([]byte("s,i,f\na,3,0.5\n"), false)
	f.Add([]byte("\ufeffs,i,f\r\n\"a\nb\",3,0.5"), false)
	f.Add([]byte("\x1f\x8b\x08\x00"), true)
	f.Fuzz(func(t *testing.T, data []byte, compressed bool) {
		name := "t.csv"
		if compressed {
			name += ".gz"
		}
		lines, err := read(name, data)
		var input *trace.InputError
		if err != nil && !errors.As(err, &input) {
			t.Fatalf("got %v, want a *trace.InputError", err)
		}
		for i, l := range lines {
			if l.Int < 0 || l.Int > 10 || !(l.Num >= 0 && l.Num <= 1) || l.Line < i+2 {
				t.Fatalf("row %d: %+v", i, l)
			}
		}
	})
}
