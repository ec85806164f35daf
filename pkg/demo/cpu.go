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

// cpuTimes are processor times in seconds, since the machine or the process
// started.
type cpuTimes struct {
	processes map[string]float64
	// busy and total are the whole machine's, other users' processes included.
	busy, total float64
}

// cpuTimes reads the processor times now. They are empty where the system has
// no /proc.
func (r *run) cpuTimes(ctx context.Context) (cpuTimes, error) {
	var now cpuTimes
	state, err := localcluster.Inspect(ctx, r.cluster.DataDir())
	if err != nil {
		return now, err
	}
	proc, err := procfs.NewDefaultFS()
	if errors.Is(err, os.ErrNotExist) {
		return now, nil
	} else if err != nil {
		return now, fmt.Errorf("read processor times: %w", err)
	}
	machine, err := proc.Stat()
	if err != nil {
		return now, fmt.Errorf("read processor times: %w", err)
	}
	all := machine.CPUTotal
	now.busy = all.User + all.Nice + all.System + all.IRQ + all.SoftIRQ + all.Steal
	now.total = now.busy + all.Idle + all.Iowait
	pids := map[string]int{self: os.Getpid()}
	for _, p := range state.Processes {
		pids[p.Name] = p.PID
	}
	now.processes = map[string]float64{}
	for name, pid := range pids {
		process, err := proc.Proc(pid)
		if err != nil {
			return now, fmt.Errorf("read the processor time of %s (pid %d): %w", name, pid, err)
		}
		stat, err := process.Stat()
		if err != nil {
			return now, fmt.Errorf("read the processor time of %s (pid %d): %w", name, pid, err)
		}
		now.processes[name] = stat.CPUTime()
	}
	return now, nil
}

// machine sets what used the machine between two readings.
func (r *Report) machine(before, after cpuTimes, took time.Duration) {
	r.Processes = cpuShares(before.processes, after.processes, took, r.Cores)
	if total := after.total - before.total; total > 0 {
		r.MachineBusy = (after.busy - before.busy) / total
	}
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
