// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Command auriga-controller runs Auriga's controllers beside the scheduler: it
// keeps the profiles of workers and measures jobs and worker pools.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register" // --logging-format=json
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"

	"auriga.dev/auriga/pkg/apis/names"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // it could not start, or could not go on
	exitUsage  = 2 // the command line makes no sense
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// failure is an error of the work, as opposed to one of the command line.
type failure struct{ err error }

func (f failure) Error() string { return f.err.Error() }
func (f failure) Unwrap() error { return f.err }

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	command := newCommand()
	command.SetArgs(append([]string{}, args...)) // nil would mean os.Args
	command.SetOut(stdout)
	command.SetErr(stderr)

	err := command.ExecuteContext(ctx)
	klog.Flush()
	var failed failure
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &failed):
		fmt.Fprintf(stderr, "Error: %v\n", err) //nolint:errcheck // nowhere to say it
		return exitFailed
	}
	fmt.Fprintf(stderr, "Error: %v\nSee '%s --help'.\n", err, command.CommandPath()) //nolint:errcheck // nowhere to say it
	return exitUsage
}

// newCommand returns the command with its flags.
func newCommand() *cobra.Command {
	o := defaultOptions()
	logging := logsapi.NewLoggingConfiguration()
	command := &cobra.Command{
		Use:   "auriga-controller",
		Short: "Run Auriga's controllers beside the scheduler",
		Long: `auriga-controller keeps the profile of every worker as node labels auriga.dev/...
and measures the jobs that Auriga schedules and the use of worker pools.

Of several replicas one works, elected by the Lease ` + names.Namespace + `/` + names.ControllerLease + `
unless flags say otherwise; the others stand by. Metrics are at
https://ADDRESS/metrics for those who may get that URL.

It ends with 0 when it is asked to (SIGTERM), 1 when it fails, among others when
it loses the election, 2 on wrong usage.`,
		Args:          cobra.NoArgs,
		Version:       version.Get().String(),
		SilenceErrors: true, // run says them
		SilenceUsage:  true,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := errors.Join(o.validate()...); err != nil {
				return err
			}
			if err := logsapi.ValidateAndApply(logging, nil); err != nil {
				return err
			}
			if err := o.run(command.Context()); err != nil {
				return failure{err}
			}
			return nil
		},
	}
	o.addFlags(command.Flags())
	logsapi.AddFlags(logging, command.Flags())
	return command
}
