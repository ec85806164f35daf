// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"auriga.dev/auriga/pkg/demo"
)

func newDemoCommand() *cobra.Command {
	o := demo.Options{Out: os.Stdout, Terminal: term.IsTerminal(int(os.Stdout.Fd()))}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run Auriga on a cluster of its own: install, schedule a workload, report, tear down",
		Long: `Start a control plane with simulated workers, install Auriga from its Helm
chart, submit a workload, report how it was scheduled and what the workers
really used of what was requested, and tear everything down.

The generated workload's arrivals and durations are fitted to the history of a
CI system (see pkg/trace/cicd). With --trace, the workers and pods of the openb
GPU trace are used instead, their time compressed.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := o.Validate(); err != nil {
				return usageError{err}
			}
			binary, err := os.Executable()
			if err != nil {
				return err
			}
			o.Binary = binary
			ctx, stop := interruptible()
			defer stop()
			_, err = demo.Run(ctx, o)
			return err
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Nodes, "nodes", 1000, "how many workers")
	f.IntVar(&o.Jobs, "jobs", 2000, "how many jobs")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the generated workload, and of what each job really uses of its request")
	f.Float64Var(&o.Rate, "rate", 15, "jobs that arrive per second, on average, in the generated workload; two cores that also run the control plane and the workers keep up with about 20")
	f.StringVar(&o.Trace, "trace", "", "folder with the openb trace: use its workers and pods")
	f.DurationVar(&o.Duration, "duration", 5*time.Minute, "time in which the trace's jobs arrive and run, if nothing waits")
	f.IntVar(&o.ForeignPods, "foreign-pods", 20, "pods for the stock scheduler beside the jobs")
	f.DurationVar(&o.Timeout, "timeout", 30*time.Minute, "end the demo after this time")
	f.DurationVar(&o.StallTimeout, "stall-timeout", 3*time.Minute, "end the demo when nothing moves for this time")
	f.StringVar(&o.Chart, "chart", filepath.Join("manifests", "chart", "auriga"), "folder of Auriga's Helm chart")
	f.StringVar(&o.OutDir, "out", filepath.Join("out", "demo"), "folder of the report: index.html and report.json")
	return cmd
}
