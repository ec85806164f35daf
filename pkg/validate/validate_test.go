// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package validate_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"

	"auriga.dev/auriga/pkg/apis/config/scheme"
	"auriga.dev/auriga/pkg/validate"
	"auriga.dev/auriga/plugins"
)

// -update writes what was found into the cases. Only commit it if you
// understand each change.
var update = flag.Bool("update", false, "rewrite testdata")

func newValidator(t testing.TB) *validate.Validator {
	t.Helper()
	v, err := validate.New(t.Context(), plugins.Registry())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Each case is a txtar file: what it shows, config.yaml, and the wanted result.
func TestCases(t *testing.T) {
	v := newValidator(t)
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range cases {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(name, func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			result := v.Data(t.Context(), archive.Files[0].Data)
			got := encode(t, result)
			if *update {
				archive.Files = append(archive.Files[:1], txtar.File{Name: "want.json", Data: got})
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(archive.Files) != 2 {
				t.Fatalf("%s has no want.json: run the test with -update and look at what it writes", path)
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), string(got)); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if valid := strings.HasPrefix(name, "ok-"); valid != result.Valid {
				t.Errorf("valid = %v, want %v", result.Valid, valid)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const valid = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
	huge := filepath.Join(dir, "huge.yaml")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, 100<<20); err != nil { // sparse
		t.Fatal(err)
	}

	v := newValidator(t)
	for name, tc := range map[string]struct {
		path, stdin, want string
	}{
		"valid":              {path: write("valid.yaml", valid)},
		"stdin":              {path: "-", stdin: valid},
		"empty stdin":        {path: "-", want: "the file is empty"},
		"JSON":               {path: write("config.json", `{"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}`)},
		"largest":            {path: write("largest.yaml", valid+"#"+strings.Repeat(" ", 1<<20-len(valid)-1))},
		"larger by a byte":   {path: write("larger.yaml", valid+"#"+strings.Repeat(" ", 1<<20-len(valid))), want: "too large"},
		"100 MB":             {path: huge, want: "too large"},
		"endless stdin":      {path: "/dev/zero", want: "too large"},
		"missing":            {path: filepath.Join(dir, "missing.yaml"), want: "does not exist"},
		"directory":          {path: dir, want: "is a directory"},
		"below a plain file": {path: filepath.Join(dir, "valid.yaml", "x"), want: "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			result := v.File(t.Context(), tc.path, strings.NewReader(tc.stdin))
			if result.File != tc.path {
				t.Errorf("file %q, want %q", result.File, tc.path)
			}
			switch {
			case tc.want == "" && !result.Valid:
				t.Errorf("problems: %v", result.Problems)
			case tc.want != "" && (len(result.Problems) != 1 || !strings.Contains(result.Problems[0].Message, tc.want)):
				t.Errorf("problems %v, want one with %q", result.Problems, tc.want)
			}
		})
	}
}

// What we ship must be valid.
func TestShippedConfigurations(t *testing.T) {
	v := newValidator(t)
	for _, pattern := range []string{"../../config/scheduler.yaml", "../../config/examples/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files: %v", pattern, err)
		}
		for _, file := range files {
			if result := v.File(t.Context(), file, nil); !result.Valid {
				t.Errorf("%s: %+v", file, result.Problems)
			}
		}
	}
}

// Whatever a file contains, the validator answers, and what it calls valid is
// what the scheduler's own loader accepts.
func FuzzData(f *testing.F) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		f.Fatalf("no cases: %v", err)
	}
	for _, path := range cases {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data)
	}
	v := newValidator(f)
	decoder := serializer.NewCodecFactory(scheme.New(), serializer.EnableStrict).UniversalDecoder()
	f.Fuzz(func(t *testing.T, data []byte) {
		result := v.Data(t.Context(), data)
		if result.Valid != (len(result.Problems) == 0) {
			t.Errorf("valid = %v with %d problems", result.Valid, len(result.Problems))
		}
		lines := bytes.Count(data, []byte("\n")) + 1
		for _, p := range result.Problems {
			if p.Message == "" || p.Line < 0 || p.Line > lines {
				t.Errorf("problem %+v in a file of %d lines", p, lines)
			}
		}
		cfg := &schedconfig.KubeSchedulerConfiguration{}
		if err := runtime.DecodeInto(decoder, data, cfg); result.Valid && err != nil {
			t.Errorf("valid, but the scheduler says: %v", err)
		}
	})
}

func encode(t *testing.T, result validate.Result) []byte {
	t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(result); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
