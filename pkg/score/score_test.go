// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package score

import (
	"math"
	"math/rand/v2"
	"testing"
)

const huge = math.MaxInt64

// The columns of a Usage: requested, asked, allocatable, weight.
var usageCases = []struct {
	name                              string
	worker                            []Usage
	leastLoaded, mostFree, binPacking int64
}{
	{"no resources", nil, 0, 0, 0},
	{"pod asks for nothing", []Usage{{5, 0, 10, 1}}, 0, 0, 0},
	{"no weight", []Usage{{5, 1, 10, 0}}, 0, 0, 0},
	{"negative weight", []Usage{{5, 1, 10, -1}}, 0, 0, 0},
	// (0+1)/4 = 0.25
	{"empty worker", []Usage{{0, 1, 4, 1}}, 75, 75, 25},
	// (3+1)/4 = 1
	{"exactly full", []Usage{{3, 1, 4, 1}}, 0, 0, 100},
	{"over-full counts as full", []Usage{{9, 1, 4, 1}}, 0, 0, 100},
	{"worker does not have it", []Usage{{0, 1, 0, 1}}, 0, 0, 100},
	{"negative allocatable", []Usage{{0, 1, -4, 1}}, 0, 0, 100},
	// (0+1)/4, not (-8+1)/4
	{"negative requested counts as 0", []Usage{{-8, 1, 4, 1}}, 75, 75, 25},
	// u' = 0.5 and 0.9; mean 0.7
	{"two resources", []Usage{{4, 1, 10, 1}, {8, 1, 10, 1}}, 30, 10, 70},
	// (3*0.5 + 1*0.9)/4 = 0.6; the minimum takes no notice of weights
	{"weights", []Usage{{4, 1, 10, 3}, {8, 1, 10, 1}}, 40, 10, 60},
	// the second is not asked for: only 0.5 counts
	{"resource that the pod does not ask for", []Usage{{4, 1, 10, 1}, {8, 0, 10, 1}}, 50, 50, 50},
	// 1/3 = 33.3 -> 33, 2/3 = 66.7 -> 67
	{"rounded to nearest", []Usage{{0, 1, 3, 1}}, 67, 67, 33},
	// (2^63-1 + 2^63-1)/(2^63-1) = 2 -> full, and no overflow
	{"huge", []Usage{{huge, huge, huge, huge}}, 0, 0, 100},
	// 1/(2^63-1) = 0
	{"huge worker", []Usage{{0, 1, huge, huge}, {0, 1, huge, huge}}, 100, 100, 0},
	{"most negative", []Usage{{math.MinInt64, 1, 4, 1}}, 75, 75, 25},
}

func TestUsageStrategies(t *testing.T) {
	for _, tc := range usageCases {
		t.Run(tc.name, func(t *testing.T) {
			if got := LeastLoaded(tc.worker); got != tc.leastLoaded {
				t.Errorf("LeastLoaded = %d, want %d", got, tc.leastLoaded)
			}
			if got := MostFree(tc.worker); got != tc.mostFree {
				t.Errorf("MostFree = %d, want %d", got, tc.mostFree)
			}
			if got := BinPacking(tc.worker); got != tc.binPacking {
				t.Errorf("BinPacking = %d, want %d", got, tc.binPacking)
			}
		})
	}
}

