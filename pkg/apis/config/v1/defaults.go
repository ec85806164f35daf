// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

	defaultCPUCeiling    = 90
	defaultMemoryCeiling = 85
	defaultBurstPercent  = 30
	// defaultNetwork is 10 Gbit/s in bytes.
	defaultNetwork = 1_250_000_000
	// What a request is used of where nobody knows better: the usual margins of
	// CPU, which can be shared, and of memory, which cannot.
	defaultCPUPercent    = 70
	defaultMemoryPercent = 80
	defaultMaxResponse   = 64 << 20
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

// SetDefaults_RealCapacityArgs fills in what the user left out.
func SetDefaults_RealCapacityArgs(args *RealCapacityArgs) { //nolint:revive // the generators call functions of this name
	if len(args.Ceilings) == 0 {
		args.Ceilings = []ResourceCeiling{
			{Name: string(corev1.ResourceCPU), Percent: defaultCPUCeiling},
			{Name: string(corev1.ResourceMemory), Percent: defaultMemoryCeiling},
		}
	}
	if args.OnStale == "" {
		args.OnStale = StalePolicy(config.StaleRequests)
	}
	setDuration(&args.MaxAge, time.Minute)
	if len(args.Resources) == 0 {
		for _, name := range []string{"cpu", "memory", "disk", "network"} {
			args.Resources = append(args.Resources, schedconfigv1.ResourceSpec{Name: name, Weight: defaultResourceWeight})
		}
	}
	for i := range args.Resources {
		if args.Resources[i].Weight == 0 {
			args.Resources[i].Weight = defaultResourceWeight
		}
	}
	if args.BurstPercent == nil {
		args.BurstPercent = ptr.To[int64](defaultBurstPercent)
	}
	setNumber(&args.NetworkBytesPerSecond, defaultNetwork)
	if args.InFlight.Ramp == nil {
		args.InFlight.Ramp = &metav1.Duration{Duration: time.Minute}
	}
	setNumber(&args.InFlight.CPUPercent, defaultCPUPercent)
	setNumber(&args.InFlight.MemoryPercent, defaultMemoryPercent)

	p := &args.Prometheus
	setDuration(&p.PollInterval, 15*time.Second)
	setDuration(&p.QueryTimeout, 10*time.Second)
	setNumber(&p.MaxResponseBytes, defaultMaxResponse)
	setDuration(&p.RateWindow, time.Minute)
	setDuration(&p.BurstWindow, 5*time.Minute)
	if p.NodeMapping.Label == "" {
		p.NodeMapping.Label = "instance"
	}
	if p.NodeMapping.Match == "" {
		p.NodeMapping.Match = config.MatchNameOrInternalIP
	}
	setDuration(&p.History.Interval, 5*time.Minute)
}

func setDuration(d *metav1.Duration, otherwise time.Duration) {
	if d.Duration == 0 {
		d.Duration = otherwise
	}
}

func setNumber(n *int64, otherwise int64) {
	if *n == 0 {
		*n = otherwise
	}
}
