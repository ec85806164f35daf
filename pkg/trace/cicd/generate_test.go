// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package cicd

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/trace"
	"auriga.dev/auriga/pkg/trace/dist"
)

func workers(t *testing.T, n int) []trace.Node {
	t.Helper()
	nodes, err := Workers(n, 1)
	if err != nil {
		t.Fatal(err)
	}
	return nodes
}

func generate(t *testing.T, cfg Config) *Generated {
	t.Helper()
	g, err := Generate(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestGenerateIsDeterministic(t *testing.T) {
	nodes := workers(t, 100)
	first := generate(t, DefaultConfig(500, nodes, 1))
	if diff := cmp.Diff(first, generate(t, DefaultConfig(500, nodes, 1))); diff != "" {
		t.Errorf("same seed (-first +second):\n%s", diff)
	}
	if cmp.Equal(first.Jobs, generate(t, DefaultConfig(500, nodes, 2)).Jobs) {
		t.Error("seeds 1 and 2 make the same jobs")
	}
	// What is asked for must not change when only the load does.
	lighter := DefaultConfig(500, nodes, 1)
	lighter.TargetUtilization = 0.4
	for i, j := range generate(t, lighter).Jobs {
		want := first.Jobs[i]
		want.Duration = j.Duration
		if diff := cmp.Diff(want, j); diff != "" {
			t.Fatalf("half the load changes more than durations (-want +got):\n%s", diff)
		}
	}
}

// A change to what a seed means makes reports of two versions incomparable:
// change these lines only on purpose.
func TestGenerateGolden(t *testing.T) {
	var got strings.Builder
	for _, j := range generate(t, DefaultConfig(1000, workers(t, 100), 1)).Jobs[:3] {
		got.WriteString(strings.Join([]string{
			j.Name, j.Tenant, j.Priority, j.Arrival.Round(time.Millisecond).String(), j.Duration.Round(10 * time.Millisecond).String(),
		}, " ") + "\n")
	}
	const want = "ci-000000 platform auriga-critical 0s 1.46s\n" +
		"ci-000001 platform auriga-medium 21ms 1.1s\n" +
		"ci-000002 platform auriga-medium 22ms 1s\n"
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestGenerateInvariants(t *testing.T) {
	for _, size := range []struct{ nodes, jobs int }{{1, 1}, {1, 2}, {2, 30}, {50, 100}, {1000, 2000}, {100, 5000}} {
		nodes := workers(t, size.nodes)
		cfg := DefaultConfig(size.jobs, nodes, 3)
		g := generate(t, cfg)
		if len(g.Jobs) != size.jobs {
			t.Fatalf("%v: got %d jobs", size, len(g.Jobs))
		}
		span := time.Duration(float64(size.jobs) / cfg.Rate * float64(time.Second))
		if size.jobs > 1 && (g.Span-span).Abs() > time.Millisecond {
			t.Errorf("%v: got a span of %v, want %v", size, g.Span, span)
		}
		if g.Jobs[0].Arrival != 0 || g.Jobs[len(g.Jobs)-1].Arrival != g.Span {
			t.Errorf("%v: arrivals from %v to %v, want 0 to %v", size, g.Jobs[0].Arrival, g.Jobs[len(g.Jobs)-1].Arrival, g.Span)
		}
		seen := map[string]bool{}
		for i, j := range g.Jobs {
			ok := !seen[j.Name] && (i == 0 || j.Arrival >= g.Jobs[i-1].Arrival) &&
				j.Duration >= cfg.MinDuration && j.Duration <= cfg.MaxDuration &&
				slices.Contains(names.PriorityClasses(), j.Priority) && slices.Contains([]string{"web", "platform", "ml"}, j.Tenant) &&
				j.CPUMilli >= 250 && j.CPUMilli <= 8000 && j.MemoryBytes >= leastMemory && j.MemoryBytes <= 32*gib &&
				(j.GPUs == 0 && j.GPUMilli == 0 || j.GPUs > 0 && j.GPUMilli == trace.WholeGPU && j.Tenant == "ml")
			if !ok {
				t.Fatalf("%v: job %d: %+v", size, i, j)
			}
			seen[j.Name] = true
		}
		if misfits := g.Misfits(); len(misfits) != 0 {
			t.Errorf("%v: %d misfits", size, len(misfits))
		}
		if g.Peak != trace.PeakDemand(g.Jobs) {
			t.Errorf("%v: peak %+v, want %+v", size, g.Peak, trace.PeakDemand(g.Jobs))
		}
	}
}

// Durations at scale 1 and gaps must be distributed as the model says.
func TestGenerateFollowsTheModel(t *testing.T) {
	const n = 10000
	limit := 1.36 / math.Sqrt(n)
	cfg := DefaultConfig(n, workers(t, 1000), 5)
	cfg.DurationScale, cfg.MinDuration, cfg.MaxDuration = 1, time.Millisecond, 24*time.Hour
	g := generate(t, cfg)
	var durations []float64
	for _, j := range g.Jobs {
		durations = append(durations, j.Duration.Seconds())
	}
	if ks := dist.KS(cfg.Model.Durations, durations); ks > limit {
		t.Errorf("durations: KS %.4f, want at most %.4f", ks, limit)
	}

	// With one job a pipeline and a flat profile the gaps are the model's, all
	// scaled by one factor; their mean tells it.
	cfg = DefaultConfig(n+1, workers(t, 1000), 5)
	cfg.Model.PipelineShares, cfg.Model.Profile = []float64{1}, flat()
	cfg.Model.Gaps = dist.Gamma(0.5, 2) // mean 1, known
	cfg.Span = n * time.Second
	jobs := generate(t, cfg).Jobs
	var gaps []float64
	for i := 1; i < len(jobs); i++ {
		gaps = append(gaps, max(1e-9, (jobs[i].Arrival-jobs[i-1].Arrival).Seconds()))
	}
	if ks := dist.KS(cfg.Model.Gaps, gaps); ks > limit {
		t.Errorf("gaps: KS %.4f, want at most %.4f", ks, limit)
	}
}

// The shares in the workload must be those of the configuration.
func TestGenerateShares(t *testing.T) {
	const n = 20000
	cfg := DefaultConfig(n, workers(t, 1000), 9)
	byTenant, byPriority, byCPU, byGPUs := map[string]float64{}, map[string]float64{}, map[int64]float64{}, map[int64]float64{}
	var hours [24]float64
	cfg.Span = 24 * time.Hour
	for _, j := range generate(t, cfg).Jobs {
		byTenant[j.Tenant] += 1. / n
		byPriority[j.Tenant+" "+j.Priority] += 1. / n
		byGPUs[j.GPUs] += 1. / n
		if j.GPUs == 0 && j.Tenant == "platform" {
			byCPU[j.CPUMilli] += 1. / n
		}
		hours[min(23, int(j.Arrival.Hours()))] += 1. / n
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 0.012 {
			t.Errorf("%s: got %.4f, want %.4f", what, got, want)
		}
	}
	for _, tenant := range cfg.Tenants {
		near(tenant.Name, byTenant[tenant.Name], tenant.Share)
		for _, p := range tenant.Priorities {
			near(tenant.Name+" "+p.Value, byPriority[tenant.Name+" "+p.Value], tenant.Share*p.Share)
		}
	}
	for _, c := range cfg.Tenants[1].CPUMilli {
		near("platform cores", byCPU[c.Value], 0.35*c.Share)
	}
	for _, c := range cfg.GPUs {
		near("GPUs", byGPUs[c.Value], 0.15*0.40*c.Share)
	}
	// Hour 0 of the span is hour 8 of the day. Bursts make the counts of hours
	// vary, so compare night with evening: hours 0..5 against 17..22.
	var night, evening float64
	for h := range 6 {
		night += hours[(h+24-8)%24]
		evening += hours[(h+17-8)%24]
	}
	if night*5 > evening {
		t.Errorf("arrivals at night %.3f, in the evening %.3f: want less than a fifth", night, evening)
	}
}

func TestGenerateReachesTheTarget(t *testing.T) {
	nodes := workers(t, 200)
	for _, target := range []float64{0.5, 0.8, 1.5} {
		cfg := DefaultConfig(4000, nodes, 1)
		cfg.TargetUtilization = target
		g := generate(t, cfg)
		if g.Utilization > target || g.Utilization < 0.98*target {
			t.Errorf("target %g: got %g", target, g.Utilization)
		}
	}
	// Out of reach: ten jobs cannot fill 200 workers; a tenth of a second of work
	// cannot be spread so thin.
	cfg := DefaultConfig(10, nodes, 1)
	if g := generate(t, cfg); g.Utilization >= 0.8 || g.AtMax > 0.1 || g.DurationScale <= 0 {
		t.Errorf("ten jobs on 200 workers: %+v", g)
	}
	cfg = DefaultConfig(4000, workers(t, 2), 1)
	cfg.Span = time.Second
	if g := generate(t, cfg); g.Utilization <= 0.8 || g.AtMin < 0.99 {
		t.Errorf("4000 jobs a second on two workers: utilization %g, at the minimum %g", g.Utilization, g.AtMin)
	}
}

func TestGenerateRejects(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"jobs":           {func(c *Config) { c.Jobs = 0 }, "Jobs is 0, want at least 1"},
		"nodes":          {func(c *Config) { c.Nodes = nil }, "Nodes is 0, want at least 1"},
		"span":           {func(c *Config) { c.Span = -1 }, "Span is -1ns, want 0 (Jobs/Rate) or more"},
		"rate":           {func(c *Config) { c.Rate = 0 }, "Rate is 0, want more than 0 if Span is 0"},
		"NaN rate":       {func(c *Config) { c.Rate = math.NaN() }, "Rate is NaN, want more than 0 if Span is 0"},
		"days":           {func(c *Config) { c.Days = 0 }, "Days is 0, want more than 0, at most 366"},
		"start":          {func(c *Config) { c.StartHour = 168 }, "StartHour is 168, want 0 to 167"},
		"target":         {func(c *Config) { c.TargetUtilization = 0 }, "TargetUtilization is 0, want more than 0, at most 10"},
		"scale":          {func(c *Config) { c.DurationScale = -1 }, "DurationScale is -1, want 0 (from TargetUtilization) or more"},
		"durations":      {func(c *Config) { c.MaxDuration = c.MinDuration }, "MaxDuration is 1s, want more than MinDuration"},
		"least duration": {func(c *Config) { c.MinDuration = 0 }, "MinDuration is 0s, want more than 0"},
		"model":          {func(c *Config) { c.Model = Model{} }, "Model: model: Durations, Gaps and Within must be set; take DefaultModel or Fit.Model"},
		"shares": {
			func(c *Config) { c.Tenants[0].Share = 0.75 }, "Tenants: shares sum to 1.25, want 1",
		},
		"no tenant": {func(c *Config) { c.Tenants = nil }, "Tenants: shares sum to 0, want 1"},
		"negative share": {
			func(c *Config) { c.GPUs = Mix[int64]{{1, -1}, {2, 2}} }, "GPUs: share -1, want 0 or more",
		},
		"priority": {
			func(c *Config) { c.Tenants[0].Priorities = Mix[string]{{"urgent", 1}} },
			"Tenants[0].Priorities is urgent, want one of [auriga-critical auriga-high auriga-medium auriga-low auriga-batch]",
		},
		"profile":   {func(c *Config) { c.Model.Profile.Hour[4] = 0 }, "Model: model: Profile.Hour[4] is 0, want more than 0"},
		"pipelines": {func(c *Config) { c.Model.PipelineShares = nil }, "Model: model: PipelineShares: shares sum to 0, want 1"},
		"two at once": {
			func(c *Config) { c.Jobs, c.Days = 0, -1 }, "Jobs is 0, want at least 1\nDays is -1, want more than 0, at most 366",
		},
		"too large a job": {
			func(c *Config) { c.Nodes = []trace.Node{{CPUMilli: 500, MemoryBytes: gib}}; c.Jobs = 1000 },
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig(10, workers(t, 3), 1)
			tc.change(&cfg)
			_, err := Generate(cfg)
			if err == nil {
				t.Fatal("no error")
			}
			if tc.want == "" {
				if !strings.Contains(err.Error(), "jobs fit on no worker, the first asks for") {
					t.Errorf("got %v", err)
				}
				return
			}
			if diff := cmp.Diff("generate a CI/CD workload: "+tc.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWorkers(t *testing.T) {
	for n, want := range map[int]string{
		1: "gpu 1 large 0 small 0", 2: "gpu 1 large 1 small 0", 3: "gpu 1 large 1 small 1",
		10: "gpu 1 large 3 small 6", 1000: "gpu 100 large 300 small 600",
	} {
		nodes, err := Workers(n, 1)
		if err != nil {
			t.Fatal(err)
		}
		shapes, zones, seen := map[string]int{}, map[string]int{}, map[string]bool{}
		for _, node := range nodes {
			seen[node.Name] = true
			zones[node.Zone]++
			switch node {
			case trace.Node{Name: node.Name, Zone: node.Zone, CPUMilli: 8000, MemoryBytes: 32 * gib, GPUs: 4, GPUModel: WorkerGPUModel}:
				shapes["gpu"]++
			case trace.Node{Name: node.Name, Zone: node.Zone, CPUMilli: 8000, MemoryBytes: 32 * gib}:
				shapes["large"]++
			case trace.Node{Name: node.Name, Zone: node.Zone, CPUMilli: 4000, MemoryBytes: 16 * gib}:
				shapes["small"]++
			default:
				t.Errorf("unknown shape: %+v", node)
			}
		}
		got := strings.Join([]string{"gpu", strconv.Itoa(shapes["gpu"]), "large", strconv.Itoa(shapes["large"]), "small", strconv.Itoa(shapes["small"])}, " ")
		if got != want {
			t.Errorf("%d workers: got %s, want %s", n, got, want)
		}
		if len(seen) != n {
			t.Errorf("%d workers have %d names", n, len(seen))
		}
		for _, zone := range WorkerZones() {
			if got := zones[zone]; got < n/3 || got > n/3+1 {
				t.Errorf("%d workers: %d in %s", n, got, zone)
			}
		}
	}
	if cmp.Equal(workers(t, 100), func() []trace.Node { n, _ := Workers(100, 2); return n }()) {
		t.Error("seeds 1 and 2 make the same workers")
	}
	if diff := cmp.Diff(workers(t, 100), workers(t, 100)); diff != "" {
		t.Errorf("same seed (-first +second):\n%s", diff)
	}
	if _, err := Workers(0, 1); err == nil || err.Error() != "make 0 workers: want at least 1" {
		t.Errorf("no workers: got %v", err)
	}
}
