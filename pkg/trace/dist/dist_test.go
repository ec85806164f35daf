// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package dist

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func draw(d Distribution, n int) []float64 {
	r := rand.New(rand.NewPCG(1, 1))
	xs := make([]float64, n)
	for i := range xs {
		xs[i] = d.Sample(r)
	}
	return xs
}

func values(d Distribution) []float64 {
	var vs []float64
	for _, p := range d.Params() {
		vs = append(vs, p.Value)
	}
	return vs
}

// one of each family, with parameters like those of the data.
func examples() []Distribution {
	return []Distribution{
		Exponential(40), Lognormal(4, 0.5), Weibull(0.5, 20), Weibull(2, 100), Gamma(0.4, 100), Gamma(3, 20),
		LognormalMixture{{0.3, 0, 0.5}, {0.7, 3, 0.4}}, LognormalMixture{{0.2, 1, 0.2}, {0.5, 3, 0.3}, {0.3, 5, 0.2}},
		Hyperexponential{{0.6, 1}, {0.4, 50}},
	}
}

// A large sample of a distribution must be close to it, and its fit must return
// the parameters: the sampler, the distribution function and the fit each check
// the others.
func TestSampleAndFit(t *testing.T) {
	const n = 10000
	for _, d := range examples() {
		t.Run(d.Family(), func(t *testing.T) {
			xs := draw(d, n)
			if ks := KS(d, xs); ks > 1.36/math.Sqrt(n) {
				t.Errorf("sample of %v: KS %.4f, want at most %.4f", d.Params(), ks, 1.36/math.Sqrt(n))
			}
			var fit Distribution
			switch d.Family() {
			case "exponential":
				fit = FitExponential(xs)
			case "lognormal":
				fit = FitLognormal(xs)
			case "weibull":
				fit = FitWeibull(xs)
			case "gamma":
				fit = FitGamma(xs)
			case "hyperexponential of 2":
				fit = FitHyperexponential(xs, 2)
			default:
				fit = FitLognormalMixture(xs, d.(interface{ components() int }).components())
			}
			if diff := cmp.Diff(values(d), values(fit), cmpopts.EquateApprox(0.05, 0.03)); diff != "" {
				t.Errorf("parameters (-want +got):\n%s", diff)
			}
			// No family with fewer parameters is preferred to the true one by more
			// than chance, and the true parameters are not more likely than the fit.
			if truth, best := Rate(d, xs), Rate(fit, xs); truth.LogLikelihood > best.LogLikelihood+1e-6 {
				t.Errorf("log-likelihood of the fit %g, of the truth %g", best.LogLikelihood, truth.LogLikelihood)
			}
		})
	}
}

func (m LognormalMixture) components() int { return len(m) }

// The density must be the derivative of the distribution function.
func TestDensity(t *testing.T) {
	for _, d := range examples() {
		for _, x := range []float64{0.1, 1, 7, 60, 300} {
			const h = 1e-5
			want := (d.CDF(x*(1+h)) - d.CDF(x*(1-h))) / (2 * h * x)
			if got := math.Exp(d.LogProb(x)); math.Abs(got-want) > 1e-6+1e-4*want {
				t.Errorf("%s at %g: density %g, derivative of the distribution %g", d.Family(), x, got, want)
			}
		}
	}
}

func TestFitByHand(t *testing.T) {
	approx := cmpopts.EquateApprox(1e-9, 0)
	// Mean of 1, 2, 6 is 3.
	if diff := cmp.Diff([]float64{3}, values(FitExponential([]float64{1, 2, 6})), approx); diff != "" {
		t.Errorf("exponential (-want +got):\n%s", diff)
	}
	// Logarithms 1, 3: mean 2, standard deviation 1.
	if diff := cmp.Diff([]float64{2, 1}, values(FitLognormal([]float64{math.E, math.Exp(3)})), approx); diff != "" {
		t.Errorf("lognormal (-want +got):\n%s", diff)
	}
}

