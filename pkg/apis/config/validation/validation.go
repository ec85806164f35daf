// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package validation says what is wrong with plugin arguments: internal,
// defaulted arguments go in, errors that name the field, its value and what
// would be accepted come out. It changes nothing and reads nothing else. Every
// message states what is accepted after "must be", so that programs can show
// it in a column of its own.
package validation

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"
	v1helper "k8s.io/kubernetes/pkg/apis/core/v1/helper"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"

	"auriga.dev/auriga/pkg/apis/config"
	"auriga.dev/auriga/pkg/score/expression"
)

const (
	maxWeight    = 100
	maxCostLimit = 1_000_000
)

// ValidateWorkerSelectionArgs returns nil or the aggregate of
// WorkerSelectionArgsErrors.
func ValidateWorkerSelectionArgs(path *field.Path, args *config.WorkerSelectionArgs) error {
	return WorkerSelectionArgsErrors(path, args).ToAggregate()
}

// WorkerSelectionArgsErrors lists everything that is wrong with the arguments
// found at path.
func WorkerSelectionArgsErrors(path *field.Path, args *config.WorkerSelectionArgs) field.ErrorList {
	var errs field.ErrorList
	switch args.Strategy {
	case config.LeastLoaded, config.MostFree, config.ResourceBalance, config.BinPacking,
		config.RoundRobin, config.LocalityAware, config.Custom:
	default:
		errs = append(errs, field.NotSupported(path.Child("strategy"), args.Strategy, []config.WorkerSelectionStrategy{
			config.LeastLoaded, config.MostFree, config.ResourceBalance, config.BinPacking,
			config.RoundRobin, config.LocalityAware, config.Custom,
		}))
	}
	errs = append(errs, resourceErrors(path.Child("resources"), args.Resources)...)
	errs = append(errs, localityErrors(path.Child("locality"), args)...)
	errs = append(errs, customErrors(path.Child("custom"), args)...)
	return errs
}

func resourceErrors(path *field.Path, resources []schedconfig.ResourceSpec) field.ErrorList {
	var errs field.ErrorList
	if len(resources) == 0 {
		errs = append(errs, field.Required(path, "must be at least one resource"))
	}
	seen := sets.New[string]()
	for i, r := range resources {
		path := path.Index(i)
		switch {
		case r.Name == "":
			errs = append(errs, field.Required(path.Child("name"), "must be the name of a resource, for example cpu"))
		case !isResourceName(corev1.ResourceName(r.Name)):
			errs = append(errs, field.Invalid(path.Child("name"), r.Name,
				"must be cpu, memory, ephemeral-storage, hugepages-<size> or an extended resource such as nvidia.com/gpu"))
		case seen.Has(r.Name):
			errs = append(errs, field.Duplicate(path.Child("name"), r.Name))
		}
		seen.Insert(r.Name)
		if r.Weight < 1 || r.Weight > maxWeight {
			errs = append(errs, field.Invalid(path.Child("weight"), r.Weight, mustBeBetween(1, maxWeight)))
		}
	}
	return errs
}

// isResourceName tells whether a container can request the resource.
func isResourceName(name corev1.ResourceName) bool {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return true
	}
	return v1helper.IsHugePageResourceName(name) || v1helper.IsExtendedResourceName(name)
}

func localityErrors(path *field.Path, args *config.WorkerSelectionArgs) field.ErrorList {
	if args.Strategy != config.LocalityAware {
		if args.Locality != nil {
			return field.ErrorList{forbidden(path, config.LocalityAware)}
		}
		return nil
	}
	if args.Locality == nil {
		return field.ErrorList{field.Required(path, "must be set for strategy LocalityAware")}
	}
	var errs field.ErrorList
	if w := args.Locality.ImageWeight; w < 0 || w > maxWeight {
		errs = append(errs, field.Invalid(path.Child("imageWeight"), w, mustBeBetween(0, maxWeight)))
	}
	if w := args.Locality.ZoneWeight; w < 0 || w > maxWeight {
		errs = append(errs, field.Invalid(path.Child("zoneWeight"), w, mustBeBetween(0, maxWeight)))
	}
	if args.Locality.ImageWeight == 0 && args.Locality.ZoneWeight == 0 {
		errs = append(errs, field.Invalid(path.Child("imageWeight"), int64(0), "must be positive when zoneWeight is 0"))
	}
	return errs
}

