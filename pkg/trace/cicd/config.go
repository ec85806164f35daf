// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package cicd

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/trace"
)

const gib = 1 << 30

// Choice is a value and the share of draws that take it.
type Choice[T any] struct {
	Value T
	Share float64
}

// Mix is a discrete distribution; the shares sum to 1.
type Mix[T any] []Choice[T]

// Tenant is one user of the cluster.
type Tenant struct {
	// Name is a valid label value.
	Name string
	// Share of the pipelines.
	Share float64
	// Priorities of the pipelines; names.PriorityClasses().
	Priorities Mix[string]
	// CPUMilli of the jobs without GPUs, thousandths of a core.
	CPUMilli Mix[int64]
	// GPUShare is the share of its jobs that ask for GPUs, 0..1.
	GPUShare float64
}

// Config is all that Generate depends on. Start from DefaultConfig.
type Config struct {
	// Seed picks one of the possible workloads.
	Seed uint64
	// Jobs is how many to make, at least 1.
	Jobs int
	// Nodes are the workers that the load is offered to, at least one.
	Nodes []trace.Node
	// Model is how jobs arrive and how long they run. Fitted.
	Model Model

	// Span is the time from the first to the last arrival; 0 means Jobs/Rate.
	Span time.Duration
	// Rate is the mean rate of arrivals in jobs per second. Assumption: a control
	// plane on two cores creates, runs and completes 40 to 60 jobs a second.
	Rate float64
	// Days is the length of the history's time that Span stands for: with 1 the
	// arrivals follow one day's profile. Assumption.
	Days float64
	// StartHour is the hour of the week, 0 = Sunday 0:00, at which Span starts.
	StartHour int

	// TargetUtilization is the peak of what the jobs would hold if none had to
	// wait, as a share of the workers' capacity of that resource (CPU, memory or
	// GPUs) for which it is the largest. Durations are scaled by one factor to
	// reach it. Above 1 jobs must queue at the peak. In (0, 10].
	TargetUtilization float64
	// DurationScale, if not 0, is the factor itself; TargetUtilization is then
	// not looked at.
	DurationScale float64
	// MinDuration and MaxDuration bound what a job runs. The factor is never so
	// large that MaxDuration would cut more than one job in twenty.
	MinDuration, MaxDuration time.Duration

	// Tenants, their shares and mixes. Assumption: the history names no user, no
	// priority and no resources.
	Tenants []Tenant
	// MemoryPerCore of jobs without GPUs, bytes; a job has at least 256 MiB.
	// Assumption.
	MemoryPerCore Mix[int64]
	// GPUs of jobs that ask for some. Assumption.
	GPUs Mix[int64]
	// CPUMilliPerGPU and MemoryPerGPU go with each GPU. Assumption.
	CPUMilliPerGPU, MemoryPerGPU int64
}

// leastMemory is the least that a job asks for, bytes.
const leastMemory = gib / 4

// DefaultConfig is the demo's workload: the fitted model, and assumptions about
// what the history does not tell. Three tenants: web builds often and small,
// platform builds large, ml trains and asks for GPUs now and then. Jobs ask for
// 0.25 to 7 cores, 6 % of them for GPUs. The largest leave a worker of Workers
// what its system pods need: a job that asks for all of one waits for ever.
func DefaultConfig(jobs int, nodes []trace.Node, seed uint64) Config {
	priorities := func(critical, high, medium, low, batch float64) Mix[string] {
		return Mix[string]{
			{names.PriorityCritical, critical}, {names.PriorityHigh, high}, {names.PriorityMedium, medium},
			{names.PriorityLow, low}, {names.PriorityBatch, batch},
		}
	}
	return Config{
		Seed: seed, Jobs: jobs, Nodes: nodes, Model: DefaultModel(),
		Rate: 40, Days: 1, StartHour: 24 + 8, // Monday 8:00
		TargetUtilization: 0.8, MinDuration: time.Second, MaxDuration: 75 * time.Second,
		Tenants: []Tenant{
			{
				Name: "web", Share: 0.50, Priorities: priorities(0.05, 0.15, 0.50, 0.20, 0.10),
				CPUMilli: Mix[int64]{{250, 0.10}, {500, 0.20}, {1000, 0.30}, {2000, 0.25}, {3500, 0.15}},
			},
			{
				Name: "platform", Share: 0.35, Priorities: priorities(0.05, 0.25, 0.40, 0.20, 0.10),
				CPUMilli: Mix[int64]{{500, 0.05}, {1000, 0.10}, {2000, 0.25}, {3500, 0.40}, {7000, 0.20}},
			},
			{
				Name: "ml", Share: 0.15, Priorities: priorities(0.02, 0.08, 0.30, 0.30, 0.30), GPUShare: 0.40,
				CPUMilli: Mix[int64]{{1000, 0.20}, {2000, 0.30}, {3500, 0.40}, {7000, 0.10}},
			},
		},
		MemoryPerCore:  Mix[int64]{{1 * gib, 0.30}, {2 * gib, 0.50}, {4 * gib, 0.20}},
		GPUs:           Mix[int64]{{1, 0.70}, {2, 0.20}, {4, 0.10}},
		CPUMilliPerGPU: 1750, MemoryPerGPU: 7 * gib,
	}
}

