// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/prometheus/procfs"

	"auriga.dev/auriga/pkg/localcluster"
)

// self is the demo's own process in the report.
const self = "demo"

// cpuSeconds is the processor time that each process has used so far. It is
// nil where the system has no /proc.
func (r *run) cpuSeconds(ctx context.Context) (map[string]float64, error) {
	state, err := localcluster.Inspect(ctx, r.cluster.DataDir())
	if err != nil {
		return nil, err
	}
	proc, err := procfs.NewDefaultFS()
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("read processor times: %w", err)
	}
	pids := map[string]int{self: os.Getpid()}
	for _, p := range state.Processes {
		pids[p.Name] = p.PID
	}
	used := map[string]float64{}
	for name, pid := range pids {
		process, err := proc.Proc(pid)
		if err != nil {
			return nil, fmt.Errorf("read the processor time of %s (pid %d): %w", name, pid, err)
		}
		stat, err := process.Stat()
		if err != nil {
			return nil, fmt.Errorf("read the processor time of %s (pid %d): %w", name, pid, err)
		}
		used[name] = stat.CPUTime()
	}
	return used, nil
}

// cpuShares says what each process used between two readings, busiest first.
func cpuShares(before, after map[string]float64, took time.Duration, cores int) []ProcessCPU {
	shares := make([]ProcessCPU, 0, len(after))
	for name, used := range after {
		seconds := used - before[name]
		shares = append(shares, ProcessCPU{Name: name, Seconds: seconds, Share: seconds / (took.Seconds() * float64(cores))})
	}
	slices.SortFunc(shares, func(a, b ProcessCPU) int {
		return cmp.Or(cmp.Compare(b.Seconds, a.Seconds), cmp.Compare(a.Name, b.Name))
	})
	return shares
}