func customErrors(path *field.Path, args *config.WorkerSelectionArgs) field.ErrorList {
	if args.Strategy != config.Custom {
		if args.Custom != nil {
			return field.ErrorList{forbidden(path, config.Custom)}
		}
		return nil
	}
	if args.Custom == nil {
		return field.ErrorList{field.Required(path.Child("expression"), "must be a CEL expression that yields a score from 0 to 100")}
	}
	var errs field.ErrorList
	limit := args.Custom.CostLimit
	if limit < 1 || limit > maxCostLimit {
		errs = append(errs, field.Invalid(path.Child("costLimit"), limit, mustBeBetween(1, maxCostLimit)))
		limit = maxCostLimit // still say what is wrong with the expression
	}
	if args.Custom.Expression == "" {
		errs = append(errs, field.Required(path.Child("expression"), "must be a CEL expression that yields a score from 0 to 100"))
	} else if _, err := expression.Compile(args.Custom.Expression, uint64(limit)); err != nil {
		errs = append(errs, field.Invalid(path.Child("expression"), args.Custom.Expression, err.Error()))
	}
	return errs
}

func forbidden(path *field.Path, strategy config.WorkerSelectionStrategy) *field.Error {
	return field.Forbidden(path, fmt.Sprintf("must be absent unless strategy is %s", strategy))
}

func mustBeBetween(low, high int64) string {
	return fmt.Sprintf("must be %d to %d", low, high)
}

// ValidateRealCapacityArgs returns nil or the aggregate of RealCapacityArgsErrors.
func ValidateRealCapacityArgs(path *field.Path, args *config.RealCapacityArgs) error {
	return RealCapacityArgsErrors(path, args).ToAggregate()
}

// RealCapacityArgsErrors lists everything that is wrong with the arguments
// found at path.
func RealCapacityArgsErrors(path *field.Path, args *config.RealCapacityArgs) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, c := range args.Ceilings {
		path := path.Child("ceilings").Index(i)
		errs = append(errs, measuredNameErrors(path.Child("name"), c.Name, seen)...)
		errs = append(errs, percentErrors(path.Child("percent"), c.Percent, 1)...)
	}
	switch args.OnStale {
	case config.StaleRequests, config.StaleReject, config.StaleIgnore:
	default:
		errs = append(errs, field.NotSupported(path.Child("onStale"), args.OnStale,
			[]config.StalePolicy{config.StaleRequests, config.StaleReject, config.StaleIgnore}))
	}
	errs = append(errs, durationErrors(path.Child("maxAge"), args.MaxAge, time.Second, time.Hour)...)
	seen = sets.New[string]()
	if len(args.Resources) == 0 {
		errs = append(errs, field.Required(path.Child("resources"), "must be at least one of cpu, memory, disk, network"))
	}
	for i, r := range args.Resources {
		path := path.Child("resources").Index(i)
		errs = append(errs, measuredNameErrors(path.Child("name"), r.Name, seen)...)
		errs = append(errs, percentErrors(path.Child("weight"), r.Weight, 1)...)
	}
	errs = append(errs, percentErrors(path.Child("burstPercent"), args.BurstPercent, 0)...)
	if args.NetworkBytesPerSecond < 1 {
		errs = append(errs, field.Invalid(path.Child("networkBytesPerSecond"), args.NetworkBytesPerSecond, "must be at least 1"))
	}
	inFlight := path.Child("inFlight")
	errs = append(errs, durationErrors(inFlight.Child("ramp"), args.InFlight.Ramp, 0, time.Hour)...)
	errs = append(errs, percentErrors(inFlight.Child("cpuPercent"), args.InFlight.CPUPercent, 1)...)
	errs = append(errs, percentErrors(inFlight.Child("memoryPercent"), args.InFlight.MemoryPercent, 1)...)
	return append(errs, prometheusErrors(path.Child("prometheus"), &args.Prometheus)...)
}

