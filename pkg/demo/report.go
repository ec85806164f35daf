// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat"
	"k8s.io/apimachinery/pkg/util/sets"
)

// Report is what the demo ends with, as out/demo/report.json. Times are in
// seconds, shares are from 0 to 1.
type Report struct {
	// Workload says what was submitted.
	Workload WorkloadReport `json:"workload"`
	// Nodes is the number of workers.
	Nodes int `json:"nodes"`
	// Pods is the number of jobs submitted to Auriga, of one pod each. A job
	// whose pod is preempted makes another pod, and still counts once.
	Pods int `json:"pods"`
	// Scheduled is how many of them got a worker.
	Scheduled int `json:"scheduled"`
	// Failed is how many did not run to a successful end.
	Failed int `json:"failed"`
	// Preempted is how many pods gave way to others; their jobs ran again.
	Preempted int `json:"preempted"`
	// SuccessRate is the share of jobs that ran to a successful end.
	SuccessRate float64 `json:"successRate"`
	// PodsPerSecond is the bindings, those of second pods too, over the time
	// from the first pod's creation to the last binding.
	PodsPerSecond float64 `json:"podsPerSecond"`
	// QueueWaitSeconds is from creation to binding, as the API server's watch showed them.
	QueueWaitSeconds Distribution `json:"queueWaitSeconds"`
	// AttemptSeconds is a successful scheduling attempt from the queue to the
	// binding, from the scheduler's own histogram.
	AttemptSeconds Quantiles `json:"attemptSeconds"`
	// AlgorithmSeconds is the part of it that chooses the worker.
	AlgorithmSeconds Quantiles `json:"algorithmSeconds"`
	// PhaseSeconds are the framework's extension points, from the scheduler's own histograms.
	PhaseSeconds Phases `json:"phaseSeconds"`
	// Utilization is requested over allocatable, the mean from the first pod to the last event.
	Utilization Utilization `json:"utilization"`
	// PeakUtilization is the highest moment of each resource.
	PeakUtilization Utilization `json:"peakUtilization"`
	// Measured is what the workers really used, from Prometheus.
	Measured Measured `json:"measured"`
	// Load is the same worker by worker and moment by moment, for the pictures;
	// report.json does without.
	Load Load `json:"-"`
	// ByTenant and ByPriority split the pods.
	ByTenant   []Group `json:"byTenant"`
	ByPriority []Group `json:"byPriority"`
	// DefaultSchedulerPods are the pods beside Auriga's, for the stock scheduler.
	DefaultSchedulerPods Placed `json:"defaultSchedulerPods"`
	// Processes says where the machine's time went while the workload ran, the busiest first.
	Processes []ProcessCPU `json:"processes"`
	// MachineBusy is the share of all cores that was in use meanwhile, by
	// processes that are not the demo's, too.
	MachineBusy float64 `json:"machineBusy"`
	// Cores is the number of this machine's cores.
	Cores int `json:"cores"`
	// StageSeconds is how long each stage of the demo took.
	StageSeconds []Stage `json:"stageSeconds"`
	// Versions of the parts.
	Versions map[string]string `json:"versions"`
}

// WorkloadReport says what was submitted.
type WorkloadReport struct {
	// Source is "generated" or "openb".
	Source string `json:"source"`
	// Seed is the generator's seed.
	Seed uint64 `json:"seed"`
	// ArrivalSeconds is the time over which the jobs arrive.
	ArrivalSeconds float64 `json:"arrivalSeconds"`
}

// Distribution summarizes a sample.
type Distribution struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
}

// Quantiles are of a histogram, interpolated within its buckets.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Phases are extension points of the scheduling framework.
type Phases struct {
	Filter Quantiles `json:"filter"`
	Score  Quantiles `json:"score"`
	Bind   Quantiles `json:"bind"`
}

// Utilization is a share of each resource.
type Utilization struct {
	CPU    float64 `json:"cpu"`
	Memory float64 `json:"memory"`
	GPU    float64 `json:"gpu"`
}

// Measured is what Prometheus measured on the workers beside what was requested
// of them at the same moments, while the jobs ran. Auriga's own pods, which are
// on the workers too, count in both. CPU is measured as the mean over the last
// three scrapes, so that it follows what is requested with a lag of about one
// and a half.
type Measured struct {
	// Samples is the number of moments at which both resources were measured.
	Samples int `json:"samples"`
	// Errors is the number of queries that failed, of two at each moment;
	// LastError says how the last of them did.
	Errors    int    `json:"errors"`
	LastError string `json:"lastError,omitempty"`
	// ScrapeIntervalSeconds is the time between two moments, and between two
	// readings of a worker by Prometheus.
	ScrapeIntervalSeconds float64 `json:"scrapeIntervalSeconds"`
	// CPU is cores, Memory bytes, as shares of all workers' capacity.
	CPU    ResourceUse `json:"cpu"`
	Memory ResourceUse `json:"memory"`
	// Workers are the single ones, in the order of the workload. One that was
	// never measured is not among them.
	Workers []WorkerUse `json:"workers"`
}

