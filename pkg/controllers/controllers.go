// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"auriga.dev/auriga/pkg/controllers/jobmetrics"
	"auriga.dev/auriga/pkg/controllers/load"
	"auriga.dev/auriga/pkg/controllers/nodeprofile"
	"auriga.dev/auriga/pkg/controllers/reclaim"
	"auriga.dev/auriga/pkg/controllers/utilization"
)

// Config is what the controllers are told.
type Config struct {
	NodeProfile nodeprofile.SourceConfig
	Jobs        jobmetrics.Config
	// Load says how the workers are measured.
	Load    load.Config
	Reclaim reclaim.Config
}

// Add registers all controllers, and their metrics in the registry. None starts
// before the manager does.
func Add(mgr manager.Manager, c Config, registry prometheus.Registerer) error {
	known, err := load.Add(mgr, c.Load)
	if err != nil {
		return fmt.Errorf("load of the workers: %w", err)
	}
	for _, controller := range []struct {
		name string
		add  func() error
	}{
		{nodeprofile.Name, func() error { return nodeprofile.Add(mgr, c.NodeProfile, registry) }},
		{"job-metrics", func() error { return jobmetrics.Add(mgr, c.Jobs, registry) }},
		{"pool-utilization", func() error {
			if !known.Measures() {
				return nil
			}
			return registry.Register(utilization.NewCollector(known.Readings, mgr.Elected()))
		}},
		{reclaim.Name, func() error { return reclaim.Add(mgr, c.Reclaim, known, registry) }},
	} {
		if err := controller.add(); err != nil {
			return fmt.Errorf("controller %s: %w", controller.name, err)
		}
	}
	return nil
}

// CacheOptions say what the controllers need of the objects that they watch:
// nodes and pods without what nobody reads. The pods are those of all
// schedulers, since all of them use the workers.
func CacheOptions() cache.Options {
	return cache.Options{ByObject: map[client.Object]cache.ByObject{
		&corev1.Node{}: {Transform: nodeprofile.Trim},
		&corev1.Pod{}:  {Transform: load.Trim},
		&batchv1.Job{}: {Transform: cache.TransformStripManagedFields()},
	}}
}
