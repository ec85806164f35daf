// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package cicd

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"auriga.dev/auriga/pkg/trace"
)

// Generated is a workload and how it came out.
type Generated struct {
	trace.Workload
	// Span is the time from the first to the last arrival.
	Span time.Duration
	// DurationScale is the factor on the fitted durations; 0 if even with
	// MinDuration for all TargetUtilization is exceeded.
	DurationScale float64
	// AtMin and AtMax are the shares of jobs whose duration was raised to
	// MinDuration or cut to MaxDuration.
	AtMin, AtMax float64
	// Peak is the demand at its highest moment, for each resource by itself, if
	// no job had to wait.
	Peak trace.Resources
	// Utilization is Peak as a share of the capacity, of the resource for which
	// it is the largest: TargetUtilization, unless the bounds on durations did
	// not allow it.
	Utilization float64
}

// Each concern draws from its own stream of the seed, so that a change to one
// leaves the others as they were.
const (
	streamArrivals uint64 = iota + 1
	streamDurations
	streamShapes
	streamWorkers
)

func stream(seed, concern uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, concern)) }

func (m Mix[T]) draw(r *rand.Rand) T {
	u := r.Float64()
	for _, c := range m {
		if u -= c.Share; u < 0 {
			return c.Value
		}
	}
	return m[len(m)-1].Value // what rounding leaves
}

// Generate makes the workload of cfg: the same cfg, the same workload. It fails
// if cfg is not valid or makes a job that no worker can hold.
func Generate(cfg Config) (*Generated, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("generate a CI/CD workload: %w", err)
	}
	span := cfg.Span
	if span == 0 {
		span = time.Duration(float64(cfg.Jobs) / cfg.Rate * float64(time.Second))
	}
	jobs := arrive(cfg, span)
	shape(cfg, jobs)
	w := trace.Workload{Nodes: cfg.Nodes, Jobs: make([]trace.Job, len(jobs))}
	for i, j := range jobs {
		j.Name = fmt.Sprintf("ci-%06d", i)
		w.Jobs[i] = j.Job
	}
	if misfits := w.Misfits(); len(misfits) > 0 {
		return nil, misfitError(misfits)
	}

	g := &Generated{Workload: w, Span: w.Jobs[len(w.Jobs)-1].Arrival}
	g.run(cfg)
	return g, nil
}

func misfitError(misfits []trace.Job) error {
	j := misfits[0]
	return fmt.Errorf("generate a CI/CD workload: %d jobs fit on no worker, the first asks for %d mCPU, %d MiB and %d GPUs: "+
		"want a larger worker, or smaller CPUMilli, GPUs or GPUShare", len(misfits), j.CPUMilli, j.MemoryBytes>>20, j.GPUs)
}

// pipelineJob is a job before it has a name.
type pipelineJob struct {
	trace.Job
	pipeline int
}

// arrive draws the pipelines and their jobs and places them on the span.
func arrive(cfg Config, span time.Duration) []pipelineJob {
	r := stream(cfg.Seed, streamArrivals)
	sizes := make(Mix[int], len(cfg.Model.PipelineShares))
	for i, share := range cfg.Model.PipelineShares {
		sizes[i] = Choice[int]{i + 1, share}
	}
	// start is each pipeline's in operational seconds, offsets are its jobs'
	// in seconds after that.
	type pipeline struct {
		start   float64
		offsets []float64
	}
	var pipelines []pipeline
	var start float64
	for made := 0; made < cfg.Jobs; {
		p := pipeline{start: start}
		var offset float64
		for range min(sizes.draw(r), cfg.Jobs-made) {
			p.offsets = append(p.offsets, offset)
			offset += cfg.Model.Within.Sample(r)
			made++
		}
		pipelines = append(pipelines, p)
		start += cfg.Model.Gaps.Sample(r)
	}

	// The whole process is squeezed onto cfg.Days of the profile, and that onto
	// the span. Only the shape of the gaps is left of them, not their length.
	profile, startHour := cfg.Model.Profile, float64(cfg.StartHour)
	days := profile.operational(startHour+cfg.Days*24) - profile.operational(startHour)
	last := pipelines[len(pipelines)-1].start
	var jobs []pipelineJob
	var seconds []float64
	for i, p := range pipelines {
		var at float64
		if last > 0 {
			at = profile.clock(startHour, p.start/last*days) * secondsInHour
		}
		for _, offset := range p.offsets {
			jobs = append(jobs, pipelineJob{pipeline: i})
			seconds = append(seconds, at+offset)
		}
	}
	if latest := slices.Max(seconds); latest > 0 {
		for i, s := range seconds {
			jobs[i].Arrival = time.Duration(s / latest * float64(span)).Round(time.Microsecond)
		}
	}
	slices.SortStableFunc(jobs, func(a, b pipelineJob) int { return cmp.Compare(a.Arrival, b.Arrival) })
	return jobs
}