func TestResourceBalance(t *testing.T) {
	for _, tc := range []struct {
		name    string
		worker  []Usage
		cluster []Total
		want    int64
	}{
		{"no resources", nil, nil, 0},
		{"pod asks for nothing", []Usage{{5, 0, 10, 1}}, []Total{{5, 10}}, 0},
		{"no totals", []Usage{{5, 1, 10, 1}}, nil, 0},
		// u' = (4+1)/10 = 0.5, U = 0.5: across 0 -> (0+1)/2 = 0.5; within 0
		// 100 (1 - (0 + 0.5)/2) = 75
		{"one resource at the mean", []Usage{{4, 1, 10, 1}}, []Total{{50, 100}}, 75},
		// u' = 0.2, U = 0.6: across -0.4 -> 0.3; 100 (1 - 0.15) = 85
		{"less used than the cluster", []Usage{{1, 1, 10, 1}}, []Total{{60, 100}}, 85},
		// u' = 1, U = 0: across 1 -> 1; 100 (1 - 0.5) = 50
		{"full in an idle cluster", []Usage{{9, 1, 10, 1}}, []Total{{0, 100}}, 50},
		// u' = 0, U = 1: across -1 -> 0; within 0: 100 (the pod is negligible)
		{"idle in a full cluster", []Usage{{0, 1, huge, 1}}, []Total{{1e30, 1e30}}, 100},
		// u' = 0.2 and 0.8: mean 0.5, within 0.3. Asked shares 1/100 each, so
		// across = ((0.2-0.5)+(0.8-0.5))/2 = 0 -> 0.5.
		// 100 (1 - (0.6 + 0.5)/2) = 45
		{"lopsided worker", []Usage{{1, 1, 10, 1}, {7, 1, 10, 1}}, []Total{{50, 100}, {50, 100}}, 45},
		// u' = 0.5 and 0.5: within 0, across 0: 75
		{"even worker", []Usage{{4, 1, 10, 1}, {4, 1, 10, 1}}, []Total{{50, 100}, {50, 100}}, 75},
		// u' = 0.5 and 0 (not asked for, but the worker has it): mean 0.25, within 0.25;
		// across 0.5-0.5 = 0 -> 0.5. 100 (1 - (0.5 + 0.5)/2) = 50
		{"idle GPUs count within", []Usage{{4, 1, 10, 1}, {0, 0, 8, 1}}, []Total{{50, 100}, {0, 8}}, 50},
		// the worker has no GPU: as "one resource at the mean"
		{"absent GPUs do not", []Usage{{4, 1, 10, 1}, {0, 0, 0, 1}}, []Total{{50, 100}, {0, 8}}, 75},
		// u' = 0.2 and 0.8; weights 3 and 1: mean 0.35, within sqrt((3*0.0225+0.2025)/4) = 0.259808
		// across = (3*(0.2-0.5) + 1*(0.8-0.5))/4 = -0.15 -> 0.425
		// 100 (1 - (0.519615 + 0.425)/2) = 52.769
		{"weights", []Usage{{1, 1, 10, 3}, {7, 1, 10, 1}}, []Total{{50, 100}, {50, 100}}, 53},
		// shares 2/100 and 1/100: across = (2*(0.3-0.5) + 1*(0.8-0.5))/3 = -0.033333 -> 0.483333
		// within 0.25: 100 (1 - (0.5 + 0.483333)/2) = 50.8333
		{"the larger share pulls more", []Usage{{1, 2, 10, 1}, {7, 1, 10, 1}}, []Total{{50, 100}, {50, 100}}, 51},
		{"nobody has it", []Usage{{0, 1, 0, 1}}, []Total{{0, 0}}, 50},
		{"over-full", []Usage{{99, 1, 10, 1}}, []Total{{1000, 100}}, 75},
		{"huge", []Usage{{huge, huge, huge, huge}}, []Total{{math.MaxFloat64, math.MaxFloat64}}, 75},
		{"NaN is no number", []Usage{{1, 1, 10, 1}}, []Total{{math.NaN(), 1}}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := ResourceBalance(tc.worker, tc.cluster); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

// With one resource, or with several whose utilizations agree, within is 0 and
// the score must order equal workers as the change of the cluster's spread
// does, computed here the long way.
func TestResourceBalanceFollowsTheVariance(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		const n, capacity = 5, 1000
		// Two resources, both used alike on each worker, asked for unequally:
		// the order must weigh the spreads by what the pod adds to each.
		var used [n]int64
		var total float64
		for i := range used {
			used[i] = rng.Int64N(900)
			total += float64(used[i])
		}
		asked := [2]int64{1 + rng.Int64N(50), 1 + rng.Int64N(50)}
		weights := [2]int64{1 + rng.Int64N(5), 1 + rng.Int64N(5)}
		cluster := []Total{{total, n * capacity}, {total, n * capacity}}

		spread := func(placed int, asked int64) float64 {
			var u [n]float64
			var mean, sum float64
			for i := range u {
				u[i] = float64(used[i]) / capacity
				if i == placed {
					u[i] += float64(asked) / capacity
				}
				mean += u[i] / n
			}
			for i := range u {
				sum += (u[i] - mean) * (u[i] - mean)
			}
			return sum
		}
		acrossOf := func(j int) float64 {
			var sum, pull float64
			for r := range asked {
				w := float64(weights[r]*asked[r]) / cluster[r].Allocatable
				sum += w * (Usage{used[j], asked[r], capacity, 1}.After() - cluster[r].Utilization())
				pull += w
			}
			return sum / pull
		}
		for a := range n {
			for b := range n {
				var da, db float64
				for r := range asked {
					da += float64(weights[r]) * spread(a, asked[r])
					db += float64(weights[r]) * spread(b, asked[r])
				}
				if da < db-1e-9 && acrossOf(a) >= acrossOf(b) {
					t.Fatalf("placing on %d spreads less than on %d (%v < %v), but across says %v and %v",
						a, b, da, db, acrossOf(a), acrossOf(b))
				}
				// One resource: the whole score must agree, up to rounding.
				one := func(j int) int64 {
					return ResourceBalance([]Usage{{used[j], asked[0], capacity, weights[0]}}, cluster[:1])
				}
				if spread(a, asked[0]) < spread(b, asked[0])-1e-9 && one(a) < one(b) {
					t.Fatalf("placing on %d spreads less than on %d, but scores %d < %d", a, b, one(a), one(b))
				}
			}
		}
	}
}

// The cluster's utilization must not change the order of two workers, only
// round them differently; scores cached for a batch rely on it.
func TestResourceBalanceOrderIgnoresClusterRequests(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	worker := func() []Usage {
		return []Usage{{rng.Int64N(100), 1, 100, 1}, {rng.Int64N(100), 2, 100, 2}}
	}
	for range 2000 {
		a := worker()
		b := worker()
		before := []Total{{100, 1000}, {500, 1000}}
		after := []Total{{101, 1000}, {502, 1000}}
		gap := ResourceBalance(a, before) - ResourceBalance(b, before)
		if later := ResourceBalance(a, after) - ResourceBalance(b, after); later < gap-1 || later > gap+1 {
			t.Fatalf("%v and %v differ by %d before and %d after", a, b, gap, later)
		}
	}
}

func TestRoundRobin(t *testing.T) {
	for _, tc := range []struct {
		rank, n int
		want    int64
	}{
		{0, 1, 100},
		{0, 2, 100}, {1, 2, 0},
		{0, 3, 100}, {1, 3, 49}, {2, 3, 0}, // 99/2 = 49.5
		{1, 100, 98}, {50, 100, 49}, {99, 100, 0}, // 99*98/99, 99*49/99
		{0, 5000, 100}, {1, 5000, 98}, {4999, 5000, 0},
		{-1, 5, 0}, {5, 5, 0}, {0, 0, 0}, {0, -1, 0},
		{1, math.MaxInt, 99}, {math.MaxInt - 1, math.MaxInt, 0},
	} {
		if got := RoundRobin(tc.rank, tc.n); got != tc.want {
			t.Errorf("RoundRobin(%d, %d) = %d, want %d", tc.rank, tc.n, got, tc.want)
		}
	}
}

func TestLocality(t *testing.T) {
	for _, tc := range []struct {
		name                        string
		present, total, imageWeight int64
		inZone                      bool
		zoneWeight                  int64
		want                        int64
	}{
		{"all of it", 100, 100, 1, true, 1, 100},
		{"none of it", 0, 100, 1, false, 1, 0},
		{"half the bytes", 50, 100, 1, false, 0, 50},
		{"images or zone", 100, 100, 1, false, 1, 50},
		// (3*0.2 + 1*1)/4 = 0.4
		{"weights", 20, 100, 3, true, 1, 40},
		{"unknown size leaves the zone", 0, 0, 1, true, 1, 100},
		{"no zone asked for leaves the images", 25, 100, 1, true, 0, 25},
		{"nothing to compare", 0, 0, 1, true, 0, 0},
		{"no weights", 50, 100, 0, true, 0, 0},
		{"negative weights", 50, 100, -1, true, -1, 0},
		{"negative present", -5, 100, 1, false, 0, 0},
		{"more than all", 200, 100, 1, false, 0, 100},
		{"huge", huge, huge, huge, true, huge, 100},
		{"half of huge", huge / 2, huge, huge, false, 0, 50},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := Locality(tc.present, tc.total, tc.imageWeight, tc.inZone, tc.zoneWeight); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestRound(t *testing.T) {
	for x, want := range map[float64]int64{
		0: 0, 0.49: 0, 0.5: 1, 49.5: 50, 99.4: 99, 99.5: 100, 100: 100, 1e300: 100, -1: 0, -1e300: 0,
		math.Inf(1): 100, math.Inf(-1): 0,
	} {
		if got := Round(x); got != want {
			t.Errorf("Round(%v) = %d, want %d", x, got, want)
		}
	}
	if got := Round(math.NaN()); got != 0 {
		t.Errorf("Round(NaN) = %d, want 0", got)
	}
}

// FuzzRangeAndMonotonicity feeds every number to every strategy: scores stay in
// range, and more load never makes a worker better (or, for BinPacking, worse).
func FuzzRangeAndMonotonicity(f *testing.F) {
	f.Add(int64(0), int64(1), int64(4), int64(1), int64(1), int64(7), int64(9), int64(2), int64(1))
	f.Add(int64(huge), int64(huge), int64(huge), int64(huge), int64(math.MinInt64), int64(huge), int64(1), int64(huge), int64(huge))
	f.Add(int64(-1), int64(-1), int64(-1), int64(-1), int64(0), int64(0), int64(0), int64(0), int64(0))
	f.Fuzz(func(t *testing.T, r1, a1, c1, w1, r2, a2, c2, w2, more int64) {
		less := []Usage{{r1, a1, c1, w1}, {r2, a2, c2, w2}}
		load := []Usage{{r1 + min(max(more, 0), huge-max(r1, 0)), a1, c1, w1}, {r2, a2, c2, w2}}
		cluster := []Total{{float64(r1), float64(c1)}, {float64(r2), float64(c2)}}
		inRange := func(name string, got int64) {
			if got < Min || got > Max {
				t.Fatalf("%s(%v) = %d, out of range", name, less, got)
			}
		}
		inRange("LeastLoaded", LeastLoaded(less))
		inRange("MostFree", MostFree(less))
		inRange("BinPacking", BinPacking(less))
		inRange("ResourceBalance", ResourceBalance(less, cluster))
		inRange("RoundRobin", RoundRobin(int(r1), int(a1)))
		inRange("Locality", Locality(r1, a1, c1, w1 > 0, w2))
		if LeastLoaded(load) > LeastLoaded(less) || MostFree(load) > MostFree(less) || BinPacking(load) < BinPacking(less) {
			t.Fatalf("%v -> %v: LeastLoaded %d -> %d, MostFree %d -> %d, BinPacking %d -> %d", less, load,
				LeastLoaded(less), LeastLoaded(load), MostFree(less), MostFree(load), BinPacking(less), BinPacking(load))
		}
		// One resource only: within is 0, and more load is worse.
		if ResourceBalance(load[:1], cluster[:1]) > ResourceBalance(less[:1], cluster[:1]) {
			t.Fatalf("ResourceBalance rises with load: %v -> %v", less[:1], load[:1])
		}
	})
}

func benchWorker() ([]Usage, []Total) {
	return []Usage{{12000, 500, 32000, 1}, {40 << 30, 2 << 30, 128 << 30, 1}, {2, 1, 8, 4}},
		[]Total{{6e6, 16e6}, {1e13, 3e13}, {500, 2000}}
}

// checkNoAllocs fails if f allocates; benchmarks say how long it takes.
func checkNoAllocs(t *testing.T, name string, f func() int64) {
	t.Helper()
	var sum int64
	if n := testing.AllocsPerRun(100, func() { sum += f() }); n != 0 {
		t.Errorf("%s allocates %v times (scores %d)", name, n, sum)
	}
}

func TestNoAllocations(t *testing.T) {
	worker, cluster := benchWorker()
	checkNoAllocs(t, "LeastLoaded", func() int64 { return LeastLoaded(worker) })
	checkNoAllocs(t, "MostFree", func() int64 { return MostFree(worker) })
	checkNoAllocs(t, "BinPacking", func() int64 { return BinPacking(worker) })
	checkNoAllocs(t, "ResourceBalance", func() int64 { return ResourceBalance(worker, cluster) })
	checkNoAllocs(t, "RoundRobin", func() int64 { return RoundRobin(3, 1000) })
	checkNoAllocs(t, "Locality", func() int64 { return Locality(1<<30, 3<<30, 1, true, 1) })
}

func BenchmarkScore(b *testing.B) {
	worker, cluster := benchWorker()
	for _, bc := range []struct {
		name string
		f    func() int64
	}{
		{"LeastLoaded", func() int64 { return LeastLoaded(worker) }},
		{"MostFree", func() int64 { return MostFree(worker) }},
		{"BinPacking", func() int64 { return BinPacking(worker) }},
		{"ResourceBalance", func() int64 { return ResourceBalance(worker, cluster) }},
		{"RoundRobin", func() int64 { return RoundRobin(3, 1000) }},
		{"Locality", func() int64 { return Locality(1<<30, 3<<30, 1, true, 1) }},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				bc.f()
			}
		})
	}
}

func TestLoadDistribution(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for name, tc := range map[string]struct {
		loads []Load
		b     float64
		want  int64
	}{
		"nothing":                     {nil, 0.3, 0},
		"idle":                        {[]Load{{Weight: 1}}, 0.3, 100},
		"half":                        {[]Load{{Mean: 0.5, Weight: 1}}, 0, 50},
		"weights":                     {[]Load{{Mean: 0.2, Weight: 3}, {Mean: 0.6, Weight: 1}}, 0, 70}, // 1 - (.6+.6)/4
		"bursts":                      {[]Load{{Mean: 0.4, Burst: 0.9, Weight: 1}}, 0.3, 45},           // .28 + .27
		"a burst below the mean":      {[]Load{{Mean: 0.4, Burst: 0.1, Weight: 1}}, 0.3, 60},
		"only bursts":                 {[]Load{{Mean: 0.4, Burst: 0.9, Weight: 1}}, 1, 10},
		"weight 0 does not count":     {[]Load{{Mean: 1}, {Mean: 0.5, Weight: 1}}, 0, 50},
		"negative weight":             {[]Load{{Mean: 1, Weight: -1}}, 0, 0},
		"overload is full":            {[]Load{{Mean: 7, Weight: 1}, {Mean: 0, Weight: 1}}, 0, 50},
		"NaN is full":                 {[]Load{{Mean: nan, Weight: 1}}, 0, 0},
		"infinite is full":            {[]Load{{Mean: inf, Weight: 1}}, 0, 0},
		"negative is full":            {[]Load{{Mean: -0.1, Weight: 1}}, 0, 0},
		"a burst that is NaN is full": {[]Load{{Mean: 0.5, Burst: nan, Weight: 1}}, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := LoadDistribution(tc.loads, tc.b); got != tc.want {
				t.Errorf("LoadDistribution(%v, %v) = %d, want %d", tc.loads, tc.b, got, tc.want)
			}
		})
	}
}
