// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Command auriga-scheduler is the Kubernetes scheduler with Auriga's plugins.
// It runs beside the default scheduler and serves the pods that name it in
// spec.schedulerName.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/cli/globalflag"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/component-base/featuregate"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/component-base/metrics/legacyregistry"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // API request metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // the metric kubernetes_build_info
	"k8s.io/component-base/term"
	"k8s.io/component-base/version/verflag"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	schedscheme "k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"

	"auriga.dev/auriga/pkg/apis/config/scheme"
	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/schedulertrace"
	"auriga.dev/auriga/pkg/telemetry"
	"auriga.dev/auriga/plugins"
)

// flushTimeout is how long the end of the process may wait for the collector
// of traces.
const flushTimeout = 2 * time.Second

func main() {
	os.Exit(cli.Run(newCommand()))
}

// newCommand returns a command like upstream's kube-scheduler, with all of
// Auriga's plugins and its traces: upstream's own cannot be told what to do
// between setting the scheduler up and running it.
// It changes the defaults of scheduler configurations for the whole process,
// which therefore cannot run the stock scheduler as well.
func newCommand() *cobra.Command {
	scheme.AddDefaults(schedscheme.Scheme)

	opts := options.NewOptions()
	var tracingFile string
	cmd := &cobra.Command{
		Use: "auriga-scheduler",
		Long: `auriga-scheduler is the Kubernetes scheduler with the plugins of Auriga. It runs
beside the default scheduler and places the pods whose spec.schedulerName is the
name of one of its profiles (` + names.Scheduler + ` unless the configuration says otherwise).

It is configured by a KubeSchedulerConfiguration (--config); 'auriga validate'
checks one. Unless that says otherwise, it elects a leader by the Lease
` + names.Namespace + `/` + names.Lease + `, never by the default scheduler's.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%q does not take any arguments, got %q", cmd.CommandPath(), args)
			}
			return nil
		},
		// Feature gates count before anything asks for them.
		PersistentPreRunE: func(*cobra.Command, []string) error { return opts.ComponentGlobalsRegistry.Set() },
		RunE:              func(cmd *cobra.Command, _ []string) error { return run(cmd, opts, tracingFile) },
	}

	sets := opts.Flags
	verflag.AddFlags(sets.FlagSet("global"))
	globalflag.AddGlobalFlags(sets.FlagSet("global"), cmd.Name(), logs.SkipLoggingConfigurationFlags())
	sets.FlagSet("traces").StringVar(&tracingFile, "tracing-config-file", "",
		"File with a TracingConfiguration (apiserver.config.k8s.io/v1, as kube-apiserver's flag of this name): where to send traces of scheduling by OTLP/gRPC, and of how many pods. Without it there are none.")
	for _, set := range sets.FlagSets {
		cmd.Flags().AddFlagSet(set)
	}
	columns, _, err := term.TerminalSize(cmd.OutOrStdout())
	if err != nil {
		columns = 0 // not a terminal: lines are not wrapped
	}
	cliflag.SetUsageAndHelpFunc(cmd, *sets, columns)
	for _, flag := range []string{"config", "tracing-config-file"} {
		if err := cmd.MarkFlagFilename(flag, "yaml", "yml", "json"); err != nil {
			klog.Background().Error(err, "Failed to mark a flag as that of a file", "flag", flag)
		}
	}

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

// run runs the scheduler until it is told to stop or loses its Lease.
func run(cmd *cobra.Command, opts *options.Options, tracingFile string) (err error) {
	verflag.PrintAndExitIfRequested()
	gate := opts.ComponentGlobalsRegistry.FeatureGateFor(basecompatibility.DefaultKubeComponent)
	if err := logsapi.ValidateAndApply(opts.Logs, gate); err != nil {
		return err
	}
	cliflag.PrintFlags(cmd.Flags())

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var provider *telemetry.Provider
	trace := schedulertrace.Options{Register: legacyregistry.Register}
	if tracingFile != "" {
		config, err := telemetry.ReadTracingConfig(tracingFile)
		if err != nil {
			return fmt.Errorf("--tracing-config-file: %w", err)
		}
		if provider, err = telemetry.NewProvider(ctx, names.Lease, config, legacyregistry.Register); err != nil {
			return err
		}
		trace.Provider, trace.Sampler = provider, telemetry.NewSampler(config)
		defer func() { err = utilerrors.NewAggregate(append([]error{err}, flush(provider.Shutdown))) }()
	}
	go func() {
		<-genericserver.SetupSignalHandler()
		// Before the context ends: a leader's process ends at once with it.
		if provider != nil {
			if err := flush(provider.ForceFlush); err != nil {
				klog.FromContext(ctx).Error(err, "Could not send the last traces")
			}
		}
		cancel()
	}()

	var registry []app.Option
	for name, factory := range plugins.Registry() {
		registry = append(registry, app.WithPlugin(name, factory))
	}
	completed, sched, err := app.Setup(ctx, opts, registry...)
	if err != nil {
		return err
	}
	trace.Pods = completed.InformerFactory.Core().V1().Pods()
	if err := schedulertrace.Install(sched, trace); err != nil {
		return err
	}
	if mutable, ok := gate.(featuregate.MutableFeatureGate); ok {
		mutable.AddMetrics()
	}
	opts.ComponentGlobalsRegistry.AddMetrics()
	return app.Run(ctx, completed, sched)
}

// flush sends traces, but not for longer than flushTimeout.
func flush(send func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := send(ctx); err != nil {
		return fmt.Errorf("sending the last traces: %w", err)
	}
	return nil
}