func sharesSumToOne(shares []float64) error {
	var sum float64
	for _, s := range shares {
		if !(s >= 0) {
			return fmt.Errorf("share %g, want 0 or more", s)
		}
		sum += s
	}
	if math.Abs(sum-1) > 1e-3 {
		return fmt.Errorf("shares sum to %g, want 1", sum)
	}
	return nil
}

func (m Mix[T]) validate() error {
	shares := make([]float64, len(m))
	for i, c := range m {
		shares[i] = c.Share
	}
	return sharesSumToOne(shares)
}

// validate collects everything that is wrong.
func (c Config) validate() error {
	var errs []error
	check := func(ok bool, field string, got any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s is %v, want %s", field, got, want))
		}
	}
	note := func(field string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
		}
	}
	check(c.Jobs >= 1, "Jobs", c.Jobs, "at least 1")
	check(len(c.Nodes) >= 1, "Nodes", len(c.Nodes), "at least 1")
	check(c.Span >= 0, "Span", c.Span, "0 (Jobs/Rate) or more")
	check(c.Span > 0 || c.Rate > 0, "Rate", c.Rate, "more than 0 if Span is 0")
	check(c.Days > 0 && c.Days <= 366, "Days", c.Days, "more than 0, at most 366")
	check(c.StartHour >= 0 && c.StartHour < hoursInWeek, "StartHour", c.StartHour, "0 to 167")
	check(c.DurationScale >= 0, "DurationScale", c.DurationScale, "0 (from TargetUtilization) or more")
	check(c.DurationScale > 0 || c.TargetUtilization > 0 && c.TargetUtilization <= 10,
		"TargetUtilization", c.TargetUtilization, "more than 0, at most 10")
	check(c.MinDuration > 0, "MinDuration", c.MinDuration, "more than 0")
	check(c.MaxDuration > c.MinDuration, "MaxDuration", c.MaxDuration, "more than MinDuration")
	check(c.CPUMilliPerGPU >= 0, "CPUMilliPerGPU", c.CPUMilliPerGPU, "0 or more")
	check(c.MemoryPerGPU >= 0, "MemoryPerGPU", c.MemoryPerGPU, "0 or more")
	note("Model", c.Model.validate())
	note("MemoryPerCore", c.MemoryPerCore.validate())
	note("GPUs", c.GPUs.validate())
	shares := make([]float64, len(c.Tenants))
	for i, t := range c.Tenants {
		field := fmt.Sprintf("Tenants[%d]", i)
		shares[i] = t.Share
		check(t.Name != "", field+".Name", `""`, "a name")
		check(t.GPUShare >= 0 && t.GPUShare <= 1, field+".GPUShare", t.GPUShare, "0 to 1")
		note(field+".Priorities", t.Priorities.validate())
		note(field+".CPUMilli", t.CPUMilli.validate())
		for _, p := range t.Priorities {
			check(slices.Contains(names.PriorityClasses(), p.Value), field+".Priorities", p.Value,
				fmt.Sprintf("one of %v", names.PriorityClasses()))
		}
	}
	note("Tenants", sharesSumToOne(shares))
	return errors.Join(errs...)
}
