// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package cicd

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"auriga.dev/auriga/pkg/trace"
	"auriga.dev/auriga/pkg/trace/dist"
)

const historyHeader = "Id;Name;Duration;LastRun\n"

// history writes a made-up history drawn from the model: pipelines of one or two
// jobs, each job of two tests.
func history(m Model, pipelines int) string {
	r := rand.New(rand.NewPCG(7, 7))
	var b strings.Builder
	b.WriteString(historyHeader)
	start := time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)
	var operational float64
	for i := range pipelines {
		operational += m.Gaps.Sample(r)
		at := start.Add(time.Duration(m.Profile.clock(0, operational) * float64(time.Hour)))
		for range 1 + i%2 {
			seconds := m.Durations.Sample(r)
			for test, share := range []float64{0.25, 0.75} {
				fmt.Fprintf(&b, "%d;%d;%.6f;%s\n", i, test, share*seconds, at.Format("2006-01-02 15:04:05.000"))
			}
			at = at.Add(time.Duration(m.Within.Sample(r) * float64(time.Second)))
		}
	}
	return b.String()
}

// The fit of a history that was drawn from a model must find that model.
func TestFitFindsTheModel(t *testing.T) {
	truth := Model{
		Durations: dist.Lognormal(4, 0.4), Gaps: dist.Weibull(0.9, 20000), Within: dist.Gamma(3, 0.5), Profile: flat(),
	}
	truth.Profile.Hour[3], truth.Profile.Hour[15] = 0.2, 1.8
	const pipelines = 600
	fit, err := fitFS(fstest.MapFS{
		"a.csv":  {Data: []byte(history(truth, pipelines))},
		"README": {Data: []byte("not a history")},
	}, "dir")
	if err != nil {
		t.Fatal(err)
	}
	// Three jobs of two tests for each two pipelines.
	if diff := cmp.Diff([]File{{"a.csv", pipelines * 3, pipelines * 3 / 2}}, fit.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	// Of Weibull gaps with a mean of 21 ks few are below 15 s, which joins two.
	if fit.Pipelines < pipelines-10 || fit.Pipelines > pipelines {
		t.Errorf("got %d pipelines, want about %d", fit.Pipelines, pipelines)
	}
	if got := fit.PipelineShares[0]; math.Abs(got-0.5) > 0.01 {
		t.Errorf("share of pipelines with one job: got %g, want 0.5", got)
	}
	if math.Abs(fit.DurationCorrelation) > 0.1 {
		t.Errorf("correlation of independent durations: got %g", fit.DurationCorrelation)
	}
	if fit.Profile.Hour[3] > 0.4 || fit.Profile.Hour[15] < 1.4 {
		t.Errorf("profile: got %.2f at 3, %.2f at 15, want 0.2 and 1.8", fit.Profile.Hour[3], fit.Profile.Hour[15])
	}
	for name, part := range map[string]struct {
		fits []Candidate
		want dist.Distribution
	}{
		"durations": {fit.Durations, truth.Durations}, "gaps": {fit.Gaps, truth.Gaps}, "within": {fit.Within, truth.Within},
	} {
		for _, c := range part.fits {
			if c.Family != part.want.Family() {
				continue
			}
			for i, p := range part.want.Params() {
				if got := c.Params[i].Value; math.Abs(got/p.Value-1) > 0.15 {
					t.Errorf("%s: %s %s: got %g, want %g", name, c.Family, p.Name, got, p.Value)
				}
			}
			// Nothing is much better than the truth.
			if c.AIC > part.fits[0].AIC+10 {
				t.Errorf("%s: AIC of %s %g, of %s %g", name, c.Family, c.AIC, part.fits[0].Family, part.fits[0].AIC)
			}
			if limit := 1.36 / math.Sqrt(float64(c.N)); c.KS > limit {
				t.Errorf("%s: KS %g, want at most %g", name, c.KS, limit)
			}
		}
	}
	if err := fit.Model().validate(); err != nil {
		t.Errorf("model of the fit: %v", err)
	}
	if fit.BuiltIn.Durations.AIC < fit.Durations[0].AIC {
		t.Errorf("the built-in model fits foreign data better than their fit: AIC %g < %g", fit.BuiltIn.Durations.AIC, fit.Durations[0].AIC)
	}
}

// The daily profile must be worth its parameters where there is one.
func TestProfileImprovesTheFit(t *testing.T) {
	truth := DefaultModel()
	fit, err := fitFS(fstest.MapFS{"a.csv": {Data: []byte(history(truth, 400))}}, "dir")
	if err != nil {
		t.Fatal(err)
	}
	if fit.Gaps[0].AIC >= fit.PlainGaps[0].AIC {
		t.Errorf("AIC of the gaps with the profile %g, without %g", fit.Gaps[0].AIC, fit.PlainGaps[0].AIC)
	}
	for name, c := range map[string]Candidate{
		"durations": fit.BuiltIn.Durations, "gaps": fit.BuiltIn.Gaps,
	} {
		if limit := 1.36 / math.Sqrt(float64(c.N)); c.KS > limit {
			t.Errorf("the built-in model on data drawn from it: %s: KS %g, want at most %g", name, c.KS, limit)
		}
	}
}

// Jobs are counted by file: the same LastRun in two files is two jobs. Packed
// or not makes no difference.
func TestFitReadsAllFiles(t *testing.T) {
	text := history(DefaultModel(), 100)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	fit, err := fitFS(fstest.MapFS{"b.csv": {Data: []byte(text)}, "a.csv.gz": {Data: packed.Bytes()}}, "dir")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]File{{"a.csv.gz", 300, 150}, {"b.csv", 300, 150}}, fit.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if got := fit.Durations[0].N; got != 300 {
		t.Errorf("got %d durations, want 300", got)
	}
}

