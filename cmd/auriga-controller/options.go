// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/controllers/jobmetrics"
	"auriga.dev/auriga/pkg/controllers/nodeprofile"
)

// options are the values of the flags.
type options struct {
	kubeconfig string
	qps        float32 // requests per second
	burst      int

	leaderElect    bool
	leaseName      string
	leaseNamespace string

	metricsAddress string
	probeAddress   string
	certFile       string
	keyFile        string

	prometheusAddress string
	prometheusConfig  string
	profileInterval   time.Duration
	storageQuery      string
	powerQuery        string

	pollInterval      time.Duration
	rateWindow        time.Duration
	maxAge            time.Duration
	nodeMappingLabel  string
	nodeMappingRegexp string
	cpuQuery          string
	memoryQuery       string
	ageQuery          string
	inFlightRamp      time.Duration
	inFlightCPU       int // percent
	inFlightMemory    int // percent

	schedulers           []string
	successWindow        time.Duration
	poolLabel            string
	reclaimCPUCeiling    int // percent
	reclaimMemoryCeiling int // percent
}

// noQuery is the value of a flag whose empty value is the default query.
const noQuery = "none"

func defaultOptions() *options {
	return &options{
		// The first pass over a cluster writes every Node once; after that
		// there is little to do.
		qps: 100, burst: 200,
		leaderElect: true, leaseName: names.ControllerLease, leaseNamespace: names.Namespace,
		metricsAddress: ":10260", probeAddress: ":10261",
		profileInterval: 5 * time.Minute,
		storageQuery:    nodeprofile.DefaultStorageQuery,
		powerQuery:      nodeprofile.DefaultPowerQuery,
		pollInterval:    15 * time.Second,
		rateWindow:      time.Minute,
		maxAge:          time.Minute,
		// The series of node_exporter.
		nodeMappingLabel: "instance",
		inFlightRamp:     time.Minute,
		inFlightCPU:      70, inFlightMemory: 80,
		schedulers:        []string{names.Scheduler},
		successWindow:     jobmetrics.DefaultWindow,
		poolLabel:         names.LabelPool,
		reclaimCPUCeiling: 90, reclaimMemoryCeiling: 85,
	}
}

