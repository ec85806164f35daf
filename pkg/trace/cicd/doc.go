// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cicd makes CI/CD workloads: FitDir fits a model to the history of a
// real CI system, DefaultModel is such a fit, and Generate draws jobs from a
// model for a cluster of a given size. Workers makes that cluster.
//
// In: a folder of test-execution histories, or a seed and a Config. Out: a Fit,
// or a trace.Workload; the units are those of package trace. Everything that the
// history tells is fitted (arrivals, durations, jobs of one pipeline); what it
// does not tell (tenants, priorities, resources) is an assumption, named as
// such in Config and set in DefaultConfig.
//
// Invariants: the same Config gives the same workload; every job fits some
// worker when that is empty; arrivals start at 0 and end at Span; durations are
// within MinDuration and MaxDuration.
//
// Three steps lie between the model and the workload, because the history has
// three jobs a day and a demo has thousands in a minute. Arrivals: the pipelines
// are drawn in operational time, squeezed as a whole onto Days of the profile,
// and that onto Span, which keeps the shape of the gaps (bursts, day and night)
// but not their length. Durations: one factor for all, which keeps the shape of
// their distribution but for those that the bounds cut. The factor is chosen
// such that the demand reaches TargetUtilization.
package cicd
