// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // version metric
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"auriga.dev/auriga/pkg/localcluster"
)

// components are the programs in this binary. A Kubernetes command registers
// process-wide state when it is made, so only the one that runs is made.
func components() map[string]func(args []string) int {
	kubernetes := func(command func() *cobra.Command) func([]string) int {
		return func(args []string) int {
			cmd := command()
			cmd.SetArgs(args)
			return cli.Run(cmd)
		}
	}
	return map[string]func([]string) int{
		"etcd":                    runEtcd,
		"kube-apiserver":          kubernetes(apiserver.NewAPIServerCommand),
		"kube-controller-manager": kubernetes(controllermanager.NewControllerManagerCommand),
		"kube-scheduler":          kubernetes(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	}
}

func newComponentCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "component NAME -- [FLAGS]",
		Short:              "Run one component: etcd, kube-apiserver, kube-controller-manager or kube-scheduler",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("which component? " + cmd.Use)}
			}
			run, ok := components()[args[0]]
			if !ok {
				return usageError{fmt.Errorf("unknown component %q: %s", args[0], cmd.Short)}
			}
			if err := localcluster.ExitWithSupervisor(); err != nil {
				return err
			}
			flags := args[1:]
			if len(flags) > 0 && flags[0] == "--" {
				flags = flags[1:]
			}
			if code := run(flags); code != 0 {
				os.Exit(code)
			}
			return nil
		},
	}
}

// runEtcd runs etcd until SIGTERM or SIGINT; it returns the exit status.
func runEtcd(args []string) int {
	if err := serveEtcd(args); err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return exitFailed
	}
	return 0
}

func serveEtcd(args []string) error {
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	path := flags.String("config-file", "", "etcd's configuration file (required)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	config, err := embed.ConfigFromFile(*path)
	if err != nil {
		return fmt.Errorf("--config-file=%s: %w", *path, err)
	}
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer server.Close()
	select {
	case <-ctx.Done():
		return nil
	case <-server.Server.StopNotify():
		return errors.New("the server has stopped")
	case err := <-server.Err():
		return err
	}
}
