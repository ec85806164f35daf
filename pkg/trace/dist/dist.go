// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dist fits distributions of positive quantities to samples by maximum
// likelihood and says how well they fit.
//
// In: samples, all positive and finite, in any unit. Out: distributions whose
// scale is in that unit, their log-likelihood, AIC and Kolmogorov-Smirnov
// distance. Same samples, same fit: nothing is random.
package dist

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Param is one parameter, for people.
type Param struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

// Distribution is one fitted or given distribution on x > 0.
type Distribution interface {
	Family() string
	Params() []Param
	// Free is how many parameters were fitted.
	Free() int
	LogProb(x float64) float64
	CDF(x float64) float64
	// Sample draws one value.
	Sample(r *rand.Rand) float64
}

// univariate adapts one of gonum's distributions, all of whose parameters are
// free and which is sampled by its quantile function.
type univariate struct {
	family string
	params []Param
	d      interface {
		LogProb(float64) float64
		CDF(float64) float64
		Quantile(float64) float64
	}
}

func (u univariate) Family() string              { return u.family }
func (u univariate) Params() []Param             { return u.params }
func (u univariate) Free() int                   { return len(u.params) }
func (u univariate) LogProb(x float64) float64   { return u.d.LogProb(x) }
func (u univariate) CDF(x float64) float64       { return u.d.CDF(x) }
func (u univariate) Sample(r *rand.Rand) float64 { return u.d.Quantile(r.Float64()) }

// Exponential has the given mean.
func Exponential(mean float64) Distribution {
	return univariate{"exponential", []Param{{"mean", mean}}, distuv.Exponential{Rate: 1 / mean}}
}

// Lognormal is exp of a normal with mean mu and standard deviation sigma.
func Lognormal(mu, sigma float64) Distribution {
	return univariate{"lognormal", []Param{{"mu", mu}, {"sigma", sigma}}, distuv.LogNormal{Mu: mu, Sigma: sigma}}
}

// Weibull has survival exp(-(x/scale)^shape).
func Weibull(shape, scale float64) Distribution {
	return univariate{"weibull", []Param{{"shape", shape}, {"scale", scale}}, distuv.Weibull{K: shape, Lambda: scale}}
}

// Gamma has mean shape*scale.
func Gamma(shape, scale float64) Distribution {
	return univariate{"gamma", []Param{{"shape", shape}, {"scale", scale}}, distuv.Gamma{Alpha: shape, Beta: 1 / scale}}
}

// LognormalComponent is one part of a LognormalMixture: mu and sigma are those
// of the logarithm.
type LognormalComponent struct{ Weight, Mu, Sigma float64 }

// LognormalMixture is a mixture of lognormals; the weights sum to 1.
type LognormalMixture []LognormalComponent

// Family names the family with its number of components.
func (m LognormalMixture) Family() string { return fmt.Sprintf("lognormal mixture of %d", len(m)) }

// Params lists weight, mu and sigma of each component.
func (m LognormalMixture) Params() []Param {
	var p []Param
	for i, c := range m {
		p = append(p, Param{fmt.Sprintf("weight%d", i+1), c.Weight},
			Param{fmt.Sprintf("mu%d", i+1), c.Mu}, Param{fmt.Sprintf("sigma%d", i+1), c.Sigma})
	}
	return p
}

// Free is three a component, less one because the weights sum to 1.
func (m LognormalMixture) Free() int { return 3*len(m) - 1 }

// LogProb is the logarithm of the density at x.
func (m LognormalMixture) LogProb(x float64) float64 {
	terms := make([]float64, len(m))
	for i, c := range m {
		terms[i] = math.Log(c.Weight) + distuv.LogNormal{Mu: c.Mu, Sigma: c.Sigma}.LogProb(x)
	}
	return floats.LogSumExp(terms)
}

// CDF is the probability of at most x.
func (m LognormalMixture) CDF(x float64) float64 {
	var p float64
	for _, c := range m {
		p += c.Weight * distuv.LogNormal{Mu: c.Mu, Sigma: c.Sigma}.CDF(x)
	}
	return p
}

// Sample draws a component, then a value of it.
func (m LognormalMixture) Sample(r *rand.Rand) float64 {
	c := m[pick(len(m), func(i int) float64 { return m[i].Weight }, r.Float64())]
	return math.Exp(c.Mu + c.Sigma*r.NormFloat64())
}

// Phase is one part of a Hyperexponential.
type Phase struct{ Weight, Mean float64 }

// Hyperexponential is a mixture of exponentials; the weights sum to 1.
type Hyperexponential []Phase

// Family names the family with its number of phases.
func (h Hyperexponential) Family() string { return fmt.Sprintf("hyperexponential of %d", len(h)) }

// Params lists weight and mean of each phase.
func (h Hyperexponential) Params() []Param {
	var p []Param
	for i, c := range h {
		p = append(p, Param{fmt.Sprintf("weight%d", i+1), c.Weight}, Param{fmt.Sprintf("mean%d", i+1), c.Mean})
	}
	return p
}

