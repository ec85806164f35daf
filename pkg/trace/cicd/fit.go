// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package cicd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat"

	"auriga.dev/auriga/pkg/trace"
	"auriga.dev/auriga/pkg/trace/dist"
	"auriga.dev/auriga/pkg/trace/internal/table"
)

// pipelineGap is the longest gap between two jobs of one pipeline. In the
// dune-common history the gaps have two humps, and none is between 9.9 s (the
// jobs that one push starts on several systems) and 21.9 s.
const pipelineGap = 15 * time.Second

// Fit is what FitDir found.
type Fit struct {
	Files []File `json:"files"`
	// Durations are the fits to the jobs' service times in seconds, best AIC
	// first; so are all lists of fits below.
	Durations []Candidate `json:"durations"`
	// DurationCorrelation is the correlation of the logarithms of the service
	// times of two consecutive jobs of one pipeline. The generator draws
	// durations independently.
	DurationCorrelation float64 `json:"durationCorrelation"`
	// Pipelines is their number; PipelineShares[i] the part of them with i+1
	// jobs.
	Pipelines      int       `json:"pipelines"`
	PipelineShares []float64 `json:"pipelineShares"`
	// Within are the fits to the gaps in seconds between the jobs of a pipeline.
	Within []Candidate `json:"within"`
	// Profile is the daily and weekly profile of the pipelines' starts.
	Profile Profile `json:"profile"`
	// PlainGaps are the fits to the gaps in seconds between the starts of
	// pipelines, taken as they are.
	PlainGaps []Candidate `json:"plainGaps"`
	// Gaps are the fits to the same gaps measured in operational seconds of
	// Profile. Their likelihood is that of the clock's gaps (the profile's rate
	// is the Jacobian) and their AIC counts the profile's 29 parameters, so that
	// they compare with PlainGaps; their KS distance is in operational time.
	Gaps []Candidate `json:"gaps"`
	// BuiltIn rates DefaultModel on the same data.
	BuiltIn BuiltIn `json:"builtIn"`
}

// BuiltIn says how well DefaultModel fits. With the data it was fitted to, the
// numbers are those of the best candidates, but for rounding.
type BuiltIn struct {
	Durations Candidate `json:"durations"`
	Within    Candidate `json:"within"`
	Gaps      Candidate `json:"gaps"`
}

// File is one file that was read.
type File struct {
	Name string `json:"name"`
	// Rows is the number of test executions, Jobs of distinct LastRun.
	Rows int `json:"rows"`
	Jobs int `json:"jobs"`
}

// Candidate is a fitted distribution and how well it fits.
type Candidate struct {
	Distribution  dist.Distribution `json:"-"`
	Family        string            `json:"family"`
	Params        []dist.Param      `json:"params"`
	N             int               `json:"n"`
	LogLikelihood float64           `json:"logLikelihood"`
	AIC           float64           `json:"aic"`
	KS            float64           `json:"ks"`
}

func candidate(f dist.Candidate) Candidate {
	return Candidate{f.Distribution, f.Distribution.Family(), f.Distribution.Params(), f.N, f.LogLikelihood, f.AIC, f.KS}
}

// inClockTime turns the likelihood of operational gaps into that of the clock's.
func (c Candidate) inClockTime(logRate float64) Candidate {
	c.LogLikelihood += logRate
	c.AIC += 2*profileFreedom - 2*logRate
	return c
}

// run is one job of the history.
type run struct {
	at      time.Time
	seconds float64
}

// FitDir fits the model behind Generate to a folder of test-execution
// histories: all files *.csv and *.csv.gz in dir, with the columns Duration
// (seconds of one test) and LastRun (when its job ran), separated by
// semicolons. The rows of a file with the same LastRun are one job; its service
// time is the sum of Duration.
func FitDir(dir string) (*Fit, error) { return fitFS(os.DirFS(dir), dir) }

func fitFS(fsys fs.FS, shown string) (*Fit, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("list the histories in %s: %w", shown, err)
	}
	fit := &Fit{}
	var runs []run
	for _, e := range entries { // ReadDir sorts by name
		isHistory := strings.HasSuffix(e.Name(), ".csv") || strings.HasSuffix(e.Name(), ".csv.gz")
		if e.IsDir() || !isHistory {
			continue
		}
		jobs, rows, err := readHistory(fsys, e.Name(), filepath.Join(shown, e.Name()))
		if err != nil {
			return nil, err
		}
		fit.Files = append(fit.Files, File{e.Name(), rows, len(jobs)})
		runs = append(runs, jobs...)
	}
	if len(fit.Files) == 0 {
		return nil, &trace.InputError{File: shown, Problem: "no history in this folder", Want: "files *.csv or *.csv.gz"}
	}
	slices.SortStableFunc(runs, func(a, b run) int { return a.at.Compare(b.at) })
	if err := fit.fill(runs); err != nil {
		return nil, fmt.Errorf("fit the histories in %s: %w", shown, err)
	}
	return fit, nil
}

// runLayout is how LastRun is written; a fraction of a second may follow.
const runLayout = time.DateTime

func readHistory(fsys fs.FS, name, shown string) (jobs []run, rows int, err error) {
	const day = 86400
	place := map[time.Time]int{}
	src := table.Source{FS: fsys, Name: name, Shown: shown, Comma: ';'}
	err = table.Read(src, []string{"Duration", "LastRun"}, func(r *table.Row) error {
		seconds := r.Float("Duration", 0, day)
		at, err := time.Parse(runLayout, r.Text("LastRun"))
		if err != nil {
			r.Fail("LastRun", "not accepted", "a time like 2006-01-02 15:04:05.000")
		}
		if r.Err() != nil {
			return r.Err()
		}
		rows++
		i, seen := place[at]
		if !seen {
			i = len(jobs)
			place[at] = i
			jobs = append(jobs, run{at: at})
		}
		jobs[i].seconds += seconds
		return nil
	})
	return jobs, rows, err
}

