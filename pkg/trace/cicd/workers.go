// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package cicd

import (
	"fmt"
	"math"

	"auriga.dev/auriga/pkg/trace"
)

// What Workers makes. Assumptions: the sizes are those of common hosted CI
// runners.
const (
	// LargeShare of the workers have 8 cores and 32 GiB.
	LargeShare = 0.3
	// GPUWorkerShare of the workers, but at least one, have 8 cores, 32 GiB and
	// four GPUs.
	GPUWorkerShare = 0.1
	// WorkerGPUModel is their model.
	WorkerGPUModel = "L4"
	// The rest have 4 cores and 16 GiB.
)

// WorkerZones are the zones, which differ by at most one worker.
func WorkerZones() []string { return []string{"zone-a", "zone-b", "zone-c"} }

// Workers makes n workers, n at least 1: zones in turn, shapes in exact shares
// and in an order that the seed picks.
func Workers(n int, seed uint64) ([]trace.Node, error) {
	if n < 1 {
		return nil, fmt.Errorf("make %d workers: want at least 1", n)
	}
	gpus := max(1, int(math.Round(GPUWorkerShare*float64(n))))
	large := min(n-gpus, int(math.Round(LargeShare*float64(n))))
	shapes := make([]trace.Node, n)
	for i := range shapes {
		switch {
		case i < gpus:
			shapes[i] = trace.Node{CPUMilli: 8000, MemoryBytes: 32 * gib, GPUs: 4, GPUModel: WorkerGPUModel}
		case i < gpus+large:
			shapes[i] = trace.Node{CPUMilli: 8000, MemoryBytes: 32 * gib}
		default:
			shapes[i] = trace.Node{CPUMilli: 4000, MemoryBytes: 16 * gib}
		}
	}
	stream(seed, streamWorkers).Shuffle(n, func(i, j int) { shapes[i], shapes[j] = shapes[j], shapes[i] })
	zones := WorkerZones()
	for i := range shapes {
		shapes[i].Name, shapes[i].Zone = fmt.Sprintf("worker-%05d", i), zones[i%len(zones)]
	}
	return shapes, nil
}