// Free is two a phase, less one because the weights sum to 1.
func (h Hyperexponential) Free() int { return 2*len(h) - 1 }

// LogProb is the logarithm of the density at x.
func (h Hyperexponential) LogProb(x float64) float64 {
	terms := make([]float64, len(h))
	for i, c := range h {
		terms[i] = math.Log(c.Weight/c.Mean) - x/c.Mean
	}
	return floats.LogSumExp(terms)
}

// CDF is the probability of at most x.
func (h Hyperexponential) CDF(x float64) float64 {
	var p float64
	for _, c := range h {
		p -= c.Weight * math.Expm1(-x/c.Mean)
	}
	return p
}

// Sample draws a phase, then a value of it.
func (h Hyperexponential) Sample(r *rand.Rand) float64 {
	return h[pick(len(h), func(i int) float64 { return h[i].Weight }, r.Float64())].Mean * r.ExpFloat64()
}

// pick returns the index in 0..n-1 into whose part of [0,1) u falls. The last
// one takes what rounding leaves.
func pick(n int, weight func(int) float64, u float64) int {
	for i := range n - 1 {
		if u -= weight(i); u < 0 {
			return i
		}
	}
	return n - 1
}

// Candidate is a distribution and how well it fits the sample it was fitted to.
type Candidate struct {
	Distribution Distribution
	// N is the size of the sample.
	N int
	// LogLikelihood is in nats; AIC = 2*Free - 2*LogLikelihood, smaller is
	// better.
	LogLikelihood, AIC float64
	// KS is the largest distance between the sample's and the fitted
	// distribution function.
	KS float64
}

// Rate says how well d fits the sample.
func Rate(d Distribution, sample []float64) Candidate {
	var ll float64
	for _, x := range sample {
		ll += d.LogProb(x)
	}
	return Candidate{
		Distribution: d, N: len(sample), LogLikelihood: ll, AIC: 2*float64(d.Free()) - 2*ll, KS: KS(d, sample),
	}
}

// KS is the Kolmogorov-Smirnov distance of the sample from d. Against a sample
// of size n drawn from d itself it exceeds 1.36/sqrt(n) in 5 % of cases; when d
// was fitted to the same sample, in fewer.
func KS(d interface{ CDF(float64) float64 }, sample []float64) float64 {
	xs := slices.Sorted(slices.Values(sample))
	n := float64(len(xs))
	var most float64
	for i, x := range xs {
		p := d.CDF(x)
		most = max(most, p-float64(i)/n, float64(i+1)/n-p)
	}
	return most
}

// FitAll fits every family of this package and returns them best AIC first.
// The samples must be positive and finite and not all equal.
func FitAll(sample []float64) ([]Candidate, error) {
	const least = 20 // for the mixture of three, which has eight parameters
	if len(sample) < least {
		return nil, fmt.Errorf("fit distributions: %d samples, want at least %d", len(sample), least)
	}
	for _, x := range sample {
		if !(x > 0) || math.IsInf(x, 1) {
			return nil, fmt.Errorf("fit distributions: sample %g, want positive finite numbers", x)
		}
	}
	if slices.Min(sample) == slices.Max(sample) {
		return nil, fmt.Errorf("fit distributions: all %d samples are %g, want different ones", len(sample), sample[0])
	}
	shapes := []Distribution{
		FitExponential(sample), FitLognormal(sample), FitWeibull(sample), FitGamma(sample),
		FitHyperexponential(sample, 2), FitLognormalMixture(sample, 2), FitLognormalMixture(sample, 3),
	}
	fits := make([]Candidate, len(shapes))
	for i, d := range shapes {
		fits[i] = Rate(d, sample)
	}
	slices.SortStableFunc(fits, func(a, b Candidate) int { return cmp.Compare(a.AIC, b.AIC) })
	return fits, nil
}

func logs(sample []float64) []float64 {
	ls := make([]float64, len(sample))
	for i, x := range sample {
		ls[i] = math.Log(x)
	}
	return ls
}

// FitExponential is the maximum-likelihood exponential: the sample's mean.
func FitExponential(sample []float64) Distribution { return Exponential(stat.Mean(sample, nil)) }

// FitLognormal is the maximum-likelihood lognormal: mean and (population)
// standard deviation of the logarithms.
func FitLognormal(sample []float64) Distribution {
	return Lognormal(stat.PopMeanStdDev(logs(sample), nil))
}

// FitGamma is the maximum-likelihood gamma: ln(shape) - digamma(shape) =
// ln(mean) - mean(ln), whose left side falls from +Inf to 0.
func FitGamma(sample []float64) Distribution {
	mean := stat.Mean(sample, nil)
	s := math.Log(mean) - stat.Mean(logs(sample), nil)
	shape := root(func(k float64) float64 { return math.Log(k) - mathext.Digamma(k) - s })
	return Gamma(shape, mean/shape)
}

