// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Auriga-local runs a real Kubernetes control plane on this machine, for demos
// and tests. It is its own supervisor and, as "auriga-local component NAME",
// each of the components: etcd, kube-apiserver, kube-controller-manager and the
// stock kube-scheduler. The work is in pkg/localcluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a mistake on the command line.
type usageError struct{ error }

func main() {
	err := newCommand().ExecuteContext(context.Background())
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "auriga-local:", err)
	if errors.As(err, new(usageError)) {
		os.Exit(exitUsage)
	}
	os.Exit(exitFailed)
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "auriga-local",
		Short:         "A real Kubernetes control plane on this machine, with simulated workers",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q; see %s --help", args[0], cmd.CommandPath())}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(
		newDemoCommand(),
		newUpCommand(),
		newDownCommand(),
		newStatusCommand(),
		newKubeconfigCommand(),
		newKubectlCommand(),
		newSuperviseCommand(),
		newComponentCommand(),
	)
	return root
}

// noArgs refuses arguments as a mistake on the command line.
func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return usageError{err}
	}
	return nil
}