// ResourceUse is of all workers together, as shares of their capacity from 0 to
// 1: the means and the highest of the moments that were measured. Nothing
// measured gives zeros.
type ResourceUse struct {
	RequestedMean float64 `json:"requestedMean"`
	RequestedPeak float64 `json:"requestedPeak"`
	MeasuredMean  float64 `json:"measuredMean"`
	MeasuredPeak  float64 `json:"measuredPeak"`
}

// WorkerUse is of one worker: means over the moments at which it was measured,
// as shares of its capacity from 0 to 1.
type WorkerUse struct {
	Name            string  `json:"name"`
	CPURequested    float64 `json:"cpuRequested"`
	CPUMeasured     float64 `json:"cpuMeasured"`
	MemoryRequested float64 `json:"memoryRequested"`
	MemoryMeasured  float64 `json:"memoryMeasured"`
}

// Group is one tenant or one priority; Pods and Scheduled count as in Report.
type Group struct {
	Name             string       `json:"name"`
	Pods             int          `json:"pods"`
	Scheduled        int          `json:"scheduled"`
	QueueWaitSeconds Distribution `json:"queueWaitSeconds"`
}

// Placed counts pods.
type Placed struct {
	Submitted int `json:"submitted"`
	Scheduled int `json:"scheduled"`
}

// ProcessCPU is the processor time of one process while the workload ran.
type ProcessCPU struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	// Share is of all cores over that time.
	Share float64 `json:"share"`
}

// Stage is one stage of the demo.
type Stage struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// summarize describes durations; none gives zeros.
func summarize(durations []time.Duration) Distribution {
	if len(durations) == 0 {
		return Distribution{}
	}
	seconds := make([]float64, len(durations))
	for i, d := range durations {
		seconds[i] = d.Seconds()
	}
	slices.Sort(seconds)
	return Distribution{
		Mean: stat.Mean(seconds, nil),
		P50:  stat.Quantile(0.50, stat.Empirical, seconds, nil),
		P99:  stat.Quantile(0.99, stat.Empirical, seconds, nil),
	}
}

// queueWaits are the waits of the pods that were bound.
func queueWaits(pods []podLife) []time.Duration {
	var waits []time.Duration
	for _, p := range pods {
		if wasBound(p) {
			waits = append(waits, p.bound.Sub(p.created))
		}
	}
	return waits
}

// tasks counts the different jobs of the pods that satisfy a condition.
func tasks(pods []podLife, is func(podLife) bool) int {
	different := sets.New[string]()
	for _, p := range pods {
		if is(p) {
			different.Insert(p.task)
		}
	}
	return different.Len()
}

func wasBound(p podLife) bool { return !p.bound.IsZero() }

// groupBy splits the pods by a name, in the order of `first`, then alphabetically.
func groupBy(pods []podLife, name func(podLife) string, first []string) []Group {
	members := map[string][]podLife{}
	for _, p := range pods {
		members[name(p)] = append(members[name(p)], p)
	}
	groups := make([]Group, 0, len(members))
	for n, m := range members {
		groups = append(groups, Group{
			Name:             n,
			Pods:             tasks(m, func(podLife) bool { return true }),
			Scheduled:        tasks(m, wasBound),
			QueueWaitSeconds: summarize(queueWaits(m)),
		})
	}
	rank := func(g Group) int {
		if i := slices.Index(first, g.Name); i >= 0 {
			return i
		}
		return len(first)
	}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Name, b.Name))
	})
	return groups
}

// fill sets all that follows from what was observed.
func (r *Report) fill(submitted int, seen result, priorities []string) {
	waits := queueWaits(seen.pods)
	r.Pods = submitted
	r.Scheduled = tasks(seen.pods, wasBound)
	completed := tasks(seen.pods, func(p podLife) bool { return p.outcome == succeeded })
	r.Failed = submitted - completed
	for _, p := range seen.pods {
		if p.outcome == evicted {
			r.Preempted++
		}
	}
	if submitted > 0 {
		r.SuccessRate = float64(completed) / float64(submitted)
	}
	if took := seen.lastBound.Sub(seen.firstCreated).Seconds(); took > 0 {
		r.PodsPerSecond = float64(len(waits)) / took
	}
	r.QueueWaitSeconds = summarize(waits)
	r.Utilization = Utilization{seen.mean.cpu, seen.mean.memory, seen.mean.gpu}
	r.PeakUtilization = Utilization{seen.peak.cpu, seen.peak.memory, seen.peak.gpu}
	r.ByTenant = groupBy(seen.pods, func(p podLife) string { return p.tenant }, nil)
	r.ByPriority = groupBy(seen.pods, func(p podLife) string { return p.priority }, priorities)
}

// Write stores the report as JSON.
func (r *Report) Write(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	return store(path, append(data, '\n'))
}
