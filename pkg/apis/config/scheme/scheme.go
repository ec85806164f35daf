// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scheme teaches Kubernetes' scheduler configuration about Auriga.
//
// Importing it makes the arguments of Auriga's plugins, and of those that it
// takes from sigs.k8s.io/scheduler-plugins, known wherever the scheduler reads
// a KubeSchedulerConfiguration. That has no effect on configurations that do
// not name these plugins.
//
// [AddDefaults] changes what a configuration means when it leaves a field out,
// so that a second scheduler cannot take the default scheduler's Lease or pods.
// It is a call and not a side effect of the import, because some processes
// also contain the stock scheduler, which must keep its own defaults.
package scheme

import (
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	schedconfigv1 "k8s.io/kube-scheduler/config/v1"
	schedscheme "k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	upstreamv1 "k8s.io/kubernetes/pkg/scheduler/apis/config/v1"
	"k8s.io/utils/ptr"
	pluginsscheme "sigs.k8s.io/scheduler-plugins/apis/config/scheme"

	"auriga.dev/auriga/pkg/apis/config"
	v1 "auriga.dev/auriga/pkg/apis/config/v1"
	"auriga.dev/auriga/pkg/apis/names"
)

// Client limits, in requests a second, where the configuration states none.
// The stock 50 caps a scheduler that does two writes a pod at 25 pods a second.
const (
	DefaultQPS   = 500
	DefaultBurst = 1000
)

// The scheduler's options read these two schemes and nothing else, and offer
// no way to pass another one.
func init() {
	AddToScheme(schedscheme.Scheme)
	AddToScheme(upstreamv1.GetPluginArgConversionScheme())
}

// AddToScheme adds the scheduler's configuration types and the plugin arguments
// of scheduler-plugins and Auriga to a scheme.
func AddToScheme(scheme *runtime.Scheme) {
	// Upstream's types come along, because scheduler-plugins registers its own
	// in upstream's builders.
	pluginsscheme.AddToScheme(scheme)
	utilruntime.Must(config.AddToScheme(scheme))
	utilruntime.Must(v1.AddToScheme(scheme))
}

// New returns a fresh scheme with all types and Auriga's defaults.
func New() *runtime.Scheme {
	scheme := runtime.NewScheme()
	AddToScheme(scheme)
	AddDefaults(scheme)
	return scheme
}

// AddDefaults makes a KubeSchedulerConfiguration that is decoded with the
// scheme default to a scheduler of its own: own Lease, own scheduler name,
// and client limits that do not throttle it. All else defaults as upstream.
func AddDefaults(scheme *runtime.Scheme) {
	scheme.AddTypeDefaultingFunc(&schedconfigv1.KubeSchedulerConfiguration{}, func(obj any) {
		cfg := obj.(*schedconfigv1.KubeSchedulerConfiguration)
		// First ours: upstream fills every field that is still empty.
		setDefaults(cfg)
		upstreamv1.SetObjectDefaults_KubeSchedulerConfiguration(cfg)
	})
}

func setDefaults(cfg *schedconfigv1.KubeSchedulerConfiguration) {
	election := &cfg.LeaderElection
	if election.LeaderElect == nil {
		election.LeaderElect = ptr.To(true)
	}
	if election.ResourceName == "" {
		election.ResourceName = names.Lease
	}
	if election.ResourceNamespace == "" {
		election.ResourceNamespace = names.Namespace
	}

	if cfg.ClientConnection.QPS == 0 {
		cfg.ClientConnection.QPS = DefaultQPS
	}
	if cfg.ClientConnection.Burst == 0 {
		cfg.ClientConnection.Burst = DefaultBurst
	}

	// Only a single profile has an obvious name; validation asks for the others'.
	if len(cfg.Profiles) == 0 {
		cfg.Profiles = []schedconfigv1.KubeSchedulerProfile{{}}
	}
	if len(cfg.Profiles) == 1 && cfg.Profiles[0].SchedulerName == nil {
		cfg.Profiles[0].SchedulerName = ptr.To(names.Scheduler)
	}
}
