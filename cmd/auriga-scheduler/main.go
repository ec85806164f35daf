// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Command auriga-scheduler is the Kubernetes scheduler with Auriga's plugins.
// It runs beside the default scheduler and serves the pods that name it in
// spec.schedulerName.
package main

import (
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // API request metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // the metric kubernetes_build_info
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	schedscheme "k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"

	"auriga.dev/auriga/pkg/apis/config/scheme"
	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/plugins"
)

func main() {
	os.Exit(cli.Run(newCommand()))
}

// newCommand returns upstream's scheduler command with all of Auriga's plugins.
// It changes the defaults of scheduler configurations for the whole process,
// which therefore cannot run the stock scheduler as well.
func newCommand() *cobra.Command {
	scheme.AddDefaults(schedscheme.Scheme)

	var options []app.Option
	for name, factory := range plugins.Registry() {
		options = append(options, app.WithPlugin(name, factory))
	}
	cmd := app.NewSchedulerCommand(options...)
	cmd.Use = "auriga-scheduler"
	cmd.Long = `auriga-scheduler is the Kubernetes scheduler with the plugins of Auriga. It runs
beside the default scheduler and places the pods whose spec.schedulerName is the
name of one of its profiles (` + names.Scheduler + ` unless the configuration says otherwise).

It is configured by a KubeSchedulerConfiguration (--config); 'auriga validate'
checks one. Unless that says otherwise, it elects a leader by the Lease
` + names.Namespace + `/` + names.Lease + `, never by the default scheduler's.`

	// Upstream's help shows the default scheduler's values. These flags count
	// only if they are given; else the configuration's defaults do.
	for flag, value := range map[string]string{
		"leader-elect-resource-name":      names.Lease,
		"leader-elect-resource-namespace": names.Namespace,
		"kube-api-qps":                    strconv.Itoa(scheme.DefaultQPS),
		"kube-api-burst":                  strconv.Itoa(scheme.DefaultBurst),
	} {
		cmd.Flags().Lookup(flag).DefValue = value
	}
	return cmd
}
