// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/component-base/version"
)

// versions is what `auriga version` says.
type versions struct {
	Auriga     string `json:"auriga"`
	Kubernetes string `json:"kubernetes"` // whose scheduler is inside Auriga's
	Go         string `json:"go"`
	Platform   string `json:"platform"`
}

func newVersion(output *outputFormat) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the versions of Auriga, of the Kubernetes scheduler inside it, and of Go",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info := version.Get()
			v := versions{Go: info.GoVersion, Platform: info.Platform}
			v.Kubernetes, v.Auriga = splitVersion(info.GitVersion)
			if *output == outputJSON {
				return writeJSON(cmd.OutOrStdout(), v)
			}
			return writeText(cmd.OutOrStdout(), fmt.Sprintf("auriga      %s\nkubernetes  %s\ngo          %s\nplatform    %s\n",
				v.Auriga, v.Kubernetes, v.Go, v.Platform))
		},
	}
}

// splitVersion takes apart what the Makefile has the linker write into all of
// Auriga's binaries: Kubernetes' version with Auriga's as build metadata.
func splitVersion(linked string) (kubernetes, auriga string) {
	kubernetes, auriga, ok := strings.Cut(linked, "+auriga.")
	if !ok {
		return "v" + version.DefaultKubeBinaryVersion, "unknown (not built by make)"
	}
	return kubernetes, auriga
}