func TestFitWrites(t *testing.T) {
	fit, err := fitFS(fstest.MapFS{"a.csv": {Data: []byte(history(DefaultModel(), 100))}}, "dir")
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := fit.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a.csv: 300 test runs, 150 jobs\n", "\ndurations, s: n = 150", "built in: lognormal mixture of 3", "hyperexponential of 2"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in:\n%s", want, text.String())
		}
	}
	if _, err := json.Marshal(fit); err != nil {
		t.Errorf("as JSON: %v", err)
	}
	if err := fit.WriteText(failing{}); !errors.Is(err, errDisk) {
		t.Errorf("writing to a full disk: got %v, want %v", err, errDisk)
	}
}

type failing struct{}

var errDisk = errors.New("no space left on device")

func (failing) Write([]byte) (int, error) { return 0, errDisk }

func TestFitRejects(t *testing.T) {
	const good = "1;1;2.5;2023-01-01 00:00:00.000\n"
	for name, tc := range map[string]struct {
		fsys  fstest.MapFS
		input bool
		want  string
	}{
		"no file": {fstest.MapFS{"README": {}}, true, `dir: no history in this folder; want files *.csv or *.csv.gz`},
		"missing column": {
			fstest.MapFS{"a.csv": {Data: []byte("Id;Duration\n1;2\n")}}, true,
			`dir/a.csv:1: the header has no column "LastRun"; want the columns Duration, LastRun`,
		},
		"commas": {
			fstest.MapFS{"a.csv": {Data: []byte("Duration,LastRun\n1,2\n")}}, true,
			`dir/a.csv:1: the header has no column "Duration"; want the columns Duration, LastRun`,
		},
		"negative duration": {
			fstest.MapFS{"a.csv": {Data: []byte(historyHeader + good + "1;1;-1;2023-01-01 00:00:00\n")}}, true,
			`dir/a.csv:3: column "Duration": value "-1": not accepted; want a number from 0 to 86400`,
		},
		"not a time": {
			fstest.MapFS{"a.csv": {Data: []byte(historyHeader + "1;1;1;yesterday\n")}}, true,
			`dir/a.csv:2: column "LastRun": value "yesterday": not accepted; want a time like 2006-01-02 15:04:05.000`,
		},
		"empty file": {
			fstest.MapFS{"a.csv": {}}, true,
			`dir/a.csv: the file is empty; want a header line with the columns Duration, LastRun`,
		},
		"no gzip": {
			fstest.MapFS{"a.csv.gz": {Data: []byte(historyHeader)}}, true,
			`dir/a.csv.gz:1: the gzip data are damaged (gzip: invalid header); want a gzip file: copy it again, or name it without .gz if it is plain text`,
		},
		"too little": {
			fstest.MapFS{"a.csv": {Data: []byte(historyHeader + good)}}, false,
			`fit the histories in dir: 1 pipelines, want at least 2`,
		},
		"still too little": {
			fstest.MapFS{"a.csv": {Data: []byte(historyHeader + good + "1;1;2;2023-01-01 00:01:00\n")}}, false,
			`fit the histories in dir: durations: fit distributions: 2 samples, want at least 20`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fitFS(tc.fsys, "dir")
			if err == nil {
				t.Fatal("no error")
			}
			var input *trace.InputError
			if errors.As(err, &input) != tc.input {
				t.Errorf("is a *trace.InputError: got %v, want %v", !tc.input, tc.input)
			}
			if diff := cmp.Diff(tc.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}
