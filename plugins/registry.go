// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package plugins lists the scheduler plugins that Auriga adds to
// kube-scheduler's own. Start reading here: each plugin is one package beside
// this file, and none knows another.
package plugins

import (
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"sigs.k8s.io/scheduler-plugins/pkg/capacityscheduling"
	"sigs.k8s.io/scheduler-plugins/pkg/coscheduling"

	"auriga.dev/auriga/plugins/realcapacity"
	"auriga.dev/auriga/plugins/workerselection"
)

// Registry returns the plugins by the names under which a profile enables
// them. Each call makes a new map.
func Registry() frameworkruntime.Registry {
	return frameworkruntime.Registry{
		// Ours.
		realcapacity.Name:    realcapacity.New,    // who is really free: ceilings and scores on measured load
		workerselection.Name: workerselection.New, // which worker is best: seven strategies

		// Those of sigs.k8s.io/scheduler-plugins, unchanged.
		coscheduling.Name:       coscheduling.New,       // gangs: all of a PodGroup or none
		capacityscheduling.Name: capacityscheduling.New, // ElasticQuota: borrow what others leave
	}
}
