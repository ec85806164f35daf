// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package cicd

import (
	"fmt"

	"auriga.dev/auriga/pkg/trace/dist"
)

// Model says how CI/CD jobs arrive and how long they run, in the time of the
// history it was fitted to. Pipelines start as a renewal process in the
// operational time of Profile; a pipeline is a few jobs within seconds.
type Model struct {
	// Durations of jobs, seconds.
	Durations dist.Distribution
	// Gaps between the starts of pipelines, operational seconds.
	Gaps dist.Distribution
	// Within a pipeline, gaps between its jobs, seconds.
	Within dist.Distribution
	// PipelineShares[i] is the share of pipelines with i+1 jobs.
	PipelineShares []float64
	Profile        Profile
}

// Model is the model made of the best fits.
func (f *Fit) Model() Model {
	return Model{
		Durations: f.Durations[0].Distribution, Gaps: f.Gaps[0].Distribution, Within: f.Within[0].Distribution,
		PipelineShares: f.PipelineShares, Profile: f.Profile,
	}
}

// DefaultModel is what FitDir finds in the test-execution history of dune-common
// on GitLab CI (github.com/jacksonpradolima/coleman4hcs, 79,192 test runs from
// May 2020 to January 2021 in two files: 301 + 379 jobs, 416 pipelines), rounded
// to three or four digits. FitDir on the same files reproduces it and rates the
// rounded values beside the fitted ones. AIC and Kolmogorov-Smirnov distance of
// the families compared (below 1.36/sqrt(n) no fault is seen at the 5 % level):
//
//	                         durations        gaps, operational  within pipeline
//	                         AIC     KS       AIC     KS         AIC     KS
//	lognormal mixture of 3   6725.1  0.034 *  8946.7  0.025      661.7   0.028 *
//	lognormal mixture of 2   6798.8  0.043    8945.0  0.022 *    688.2   0.060
//	lognormal                6922.1  0.110    8959.6  0.055      742.8   0.155
//	gamma                    6960.3  0.088    9073.0  0.118      809.8   0.216
//	Weibull                  7072.3  0.121    8997.0  0.058      830.6   0.204
//	exponential              7412.7  0.257    9593.4  0.378      844.1   0.183
//	hyperexponential of 2    7416.7  0.257    9046.4  0.092      847.9   0.188
//	samples, 1.36/sqrt(n)    680     0.052    415     0.067      264     0.084
//
// The one with the smallest AIC (*) is used. Without the daily and weekly
// profile the best fit to the gaps has AIC 9015.3: the profile is worth its 29
// parameters. Known to be left out: the logarithms of the durations of two jobs
// of one pipeline correlate by 0.31, and the months differ.
func DefaultModel() Model {
	return Model{
		Durations: dist.LognormalMixture{
			{Weight: 0.1998, Mu: 3.498, Sigma: 0.1908}, // short runs: median 33 s
			{Weight: 0.6561, Mu: 4.451, Sigma: 0.2333}, // ordinary ones: median 86 s
			{Weight: 0.1441, Mu: 4.787, Sigma: 0.6292}, // the long tail: median 120 s
		},
		Gaps: dist.LognormalMixture{
			{Weight: 0.4151, Mu: 6.850, Sigma: 1.335},  // pushes in a row: median 16 min
			{Weight: 0.5849, Mu: 10.249, Sigma: 1.476}, // after a pause: median 7.8 h
		},
		Within: dist.LognormalMixture{
			{Weight: 0.5867, Mu: -0.0431, Sigma: 0.5664},
			{Weight: 0.2626, Mu: 0.1610, Sigma: 0.1282},
			{Weight: 0.1507, Mu: 1.662, Sigma: 0.3434},
		},
		PipelineShares: []float64{0.3654, 0.6346},
		Profile: Profile{
			Hour: [24]float64{
				0.164, 0.164, 0.055, 0.055, 0.109, 0.109, 0.273, 0.600, 1.091, 1.145, 1.036, 1.636,
				1.800, 1.364, 1.255, 1.255, 1.909, 1.036, 1.200, 2.236, 2.182, 1.418, 1.036, 0.872,
			},
			Day: [7]float64{0.877, 0.927, 1.158, 1.076, 0.960, 1.208, 0.794},
		},
	}
}

func (m Model) validate() error {
	if m.Durations == nil || m.Gaps == nil || m.Within == nil {
		return fmt.Errorf("model: Durations, Gaps and Within must be set; take DefaultModel or Fit.Model")
	}
	if err := sharesSumToOne(m.PipelineShares); err != nil {
		return fmt.Errorf("model: PipelineShares: %w", err)
	}
	for h, rate := range m.Profile.Hour {
		if !(rate > 0) {
			return fmt.Errorf("model: Profile.Hour[%d] is %g, want more than 0", h, rate)
		}
	}
	for d, rate := range m.Profile.Day {
		if !(rate > 0) {
			return fmt.Errorf("model: Profile.Day[%d] is %g, want more than 0", d, rate)
		}
	}
	return nil
}