func prometheusErrors(path *field.Path, p *config.PrometheusSource) field.ErrorList {
	var errs field.ErrorList
	if p.Address != "" {
		u, err := url.Parse(p.Address)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			errs = append(errs, field.Invalid(path.Child("address"), p.Address, "must be a URL such as http://prometheus.monitoring.svc:9090"))
		}
	}
	errs = append(errs, durationErrors(path.Child("pollInterval"), p.PollInterval, time.Second, 10*time.Minute)...)
	errs = append(errs, durationErrors(path.Child("queryTimeout"), p.QueryTimeout, 100*time.Millisecond, time.Minute)...)
	errs = append(errs, durationErrors(path.Child("rateWindow"), p.RateWindow, 5*time.Second, time.Hour)...)
	errs = append(errs, durationErrors(path.Child("burstWindow"), p.BurstWindow, time.Second, 24*time.Hour)...)
	errs = append(errs, durationErrors(path.Child("history", "interval"), p.History.Interval, time.Minute, 24*time.Hour)...)
	if p.MaxResponseBytes < 1024 {
		errs = append(errs, field.Invalid(path.Child("maxResponseBytes"), p.MaxResponseBytes, "must be at least 1024"))
	}
	signals := []string{"cpu", "memory", "disk", "network", "gpu", "gpuMemory", "power"}
	for _, name := range slices.Sorted(maps.Keys(p.Queries)) {
		if !slices.Contains(signals, name) {
			errs = append(errs, field.NotSupported(path.Child("queries").Key(name), name, signals))
		}
	}
	mapping := path.Child("nodeMapping")
	if p.NodeMapping.Label == "" {
		errs = append(errs, field.Required(mapping.Child("label"), "must be a label of the series, for example instance"))
	}
	switch p.NodeMapping.Match {
	case config.MatchNameOrInternalIP, config.MatchName, config.MatchInternalIP:
	default:
		errs = append(errs, field.NotSupported(mapping.Child("match"), p.NodeMapping.Match,
			[]string{config.MatchNameOrInternalIP, config.MatchName, config.MatchInternalIP}))
	}
	if r := p.NodeMapping.Regexp; r != "" {
		switch compiled, err := regexp.Compile(r); {
		case err != nil:
			errs = append(errs, field.Invalid(mapping.Child("regexp"), r, "must be a regular expression (RE2): "+err.Error()))
		case compiled.NumSubexp() < 1:
			errs = append(errs, field.Invalid(mapping.Child("regexp"), r, "must have a group, for example (.*):[0-9]+"))
		}
	}
	return errs
}

// measuredNameErrors checks a name of what is measured and scored.
func measuredNameErrors(path *field.Path, name string, seen sets.Set[string]) field.ErrorList {
	accepted := []string{"cpu", "memory", "disk", "network"}
	switch {
	case !slices.Contains(accepted, name):
		return field.ErrorList{field.NotSupported(path, name, accepted)}
	case seen.Has(name):
		return field.ErrorList{field.Duplicate(path, name)}
	}
	seen.Insert(name)
	return nil
}

// percentErrors checks a percentage or a weight, which ends at the same number.
func percentErrors(path *field.Path, value, low int64) field.ErrorList {
	if value < low || value > 100 {
		return field.ErrorList{field.Invalid(path, value, mustBeBetween(low, 100))}
	}
	return nil
}

func durationErrors(path *field.Path, value metav1.Duration, low, high time.Duration) field.ErrorList {
	if value.Duration < low || value.Duration > high {
		return field.ErrorList{field.Invalid(path, value.Duration.String(), fmt.Sprintf("must be %s to %s", low, high))}
	}
	return nil
}
