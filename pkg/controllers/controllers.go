// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"auriga.dev/auriga/pkg/controllers/jobmetrics"
	"auriga.dev/auriga/pkg/controllers/nodeprofile"
	"auriga.dev/auriga/pkg/controllers/utilization"
)

// Config is what the controllers are told.
type Config struct {
	NodeProfile nodeprofile.SourceConfig
	Jobs        jobmetrics.Config
	// Utilization gives the readings of the workers. Nil: none, and then there
	// is no utilization.
	Utilization utilization.Read
}

// Add registers all controllers, and their metrics in the registry. None starts
// before the manager does.
func Add(mgr manager.Manager, c Config, registry prometheus.Registerer) error {
	for _, controller := range []struct {
		name string
		add  func() error
	}{
		{nodeprofile.Name, func() error { return nodeprofile.Add(mgr, c.NodeProfile, registry) }},
		{"job-metrics", func() error { return jobmetrics.Add(mgr, c.Jobs, registry) }},
		{"pool-utilization", func() error {
			if c.Utilization == nil {
				return nil
			}
			return registry.Register(utilization.NewCollector(c.Utilization, mgr.Elected()))
		}},
	} {
		if err := controller.add(); err != nil {
			return fmt.Errorf("controller %s: %w", controller.name, err)
		}
	}
	return nil
}

// CacheOptions say what the controllers need of the objects that they watch:
// nodes without what nobody reads, and of the pods, if one scheduler's are
// wanted, only those.
func CacheOptions(c Config) cache.Options {
	pods := cache.ByObject{Transform: cache.TransformStripManagedFields()}
	if len(c.Jobs.Schedulers) == 1 {
		pods.Field = fields.OneTermEqualSelector("spec.schedulerName", c.Jobs.Schedulers[0])
	}
	return cache.Options{ByObject: map[client.Object]cache.ByObject{
		&corev1.Node{}: {Transform: nodeprofile.Trim},
		&corev1.Pod{}:  pods,
		&batchv1.Job{}: {Transform: cache.TransformStripManagedFields()},
	}}
}