func (o *options) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig, "kubeconfig file; without it, the service account of the pod it runs in")
	f.Float32Var(&o.qps, "kube-api-qps", o.qps, "requests to the API server per second")
	f.IntVar(&o.burst, "kube-api-burst", o.burst, "requests to the API server that may exceed --kube-api-qps for a moment")

	f.BoolVar(&o.leaderElect, "leader-elect", o.leaderElect, "work only while elected; needed with more than one replica")
	f.StringVar(&o.leaseName, "leader-elect-resource-name", o.leaseName, "name of the Lease")
	f.StringVar(&o.leaseNamespace, "leader-elect-resource-namespace", o.leaseNamespace, "namespace of the Lease")

	f.StringVar(&o.metricsAddress, "metrics-bind-address", o.metricsAddress, "address of the metrics, over HTTPS with authentication and authorization; 0 for none")
	f.StringVar(&o.probeAddress, "health-probe-bind-address", o.probeAddress, "address of /livez and /readyz, over HTTP; 0 for none")
	f.StringVar(&o.certFile, "tls-cert-file", o.certFile, "certificate of the metrics, PEM, read again when it changes; without it, a self-signed one")
	f.StringVar(&o.keyFile, "tls-private-key-file", o.keyFile, "private key of --tls-cert-file, PEM")

	f.StringVar(&o.prometheusAddress, "prometheus-address", o.prometheusAddress, "URL of Prometheus, such as http://prometheus:9090; without it, profiles are made from the cluster alone, and nothing is measured")
	f.StringVar(&o.prometheusConfig, "prometheus-http-config-file", o.prometheusConfig, "how to reach Prometheus (authorization, TLS, proxy): a file in the format of Prometheus' http_config")
	f.DurationVar(&o.profileInterval, "profile-interval", o.profileInterval, "time between two questions to Prometheus about the workers' hardware")
	f.StringVar(&o.storageQuery, "storage-query", o.storageQuery, "PromQL for the disks of all workers: series with the labels device and rotational; empty for none")
	f.StringVar(&o.powerQuery, "power-query", o.powerQuery, "PromQL for the highest power of all workers' processors in watts; empty for none")

	f.DurationVar(&o.pollInterval, "poll-interval", o.pollInterval, "time between two questions to Prometheus about the workers' load")
	f.DurationVar(&o.rateWindow, "rate-window", o.rateWindow, "time over which the use of CPU is a mean; at least four scrapes")
	f.DurationVar(&o.maxAge, "max-age", o.maxAge, "how old a reading may be; without a younger one a worker is judged by requests")
	f.StringVar(&o.nodeMappingLabel, "node-mapping-label", o.nodeMappingLabel, "label of Prometheus' series that says which worker they are of")
	f.StringVar(&o.nodeMappingRegexp, "node-mapping-regexp", o.nodeMappingRegexp, "regular expression whose first group is the worker's name or address in --node-mapping-label; without it, the value without a port")
	f.StringVar(&o.cpuQuery, "cpu-query", o.cpuQuery, "PromQL for the cores in use, by worker, a mean over --rate-window; empty for that of node_exporter")
	f.StringVar(&o.memoryQuery, "memory-query", o.memoryQuery, "PromQL for the bytes of memory in use, by worker; empty for that of node_exporter")
	f.StringVar(&o.ageQuery, "age-query", o.ageQuery, "PromQL for the age of the last sample in seconds, by worker; empty for that of node_exporter, "+noQuery+" if an answer is as old as it takes to arrive")
	f.DurationVar(&o.inFlightRamp, "in-flight-ramp", o.inFlightRamp, "time after its start until a pod's use shows in a sample; --rate-window or more")
	f.IntVar(&o.inFlightCPU, "in-flight-cpu-percent", o.inFlightCPU, "share of its requested CPU that a pod uses of which nothing better is known, in percent")
	f.IntVar(&o.inFlightMemory, "in-flight-memory-percent", o.inFlightMemory, "share of its requested memory that a pod uses of which nothing better is known, in percent")

	f.StringSliceVar(&o.schedulers, "scheduler-name", o.schedulers, "schedulerName whose jobs are measured and whose reclaimed pods may be evicted; repeatable")
	f.IntVar(&o.reclaimCPUCeiling, "reclaim-cpu-ceiling", o.reclaimCPUCeiling, "share of a worker's CPU above which its reclaimed pods give way, in percent; as cpu in the ceilings of RealCapacity")
	f.IntVar(&o.reclaimMemoryCeiling, "reclaim-memory-ceiling", o.reclaimMemoryCeiling, "share of a worker's memory above which its reclaimed pods give way, in percent; as memory in the ceilings of RealCapacity")
	f.DurationVar(&o.successWindow, "success-window", o.successWindow, "time over which cicd_pipeline_success_rate is taken")
	f.StringVar(&o.poolLabel, "pool-label", o.poolLabel, "node label that names a worker's pool; workers without it are in the pool default")
}

// refusal says what is wrong with the value of a flag.
func refusal(flag string, value any, accepted string) error {
	return fmt.Errorf("--%s=%v: must be %s", flag, value, accepted)
}

// validate says everything that is wrong with the flags.
func (o *options) validate() []error {
	return slices.Concat(o.validateCluster(), o.validateServing(), o.validatePrometheus(), o.validateControllers())
}

func (o *options) validateCluster() (errs []error) {
	if o.qps <= 0 {
		errs = append(errs, refusal("kube-api-qps", o.qps, "more than 0"))
	}
	if o.burst < 1 {
		errs = append(errs, refusal("kube-api-burst", o.burst, "1 or more"))
	}
	if !o.leaderElect {
		return errs
	}
	if len(validation.IsDNS1123Subdomain(o.leaseName)) > 0 {
		errs = append(errs, refusal("leader-elect-resource-name", o.leaseName, "the name of a Lease: lower-case letters, digits, '-' and '.'"))
	}
	if len(validation.IsDNS1123Label(o.leaseNamespace)) > 0 {
		errs = append(errs, refusal("leader-elect-resource-namespace", o.leaseNamespace, "the name of a namespace: lower-case letters, digits and '-'"))
	}
	return errs
}