// fill does the fits. The runs are in order of time.
func (f *Fit) fill(runs []run) error {
	var durations, within, plain, previous, next []float64
	var starts []time.Time
	var sizes []int
	for i, r := range runs {
		durations = append(durations, r.seconds)
		if i == 0 || r.at.Sub(runs[i-1].at) > pipelineGap {
			starts, sizes = append(starts, r.at), append(sizes, 1)
			continue
		}
		sizes[len(sizes)-1]++
		previous, next = append(previous, math.Log(runs[i-1].seconds)), append(next, math.Log(r.seconds))
		// Jobs of two files may have the same time to the millisecond.
		within = append(within, max(r.at.Sub(runs[i-1].at), time.Millisecond).Seconds())
	}
	if len(starts) < 2 {
		return fmt.Errorf("%d pipelines, want at least 2", len(starts))
	}
	for i := 1; i < len(starts); i++ {
		plain = append(plain, starts[i].Sub(starts[i-1]).Seconds())
	}
	f.Pipelines = len(starts)
	f.PipelineShares = make([]float64, slices.Max(sizes))
	for _, n := range sizes {
		f.PipelineShares[n-1]++
	}
	floats.Scale(1/float64(len(sizes)), f.PipelineShares)
	f.Profile = fitProfile(starts)
	operational, logRate := f.Profile.gaps(starts)

	for _, part := range []struct {
		name   string
		sample []float64
		out    *[]Candidate
	}{
		{"durations", durations, &f.Durations},
		{"gaps within pipelines", within, &f.Within},
		{"gaps between pipelines", plain, &f.PlainGaps},
		{"operational gaps between pipelines", operational, &f.Gaps},
	} {
		fits, err := dist.FitAll(part.sample)
		if err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		for _, c := range fits {
			*part.out = append(*part.out, candidate(c))
		}
	}
	for i, c := range f.Gaps {
		f.Gaps[i] = c.inClockTime(logRate)
	}
	if f.DurationCorrelation = stat.Correlation(previous, next, nil); math.IsNaN(f.DurationCorrelation) {
		return fmt.Errorf("durations: those of the jobs that follow another in a pipeline, or that another follows, are all equal")
	}

	builtIn := DefaultModel()
	operational, logRate = builtIn.Profile.gaps(starts)
	f.BuiltIn = BuiltIn{
		Durations: candidate(dist.Rate(builtIn.Durations, durations)),
		Within:    candidate(dist.Rate(builtIn.Within, within)),
		Gaps:      candidate(dist.Rate(builtIn.Gaps, operational)).inClockTime(logRate),
	}
	return nil
}

// WriteText writes the fit as tables for people.
func (f *Fit) WriteText(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	var errs []error
	line := func(format string, args ...any) {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		errs = append(errs, err)
	}
	for _, file := range f.Files {
		line("%s: %d test runs, %d jobs", file.Name, file.Rows, file.Jobs)
	}
	line("%d pipelines; shares with 1, 2, ... jobs: %.4f", f.Pipelines, f.PipelineShares)
	line("correlation of ln(duration) within a pipeline: %.2f", f.DurationCorrelation)
	line("rate by hour of the day: %.3f", f.Profile.Hour)
	line("rate by day of the week, Sunday first: %.3f", f.Profile.Day)
	for _, part := range []struct {
		title   string
		fits    []Candidate
		builtIn *Candidate
	}{
		{"durations, s", f.Durations, &f.BuiltIn.Durations},
		{"gaps between pipelines, operational s", f.Gaps, &f.BuiltIn.Gaps},
		{"gaps between pipelines without the profile, s", f.PlainGaps, nil},
		{"gaps within a pipeline, s", f.Within, &f.BuiltIn.Within},
	} {
		n := part.fits[0].N
		line("\n%s: n = %d, 1.36/sqrt(n) = %.3f", part.title, n, 1.36/math.Sqrt(float64(n)))
		line("family\tlog-likelihood\tAIC\tKS\tparameters")
		row := func(name string, c Candidate) {
			var params []string
			for _, p := range c.Params {
				params = append(params, fmt.Sprintf("%s %.4g", p.Name, p.Value))
			}
			line("%s\t%.1f\t%.1f\t%.4f\t%s", name, c.LogLikelihood, c.AIC, c.KS, strings.Join(params, ", "))
		}
		for _, c := range part.fits {
			row(c.Family, c)
		}
		if part.builtIn != nil {
			row("built in: "+part.builtIn.Family, *part.builtIn)
		}
	}
	return errors.Join(append(errs, w.Flush())...)
}

// gaps are the operational times in seconds between consecutive starts, and the
// sum of the logarithms of the rate at each start but the first.
func (p Profile) gaps(starts []time.Time) (gaps []float64, logRate float64) {
	for i := 1; i < len(starts); i++ {
		gaps = append(gaps, p.between(starts[i-1], starts[i]))
		logRate += math.Log(p.rate(int(weekHour(starts[i]))))
	}
	return gaps, logRate
}

// between is the operational time in seconds from a to b, a before b.
func (p Profile) between(a, b time.Time) float64 {
	start := weekHour(a)
	return p.operational(start+b.Sub(a).Hours()) - p.operational(start)
}
