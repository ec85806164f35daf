// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	corev1 "k8s.io/api/core/v1"
	schedconfigv1 "k8s.io/kube-scheduler/config/v1"
	"k8s.io/utils/ptr"

	"auriga.dev/auriga/pkg/apis/config"
)

const (
	defaultResourceWeight = 1
	defaultLocalityWeight = 1
	// defaultCostLimit lets a policy use a few hundred operations per worker,
	// and stops one that loops.
	defaultCostLimit = 10000
)

// SetDefaults_WorkerSelectionArgs fills in what the user left out.
func SetDefaults_WorkerSelectionArgs(args *WorkerSelectionArgs) { //nolint:revive // the generators call functions of this name
	if args.Strategy == "" {
		args.Strategy = WorkerSelectionStrategy(config.LeastLoaded)
	}
	if len(args.Resources) == 0 {
		args.Resources = []schedconfigv1.ResourceSpec{
			{Name: string(corev1.ResourceCPU), Weight: defaultResourceWeight},
			{Name: string(corev1.ResourceMemory), Weight: defaultResourceWeight},
		}
	}
	for i := range args.Resources {
		// A missing weight cannot be told from 0 here, and upstream's own
		// arguments read it as 1; the validator reads the raw file and refuses
		// a written 0.
		if args.Resources[i].Weight == 0 {
			args.Resources[i].Weight = defaultResourceWeight
		}
	}
	if args.Strategy == WorkerSelectionStrategy(config.LocalityAware) && args.Locality == nil {
		args.Locality = &LocalityOptions{}
	}
	if l := args.Locality; l != nil {
		if l.ImageWeight == nil {
			l.ImageWeight = ptr.To[int64](defaultLocalityWeight)
		}
		if l.ZoneWeight == nil {
			l.ZoneWeight = ptr.To[int64](defaultLocalityWeight)
		}
	}
	if c := args.Custom; c != nil && c.CostLimit == nil {
		c.CostLimit = ptr.To[int64](defaultCostLimit)
	}
}