func (o *options) validateServing() (errs []error) {
	for _, address := range []struct{ flag, value string }{
		{"metrics-bind-address", o.metricsAddress}, {"health-probe-bind-address", o.probeAddress},
	} {
		if _, _, err := net.SplitHostPort(address.value); err != nil && address.value != "0" {
			errs = append(errs, refusal(address.flag, address.value, "HOST:PORT or :PORT, or 0 for none"))
		}
	}
	if (o.certFile == "") != (o.keyFile == "") {
		errs = append(errs, fmt.Errorf("--tls-cert-file=%s and --tls-private-key-file=%s: give both or neither", o.certFile, o.keyFile))
	}
	return errs
}

func (o *options) validatePrometheus() []error {
	switch {
	case o.prometheusAddress != "":
		if u, err := url.Parse(o.prometheusAddress); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return []error{refusal("prometheus-address", o.prometheusAddress, "a URL with http or https and a host, such as http://prometheus:9090")}
		}
	case o.prometheusConfig != "":
		return []error{fmt.Errorf("--prometheus-http-config-file=%s: has no meaning without --prometheus-address", o.prometheusConfig)}
	}
	errs := atLeast(time.Second, []durationFlag{
		{"poll-interval", o.pollInterval}, {"rate-window", o.rateWindow}, {"max-age", o.maxAge},
	})
	if o.inFlightRamp < o.rateWindow {
		errs = append(errs, refusal("in-flight-ramp", o.inFlightRamp, fmt.Sprintf("--rate-window (%s) or more", o.rateWindow)))
	}
	if !model.LegacyValidation.IsValidLabelName(o.nodeMappingLabel) {
		errs = append(errs, refusal("node-mapping-label", o.nodeMappingLabel, "the name of a label, such as instance or node"))
	}
	if re, err := regexp.Compile(o.nodeMappingRegexp); err != nil || o.nodeMappingRegexp != "" && re.NumSubexp() < 1 {
		errs = append(errs, refusal("node-mapping-regexp", o.nodeMappingRegexp, `a regular expression with a group, such as ^([^.:]+)`))
	}
	errs = append(errs, isPercent("in-flight-cpu-percent", o.inFlightCPU)...)
	return append(errs, isPercent("in-flight-memory-percent", o.inFlightMemory)...)
}

type durationFlag struct {
	flag  string
	value time.Duration
}

func atLeast(least time.Duration, flags []durationFlag) (errs []error) {
	for _, f := range flags {
		if f.value < least {
			errs = append(errs, refusal(f.flag, f.value, fmt.Sprintf("%s or more", least)))
		}
	}
	return errs
}

func isPercent(flag string, value int) []error {
	if value < 1 || value > 100 {
		return []error{refusal(flag, value, "1 to 100")}
	}
	return nil
}

func (o *options) validateControllers() (errs []error) {
	errs = atLeast(time.Second, []durationFlag{{"profile-interval", o.profileInterval}, {"success-window", o.successWindow}})
	errs = append(errs, isPercent("reclaim-cpu-ceiling", o.reclaimCPUCeiling)...)
	errs = append(errs, isPercent("reclaim-memory-ceiling", o.reclaimMemoryCeiling)...)
	if len(o.schedulers) == 0 || slices.Contains(o.schedulers, "") {
		errs = append(errs, refusal("scheduler-name", `""`, "a schedulerName, given at least once"))
	}
	if len(validation.IsQualifiedName(o.poolLabel)) > 0 {
		errs = append(errs, refusal("pool-label", o.poolLabel, "the name of a label, such as "+names.LabelPool))
	}
	return errs
}
