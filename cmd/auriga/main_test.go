// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// -update writes the printed table into testdata. Only commit it if you like it.
var update = flag.Bool("update", false, "rewrite testdata")

const validConfig = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.yaml")
	bad := filepath.Join(dir, "bad.yaml")
	for path, content := range map[string]string{good: validConfig, bad: validConfig + "paralellism: 3\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	for name, tc := range map[string]struct {
		args           []string
		stdin          string
		want           int
		stdout, stderr string // parts
	}{
		"good":                {args: []string{"validate", good}, stdout: good + ": ok (1 profile: auriga; 19 plugins)\n"},
		"good by flag":        {args: []string{"validate", "--config", good}, stdout: "ok"},
		"good by both":        {args: []string{"validate", "--config", good, good, "--config=" + good}, stdout: "ok"},
		"good from stdin":     {args: []string{"validate", "-"}, stdin: validConfig, stdout: "-: ok"},
		"good as JSON":        {args: []string{"validate", good, "-o", "json"}, stdout: `"valid": true`},
		"bad":                 {args: []string{"validate", bad}, want: 1, stdout: "did you mean"},
		"bad as JSON":         {args: []string{"-o=json", "validate", bad}, want: 1, stdout: `"field": "paralellism"`},
		"bad from stdin":      {args: []string{"validate", "-"}, want: 1, stdout: "the file is empty"},
		"one of two is bad":   {args: []string{"validate", good, bad}, want: 1, stdout: "ok ("},
		"missing file":        {args: []string{"validate", filepath.Join(dir, "none.yaml")}, want: 1, stdout: "does not exist"},
		"no file":             {args: []string{"validate"}, want: 2, stderr: "no file given"},
		"unknown flag":        {args: []string{"validate", good, "--strict"}, want: 2, stderr: "unknown flag: --strict\nSee 'auriga validate --help'."},
		"flag without value":  {args: []string{"validate", "--config"}, want: 2, stderr: "flag needs an argument"},
		"unknown output":      {args: []string{"validate", good, "-o", "yaml"}, want: 2, stderr: "must be table or json"},
		"unknown command":     {args: []string{"validat", good}, want: 2, stderr: `unknown command "validat"`},
		"no command":          {want: 2, stderr: "which command?"},
		"version":             {args: []string{"version"}, stdout: "kubernetes  v1.35"},
		"version as JSON":     {args: []string{"version", "-o", "json"}, stdout: `"kubernetes": "v1.35`},
		"version of what":     {args: []string{"version", "x"}, want: 2, stderr: "unknown command \"x\""},
		"help":                {args: []string{"--help"}, stdout: "validate"},
		"help of a command":   {args: []string{"help", "validate"}, stdout: "--config"},
		"help with an output": {args: []string{"validate", "-h", "-o", "json"}, stdout: "FILE"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), "auriga", tc.args, strings.NewReader(tc.stdin), &stdout, &stderr)
			if code != tc.want {
				t.Errorf("exit code %d, want %d", code, tc.want)
			}
			if !strings.Contains(stdout.String(), tc.stdout) {
				t.Errorf("stdout %q should contain %q", stdout.String(), tc.stdout)
			}
			if !strings.Contains(stderr.String(), tc.stderr) || tc.stderr == "" && stderr.Len() > 0 {
				t.Errorf("stderr %q should contain %q", stderr.String(), tc.stderr)
			}
		})
	}
}

func TestPluginOfKubectl(t *testing.T) {
	var stdout bytes.Buffer
	if code := run(t.Context(), "kubectl-auriga", []string{"validate", "--help"}, nil, &stdout, &stdout); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if want := "kubectl auriga validate FILE..."; !strings.Contains(stdout.String(), want) {
		t.Errorf("help %q should contain %q", stdout.String(), want)
	}
}

// The two forms of the output say the same.
func TestValidateOutput(t *testing.T) {
	files := []string{"validate", "testdata/bad.yaml", "../../config/scheduler.yaml", "testdata/none.yaml"}
	var text, jsonText, stderr bytes.Buffer
	run(t.Context(), "auriga", files, nil, &text, &stderr)
	run(t.Context(), "auriga", append(files, "-o", "json"), nil, &jsonText, &stderr)

	for golden, got := range map[string][]byte{"testdata/bad.txt": text.Bytes(), "testdata/bad.json": jsonText.Bytes()} {
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", golden, diff)
		}
	}

	var decoded struct {
		Valid bool
		Files []struct {
			File     string
			Problems []struct{ Field, Message string }
		}
	}
	if err := json.Unmarshal(jsonText.Bytes(), &decoded); err != nil {
		t.Fatal(err)
	}
	if decoded.Valid || len(decoded.Files) != 3 {
		t.Errorf("valid = %v with %d files, want an invalid one of 3", decoded.Valid, len(decoded.Files))
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr: %s", stderr.String())
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestOutputThatDoesNotArrive(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"version", "-o", "json"}, {"validate", "../../config/scheduler.yaml"}} {
		var stderr bytes.Buffer
		if code := run(t.Context(), "auriga", args, nil, brokenPipe{}, &stderr); code != exitFailed || !strings.Contains(stderr.String(), "broken pipe") {
			t.Errorf("%v: exit code %d, stderr %q; want 1 and the reason", args, code, stderr.String())
		}
	}
}

func TestSplitVersion(t *testing.T) {
	for linked, want := range map[string][2]string{
		"v1.35.8+auriga.v0.1.0-3-gabc": {"v1.35.8", "v0.1.0-3-gabc"},
		"v0.0.0-master+$Format:%H$":    {"v1.35", "unknown (not built by make)"},
	} {
		kubernetes, auriga := splitVersion(linked)
		if diff := cmp.Diff(want, [2]string{kubernetes, auriga}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", linked, diff)
		}
	}
}

func TestTable(t *testing.T) {
	got := table([]column{{"A", 6}, {"EMPTY", 9}, {"B", 8}}, []tableRow{
		{cells: []string{"one", "", "two words more"}},
		{cells: []string{"äöüäöüä", "", "path.to[0].x"}, below: "   | as it is\n"},
	})
	want := `  A       B
  one     two
          words
          more
  äöüäöü  path.to
  ä       [0].x
   | as it is
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}
