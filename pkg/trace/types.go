// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"cmp"
	"slices"
	"time"
)

// WholeGPU is GPUMilli of a job that shares its GPUs with nobody.
const WholeGPU = 1000

// Node is one worker, empty.
type Node struct {
	Name string
	// CPUMilli is in thousandths of a core.
	CPUMilli int64
	// MemoryBytes is in bytes.
	MemoryBytes int64
	// GPUs counts whole GPUs; 0 for a worker without.
	GPUs int64
	// GPUModel is the model of all its GPUs; empty without GPUs.
	GPUModel string
	// Zone is the failure zone; empty if the source names none.
	Zone string
}

// Job is one job of one task. What it asks for is what its pod requests.
type Job struct {
	Name   string
	Tenant string
	// Priority is a priority class of names.PriorityClasses().
	Priority string
	// Arrival is when the job is submitted, counted from the first job.
	Arrival time.Duration
	// Duration is how long it runs once placed.
	Duration time.Duration
	// CPUMilli is in thousandths of a core.
	CPUMilli int64
	// MemoryBytes is in bytes.
	MemoryBytes int64
	// GPUs counts the GPUs it must be given while GPUs are not shared: a share
	// of a GPU is rounded up to one.
	GPUs int64
	// GPUMilli is what it really asks for of each of its GPUs, in thousandths:
	// 0 without GPUs, 1..999 for a share of one GPU, else WholeGPU.
	GPUMilli int64
	// GPUModels lists the models it accepts; empty means any.
	GPUModels []string
}

// Workload is a cluster and the work that is submitted to it.
type Workload struct {
	Nodes []Node
	Jobs  []Job
}

// Resources is an amount of each resource, in the units of Node and Job.
type Resources struct {
	CPUMilli    int64
	MemoryBytes int64
	GPUs        int64
}

// Asks is what the job's pod requests.
func (j Job) Asks() Resources {
	return Resources{CPUMilli: j.CPUMilli, MemoryBytes: j.MemoryBytes, GPUs: j.GPUs}
}

func (r Resources) plus(o Resources) Resources {
	return Resources{r.CPUMilli + o.CPUMilli, r.MemoryBytes + o.MemoryBytes, r.GPUs + o.GPUs}
}

func (r Resources) minus(o Resources) Resources {
	return Resources{r.CPUMilli - o.CPUMilli, r.MemoryBytes - o.MemoryBytes, r.GPUs - o.GPUs}
}

// Capacity sums what the workers have.
func Capacity(nodes []Node) Resources {
	var sum Resources
	for _, n := range nodes {
		sum = sum.plus(Resources{n.CPUMilli, n.MemoryBytes, n.GPUs})
	}
	return sum
}

// Total sums what all jobs ask for, as if they ran at the same time.
func Total(jobs []Job) Resources {
	var sum Resources
	for _, j := range jobs {
		sum = sum.plus(j.Asks())
	}
	return sum
}

// PeakDemand is, for each resource by itself, the most that is asked for at
// any one moment if every job starts when it arrives. A job holds its
// resources in [Arrival, Arrival+Duration). O(n log n).
func PeakDemand(jobs []Job) Resources {
	type event struct {
		at   time.Duration
		ends bool
		asks Resources
	}
	events := make([]event, 0, 2*len(jobs))
	for _, j := range jobs {
		events = append(events, event{j.Arrival, false, j.Asks()}, event{j.Arrival + j.Duration, true, j.Asks()})
	}
	slices.SortFunc(events, func(a, b event) int {
		if c := cmp.Compare(a.at, b.at); c != 0 {
			return c
		}
		// What ends at a moment is free for what starts at it.
		switch {
		case a.ends == b.ends:
			return 0
		case a.ends:
			return -1
		default:
			return 1
		}
	})
	var now, peak Resources
	for _, e := range events {
		if e.ends {
			now = now.minus(e.asks)
			continue
		}
		now = now.plus(e.asks)
		peak.CPUMilli = max(peak.CPUMilli, now.CPUMilli)
		peak.MemoryBytes = max(peak.MemoryBytes, now.MemoryBytes)
		peak.GPUs = max(peak.GPUs, now.GPUs)
	}
	return peak
}

// Fits says whether the empty worker can hold the job, with whole GPUs.
func (n Node) Fits(j Job) bool {
	if j.CPUMilli > n.CPUMilli || j.MemoryBytes > n.MemoryBytes || j.GPUs > n.GPUs {
		return false
	}
	return j.GPUs == 0 || len(j.GPUModels) == 0 || slices.Contains(j.GPUModels, n.GPUModel)
}

// Misfits lists the jobs that no worker can hold even when it is empty. They
// would wait for ever.
func (w Workload) Misfits() []Job {
	var misfits []Job
	for _, j := range w.Jobs {
		if !slices.ContainsFunc(w.Nodes, func(n Node) bool { return n.Fits(j) }) {
			misfits = append(misfits, j)
		}
	}
	return misfits
}
