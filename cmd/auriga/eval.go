// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"auriga.dev/auriga/pkg/trace/cicd"
)

func newEval(output *outputFormat) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "eval",
		Short: "Repeat a measurement on public data",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return errors.New("which measurement?") },
	}
	cmd.AddCommand(newEvalCI(output))
	return cmd
}

func newEvalCI(output *outputFormat) *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "ci",
		Short: "Fit the demo's arrivals and durations to the history of a CI system",
		Long: `ci fits distributions to a CI history (the csv files of the folder, as the data
set of coleman4hcs has them), shows how well each fits, and beside them those
that are built into the demo's generator.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fit, err := cicd.FitDir(data)
			if err != nil {
				return failure{err}
			}
			if *output == outputJSON {
				return writeJSON(cmd.OutOrStdout(), fit)
			}
			var text strings.Builder
			if err := fit.WriteText(&text); err != nil {
				return failure{err}
			}
			return writeText(cmd.OutOrStdout(), text.String())
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "folder with the history's csv files, plain or gzip")
	if err := cmd.MarkFlagRequired("data"); err != nil {
		panic(err) // the flag is defined one line above
	}
	return cmd
}