// shape draws tenant and priority of each pipeline, and what each job asks for.
func shape(cfg Config, jobs []pipelineJob) {
	r := stream(cfg.Seed, streamShapes)
	tenants := make(Mix[Tenant], len(cfg.Tenants))
	for i, t := range cfg.Tenants {
		tenants[i] = Choice[Tenant]{t, t.Share}
	}
	type owner struct {
		tenant   Tenant
		priority string
	}
	owners := map[int]owner{}
	for i := range jobs {
		o, known := owners[jobs[i].pipeline]
		if !known {
			o.tenant = tenants.draw(r)
			o.priority = o.tenant.Priorities.draw(r)
			owners[jobs[i].pipeline] = o
		}
		j := &jobs[i].Job
		j.Tenant, j.Priority = o.tenant.Name, o.priority
		if r.Float64() < o.tenant.GPUShare {
			j.GPUs, j.GPUMilli = cfg.GPUs.draw(r), trace.WholeGPU
			j.CPUMilli, j.MemoryBytes = j.GPUs*cfg.CPUMilliPerGPU, j.GPUs*cfg.MemoryPerGPU
			continue
		}
		j.CPUMilli = o.tenant.CPUMilli.draw(r)
		j.MemoryBytes = max(leastMemory, j.CPUMilli*cfg.MemoryPerCore.draw(r)/1000)
	}
}

// mostCut is the largest share of jobs that MaxDuration may cut when the factor
// on durations is searched for.
const mostCut = 0.05

// run draws the durations and scales them.
func (g *Generated) run(cfg Config) {
	r := stream(cfg.Seed, streamDurations)
	seconds := make([]float64, len(g.Jobs))
	for i := range seconds {
		seconds[i] = cfg.Model.Durations.Sample(r)
	}
	if cfg.DurationScale > 0 {
		g.scale(cfg, seconds, cfg.DurationScale)
		return
	}
	// What is held at the peak grows with the factor: bisect. high is the largest
	// factor that cuts at most mostCut of the jobs.
	sorted := slices.Sorted(slices.Values(seconds))
	high := cfg.MaxDuration.Seconds() / sorted[int(math.Ceil((1-mostCut)*float64(len(sorted))))-1]
	if g.scale(cfg, seconds, high); g.Utilization <= cfg.TargetUtilization {
		return
	}
	low := 0.0
	const rounds = 40
	for range rounds {
		mid := (low + high) / 2
		if g.scale(cfg, seconds, mid); g.Utilization > cfg.TargetUtilization {
			high = mid
		} else {
			low = mid
		}
	}
	g.scale(cfg, seconds, low)
}

// scale sets the durations to the factor times seconds, within the bounds, and
// measures the demand.
func (g *Generated) scale(cfg Config, seconds []float64, factor float64) {
	g.DurationScale = factor
	var raised, cut int
	for i, s := range seconds {
		d := time.Duration(s * factor * float64(time.Second)).Round(time.Millisecond)
		switch {
		case d < cfg.MinDuration:
			d = cfg.MinDuration
			raised++
		case d > cfg.MaxDuration:
			d = cfg.MaxDuration
			cut++
		}
		g.Jobs[i].Duration = d
	}
	g.AtMin, g.AtMax = float64(raised)/float64(len(seconds)), float64(cut)/float64(len(seconds))
	g.Peak = trace.PeakDemand(g.Jobs)
	g.Utilization = largestShare(g.Peak, trace.Capacity(g.Nodes))
}

// largestShare is the largest quotient over the resources. What is asked for
// fits each worker by itself, so that a capacity of 0 has a demand of 0.
func largestShare(demand, capacity trace.Resources) float64 {
	var most float64
	for _, r := range [][2]int64{
		{demand.CPUMilli, capacity.CPUMilli}, {demand.MemoryBytes, capacity.MemoryBytes}, {demand.GPUs, capacity.GPUs},
	} {
		if r[1] > 0 {
			most = max(most, float64(r[0])/float64(r[1]))
		}
	}
	return most
}
