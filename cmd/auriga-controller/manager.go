// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"auriga.dev/auriga/pkg/capacity"
	"auriga.dev/auriga/pkg/capacity/prometheus"
	"auriga.dev/auriga/pkg/controllers"
	"auriga.dev/auriga/pkg/controllers/jobmetrics"
	"auriga.dev/auriga/pkg/controllers/load"
	"auriga.dev/auriga/pkg/controllers/nodeprofile"
	"auriga.dev/auriga/pkg/controllers/reclaim"
)

const (
	// stopTimeout bounds the end after SIGTERM; a pod gets 30 s.
	stopTimeout = 20 * time.Second
	// syncTimeout bounds the first filling of the caches.
	syncTimeout = 2 * time.Minute
)

// run builds the manager and runs it until ctx ends.
func (o *options) run(ctx context.Context) error {
	ctrl.SetLogger(klog.Background())
	mgr, err := o.newManager()
	if err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// newManager connects everything and starts nothing.
func (o *options) newManager() (ctrl.Manager, error) {
	config, err := o.restConfig()
	if err != nil {
		return nil, err
	}
	controllersConfig, err := o.controllers()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, batchv1.AddToScheme, policyv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	serving, watcher, err := o.serving()
	if err != nil {
		return nil, err
	}
	stop := stopTimeout
	managerOptions := ctrl.Options{
		Scheme:                     scheme,
		Cache:                      controllers.CacheOptions(),
		LeaderElection:             o.leaderElect,
		LeaderElectionID:           o.leaseName,
		LeaderElectionNamespace:    o.leaseNamespace,
		LeaderElectionResourceLock: "leases",
		// Its end is the process's end, so that nothing works after the release.
		LeaderElectionReleaseOnCancel: true,
		Metrics:                       serving,
		HealthProbeBindAddress:        o.probeAddress,
		LivenessEndpointName:          "/livez",
		ReadinessEndpointName:         "/readyz",
		GracefulShutdownTimeout:       &stop,
	}
	managerOptions.Controller.CacheSyncTimeout = syncTimeout
	mgr, err := ctrl.NewManager(config, managerOptions)
	if err != nil {
		return nil, fmt.Errorf("build the manager: %w", err)
	}
	if watcher != nil {
		if err := mgr.Add(watcher); err != nil {
			return nil, err
		}
	}
	if err := mgr.AddHealthzCheck("ping", func(*http.Request) error { return nil }); err != nil {
		return nil, err
	}
	if err := mgr.AddReadyzCheck("caches", cachesFilled(mgr)); err != nil {
		return nil, err
	}
	return mgr, controllers.Add(mgr, controllersConfig, metrics.Registry)
}

// cachesFilled is the readiness check: a replica that cannot read the cluster,
// for want of permissions say, is not ready, and the log says why.
func cachesFilled(mgr ctrl.Manager) func(*http.Request) error {
	return func(r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return errors.New("the caches are not filled yet")
		}
		return nil
	}
}

func (o *options) restConfig() (*rest.Config, error) {
	var config *rest.Config
	var err error
	if o.kubeconfig == "" {
		if config, err = rest.InClusterConfig(); err != nil {
			return nil, fmt.Errorf("no --kubeconfig given, and not in a pod: %w", err)
		}
	} else if config, err = clientcmd.BuildConfigFromFlags("", o.kubeconfig); err != nil {
		return nil, fmt.Errorf("--kubeconfig=%s: %w", o.kubeconfig, err)
	}
	config.QPS, config.Burst = o.qps, o.burst
	config.UserAgent = rest.DefaultKubernetesUserAgent()
	return config, nil
}

// controllers is what the controllers are told.
func (o *options) controllers() (controllers.Config, error) {
	querier, err := newQuerier(o.prometheusAddress, o.prometheusConfig)
	if err != nil {
		return controllers.Config{}, err
	}
	return controllers.Config{
		NodeProfile: nodeprofile.SourceConfig{
			Querier: querier, Interval: o.profileInterval, StorageQuery: o.storageQuery, PowerQuery: o.powerQuery,
		},
		Jobs: jobmetrics.Config{Schedulers: o.schedulers, Window: o.successWindow},
		Load: o.load(),
		Reclaim: reclaim.Config{
			Schedulers: o.schedulers,
			CPUCeiling: float64(o.reclaimCPUCeiling) / 100, MemoryCeiling: float64(o.reclaimMemoryCeiling) / 100,
		},
	}, nil
}

// load says how the load of the workers is measured.
func (o *options) load() load.Config {
	return load.Config{
		Prometheus: o.prometheus(), MaxAge: o.maxAge, Ramp: o.inFlightRamp,
		CPUShare: float64(o.inFlightCPU) / 100, MemoryShare: float64(o.inFlightMemory) / 100,
		PoolLabel: o.poolLabel,
		Lease:     types.NamespacedName{Namespace: o.leaseNamespace, Name: o.leaseName},
	}
}

// prometheus says which Prometheus to ask for the load, and what.
func (o *options) prometheus() prometheus.Config {
	c := prometheus.Config{
		Address: o.prometheusAddress, HTTPConfigFile: o.prometheusConfig,
		PollInterval: o.pollInterval, RateWindow: o.rateWindow,
		NodeMapping: prometheus.NodeMapping{Label: o.nodeMappingLabel, Regexp: o.nodeMappingRegexp},
		Queries:     map[capacity.Resource]string{},
	}
	// Nobody here asks about the others.
	for r := range capacity.NumResources {
		if r != capacity.CPU && r != capacity.Memory {
			c.Queries[r] = ""
		}
	}
	if o.cpuQuery != "" {
		c.Queries[capacity.CPU] = o.cpuQuery
	}
	if o.memoryQuery != "" {
		c.Queries[capacity.Memory] = o.memoryQuery
	}
	switch o.ageQuery {
	case "":
	case noQuery:
		c.AgeQuery = new(string)
	default:
		c.AgeQuery = &o.ageQuery
	}
	return c
}

// serving is how metrics are served, and what keeps a given certificate fresh.
func (o *options) serving() (metricsserver.Options, *certwatcher.CertWatcher, error) {
	serving := metricsserver.Options{
		BindAddress: o.metricsAddress, SecureServing: true,
		FilterProvider: filters.WithAuthenticationAndAuthorization,
		TLSOpts:        []func(*tls.Config){func(c *tls.Config) { c.MinVersion = tls.VersionTLS12 }},
	}
	if o.certFile == "" {
		return serving, nil, nil
	}
	watcher, err := certwatcher.New(o.certFile, o.keyFile)
	if err != nil {
		return serving, nil, fmt.Errorf("--tls-cert-file=%s, --tls-private-key-file=%s: %w", o.certFile, o.keyFile, err)
	}
	serving.TLSOpts = append(serving.TLSOpts, func(c *tls.Config) { c.GetCertificate = watcher.GetCertificate })
	return serving, watcher, nil
}