func TestHyperexponentialByHand(t *testing.T) {
	// At each median half of its component.
	h := Hyperexponential{{0.5, 1}, {0.5, 1}}
	if got := h.CDF(math.Ln2); math.Abs(got-0.5) > 1e-12 {
		t.Errorf("CDF at the median: got %g, want 0.5", got)
	}
}

func TestRate(t *testing.T) {
	// Exponential of mean 1 at 1 and 2: log density -1 and -2; AIC 2*1 + 2*3.
	// Distribution 1-1/e = 0.632 and 1-1/e^2 = 0.865: the largest distance is
	// 0.632 - 0, just below 1.
	got := Rate(Exponential(1), []float64{2, 1})
	want := Candidate{N: 2, LogLikelihood: -3, AIC: 8, KS: 1 - 1/math.E}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Candidate{}, "Distribution"), cmpopts.EquateApprox(1e-12, 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Where families nest, more freedom fits at least as well; and the order is by AIC.
func TestFitAll(t *testing.T) {
	fits, err := FitAll(draw(Lognormal(4, 0.5), 500))
	if err != nil {
		t.Fatal(err)
	}
	ll := map[string]float64{}
	for _, f := range fits {
		ll[f.Distribution.Family()] = f.LogLikelihood
	}
	if len(ll) != 7 {
		t.Fatalf("got families %v, want 7", ll)
	}
	for _, pair := range [][2]string{
		{"exponential", "weibull"}, {"exponential", "gamma"}, {"exponential", "hyperexponential of 2"},
		{"lognormal", "lognormal mixture of 2"},
	} {
		if ll[pair[1]] < ll[pair[0]]-1e-4 {
			t.Errorf("log-likelihood of %s %g, of the smaller %s %g", pair[1], ll[pair[1]], pair[0], ll[pair[0]])
		}
	}
	if !slices.IsSortedFunc(fits, func(a, b Candidate) int { return int(math.Copysign(1, a.AIC-b.AIC)) }) {
		t.Error("not in order of AIC")
	}
	if got := fits[0].Distribution.Family(); got != "lognormal" {
		t.Errorf("best family of a lognormal sample: got %s", got)
	}
}

func TestFitAllRejects(t *testing.T) {
	with := func(x float64) []float64 {
		xs := draw(Exponential(1), 30)
		xs[7] = x
		return xs
	}
	for name, tc := range map[string]struct {
		sample []float64
		want   string
	}{
		"empty":     {nil, "fit distributions: 0 samples, want at least 20"},
		"few":       {make([]float64, 19), "fit distributions: 19 samples, want at least 20"},
		"zero":      {with(0), "fit distributions: sample 0, want positive finite numbers"},
		"negative":  {with(-1), "fit distributions: sample -1, want positive finite numbers"},
		"NaN":       {with(math.NaN()), "fit distributions: sample NaN, want positive finite numbers"},
		"infinite":  {with(math.Inf(1)), "fit distributions: sample +Inf, want positive finite numbers"},
		"all equal": {slices.Repeat([]float64{3}, 30), "fit distributions: all 30 samples are 3, want different ones"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := FitAll(tc.sample); err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

// Samples made of few values and samples over many powers of ten must give
// finite fits.
func TestFitAllExtremes(t *testing.T) {
	for name, sample := range map[string][]float64{
		"two values": append(slices.Repeat([]float64{1}, 25), 2),
		"tiny":       draw(Lognormal(-600, 1), 50),
		"wide":       draw(Lognormal(0, 30), 50),
		"huge":       draw(Lognormal(600, 1), 50),
	} {
		fits, err := FitAll(sample)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, f := range fits {
			if v := f.LogLikelihood + f.AIC + f.KS; math.IsNaN(v) || math.IsInf(v, 0) {
				t.Errorf("%s: %s: %+v", name, f.Distribution.Family(), f)
			}
			for _, p := range f.Distribution.Params() {
				if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
					t.Errorf("%s: %s: %v", name, f.Distribution.Family(), f.Distribution.Params())
				}
			}
		}
	}
}