// FitWeibull is the maximum-likelihood Weibull: the shape solves 1/k =
// sum(x^k ln x)/sum(x^k) - mean(ln x); the difference of the sides falls in k.
func FitWeibull(sample []float64) Distribution {
	ls := logs(sample)
	meanLog, largest := stat.Mean(ls, nil), slices.Max(ls)
	// Powers of x/max(x), lest they overflow.
	shape := root(func(k float64) float64 {
		var sum, weighted float64
		for _, l := range ls {
			p := math.Exp(k * (l - largest))
			sum += p
			weighted += p * l
		}
		return 1/k - weighted/sum + meanLog
	})
	var sum float64
	for _, l := range ls {
		sum += math.Exp(shape * (l - largest))
	}
	return Weibull(shape, math.Exp(largest)*math.Pow(sum/float64(len(ls)), 1/shape))
}

// root finds where the falling function f crosses 0 in [1e-6, 1e6], by
// bisection of the logarithm.
func root(f func(float64) float64) float64 {
	low, high := math.Log(1e-6), math.Log(1e6)
	for range 100 {
		mid := (low + high) / 2
		if f(math.Exp(mid)) > 0 {
			low = mid
		} else {
			high = mid
		}
	}
	return math.Exp((low + high) / 2)
}

const (
	emRounds = 5000
	// emEnough ends the expectation-maximization: log-likelihood gained in one
	// round, in nats.
	emEnough = 1e-9
	// emLeastShare is the share of samples, in samples, below which a component
	// has no mean any more; it keeps its place with next to no weight.
	emLeastShare = 1e-12
	// leastSigma keeps a component from shrinking onto one value, where the
	// likelihood has no bound: 1 % of spread.
	leastSigma = 0.01
)

// FitLognormalMixture fits k components by expectation-maximization
// (Dempster, Laird, Rubin 1977), started from k equal parts of the sorted
// sample. It finds a local maximum.
func FitLognormalMixture(sample []float64, k int) LognormalMixture {
	ls := slices.Sorted(slices.Values(logs(sample)))
	m := make(LognormalMixture, k)
	for j := range m {
		part := ls[j*len(ls)/k : (j+1)*len(ls)/k]
		mu, sigma := stat.PopMeanStdDev(part, nil)
		m[j] = LognormalComponent{1 / float64(k), mu, max(sigma, leastSigma)}
	}
	// What of the weighted density does not depend on the sample, lest its
	// logarithms are taken for every sample.
	constant := func(c LognormalComponent) float64 { return math.Log(c.Weight / (c.Sigma * math.Sqrt(2*math.Pi))) }
	constants := make([]float64, k)
	for j := range m {
		constants[j] = constant(m[j])
	}
	expectationMaximization(ls, k,
		func(j int, l float64) float64 {
			z := (l - m[j].Mu) / m[j].Sigma
			return constants[j] - z*z/2
		},
		func(j int, share []float64) {
			sum := floats.Sum(share)
			if sum < emLeastShare {
				m[j].Weight = emLeastShare
			} else {
				mu, sigma := stat.PopMeanStdDev(ls, share)
				m[j] = LognormalComponent{sum / float64(len(ls)), mu, max(sigma, leastSigma)}
			}
			constants[j] = constant(m[j])
		})
	slices.SortFunc(m, func(a, b LognormalComponent) int { return cmp.Compare(a.Mu, b.Mu) })
	return m
}

// FitHyperexponential fits k phases by expectation-maximization, started from
// k equal parts of the sorted sample. It finds a local maximum.
func FitHyperexponential(sample []float64, k int) Hyperexponential {
	xs := slices.Sorted(slices.Values(sample))
	h := make(Hyperexponential, k)
	for j := range h {
		h[j] = Phase{1 / float64(k), stat.Mean(xs[j*len(xs)/k:(j+1)*len(xs)/k], nil)}
	}
	expectationMaximization(xs, k,
		func(j int, x float64) float64 { return math.Log(h[j].Weight/h[j].Mean) - x/h[j].Mean },
		func(j int, share []float64) {
			sum := floats.Sum(share)
			if sum < emLeastShare {
				h[j].Weight = emLeastShare
				return
			}
			h[j] = Phase{sum / float64(len(xs)), stat.Mean(xs, share)}
		})
	slices.SortFunc(h, func(a, b Phase) int { return cmp.Compare(a.Mean, b.Mean) })
	return h
}

// expectationMaximization alternates between sharing each x among the k
// components by their weighted density (logDensity) and refitting each
// component to its shares (refit).
func expectationMaximization(xs []float64, k int, logDensity func(j int, x float64) float64, refit func(j int, share []float64)) {
	shares := make([][]float64, k)
	for j := range shares {
		shares[j] = make([]float64, len(xs))
	}
	terms := make([]float64, k)
	before := math.Inf(-1)
	for range emRounds {
		var ll float64
		for i, x := range xs {
			for j := range terms {
				terms[j] = logDensity(j, x)
			}
			total := floats.LogSumExp(terms)
			ll += total
			for j := range terms {
				shares[j][i] = math.Exp(terms[j] - total)
			}
		}
		if ll-before < emEnough {
			return
		}
		before = ll
		for j := range shares {
			refit(j, shares[j])
		}
	}
}
