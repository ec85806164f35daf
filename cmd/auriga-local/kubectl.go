// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"

	"auriga.dev/auriga/pkg/localcluster"
)

// newKubectlCommand is kubectl for those who have none. Without a kubeconfig of
// the user's choice it talks to the cluster called default.
func newKubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "kubectl [ARGS]",
		Short:              "kubectl; for the cluster called default unless KUBECONFIG or --kubeconfig says otherwise",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			defaults := genericclioptions.NewConfigFlags(true)
			if _, chosen := os.LookupEnv("KUBECONFIG"); !chosen {
				dir, err := localcluster.DefaultDataDir("default")
				if err != nil {
					return err
				}
				state, err := localcluster.Inspect(cmd.Context(), dir)
				if err != nil {
					return err
				}
				defaults.KubeConfig = &state.Kubeconfig
			}
			command := kubectl.NewKubectlCommand(kubectl.KubectlOptions{
				PluginHandler: nil, // plugins need a kubectl of the user's own
				Arguments:     append([]string{"kubectl"}, args...),
				ConfigFlags:   defaults,
				IOStreams:     genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
			})
			command.SetArgs(args)
			if code := cli.Run(command); code != 0 {
				os.Exit(code)
			}
			return nil
		},
	}
}
