// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"time"

	"github.com/prometheus/common/model"

	"auriga.dev/auriga/pkg/capacity"
)

// Config says what to ask whom, and which series is which node's. A zero field
// stands for its default: see WithDefaults.
type Config struct {
	// Address is the base URL of what speaks Prometheus' HTTP API:
	// http(s)://host:port, with a path if it is served under one. Required.
	Address string
	// HTTPConfigFile names a file in Prometheus' own http_config format: TLS,
	// basic auth, bearer token, OAuth 2, proxy. "" is plain HTTP.
	HTTPConfigFile string

	// PollInterval is how often all signals are asked for, give or take a tenth.
	// Default: 15 s. At least 1 s.
	PollInterval time.Duration
	// QueryTimeout is how long an answer may take. Default: 10 s.
	QueryTimeout time.Duration
	// MaxResponseBytes is the most that is read of one answer, unpacked. Default:
	// 64 MiB, which is some 300,000 series.
	MaxResponseBytes int64
	// RateWindow is the [window] of the default queries; it wants at least four
	// scrapes in it. Default: 1 min.
	RateWindow time.Duration
	// BurstWindow is the time whose polls Burst is the 95th percentile of.
	// Default: 5 min. 16 bytes are kept of each poll in it, node and signal.
	BurstWindow time.Duration

	// Queries replace default queries by resource; "" switches a resource off. A
	// query is PromQL that answers one series a node, with a value in the unit of
	// the resource and the label that NodeMapping names.
	Queries map[capacity.Resource]string
	// AgeQuery answers, by node, how many seconds ago it was scraped, by the clock
	// of the source. Where it answers nothing, nothing else is taken either:
	// nobody knows how old it is. nil is the default, which asks for the time of
	// node_memory_MemAvailable_bytes; "" is none: answers count as measured when
	// they arrive.
	AgeQuery *string
	// NodeMapping says which series is which node's.
	NodeMapping NodeMapping
	// History asks for what workloads used.
	History History
}

// Match is what of a node a label's value is compared with.
type Match string

// What a label's value can be.
const (
	// MatchNameOrInternalIP tries the node's name, then its addresses of types
	// InternalIP and Hostname.
	MatchNameOrInternalIP Match = "NameOrInternalIP"
	MatchName             Match = "Name"
	MatchInternalIP       Match = "InternalIP"
)

// NodeMapping maps a series to its node.
type NodeMapping struct {
	// Label is the label that says whose series it is; the default queries
	// aggregate by it. Default: instance.
	Label string
	// Match is what its value is. Default: MatchNameOrInternalIP.
	Match Match
	// Regexp takes the node out of the value: its first capture group (RE2, not
	// anchored). Series that it does not match belong to no node. "" takes the
	// value without a trailing :port.
	Regexp string
}

// History asks, seldom, for what the pods of each workload used. Both queries
// answer one series a workload: labels namespace and workload (the value of the
// pod label capacity.LabelWorkload), or namespace, owner_kind and owner_name
// (as kube_pod_owner has them). The zero History stands for DefaultHistory; of
// any other an empty query is off, so History{Interval: time.Hour} asks nothing.
type History struct {
	// Interval is how often. Default: 5 min. At least 10 s.
	Interval time.Duration
	// CPU answers cores a pod, Memory bytes a pod.
	CPU, Memory string
}

// DefaultHistory is the 90th percentile of what pods of a workload used over the
// last hour, by what controls them, from the series of cAdvisor and
// kube-state-metrics.
func DefaultHistory() History {
	return History{
		Interval: 5 * time.Minute,
		CPU:      historyQuery(`sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{container!="",container!="POD"}[5m]))`),
		Memory:   historyQuery(`sum by (namespace, pod) (container_memory_working_set_bytes{container!="",container!="POD"})`),
	}
}

// WithDefaults fills what is zero. It changes nothing of what c refers to.
func (c Config) WithDefaults() Config {
	defaultTo(&c.PollInterval, 15*time.Second)
	defaultTo(&c.QueryTimeout, 10*time.Second)
	defaultTo(&c.MaxResponseBytes, 64<<20)
	defaultTo(&c.RateWindow, time.Minute)
	defaultTo(&c.BurstWindow, 5*time.Minute)
	defaultTo(&c.NodeMapping.Label, "instance")
	defaultTo(&c.NodeMapping.Match, MatchNameOrInternalIP)
	if c.History == (History{}) {
		c.History = DefaultHistory()
	}
	defaultTo(&c.History.Interval, 5*time.Minute)
	queries := defaultQueries(c.NodeMapping.Label, c.RateWindow)
	maps.Copy(queries, c.Queries)
	c.Queries = queries
	if c.AgeQuery == nil {
		age := defaultAgeQuery(c.NodeMapping.Label)
		c.AgeQuery = &age
	}
	return c
}

func defaultTo[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate checks a Config with its defaults filled in. Each error names the
// field, its value and what would be accepted; they are joined.
func (c Config) Validate() error {
	var errs []error
	invalid := func(field string, value any, want string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %q: want %s", field, fmt.Sprint(value), fmt.Sprintf(want, args...)))
	}
	if u, err := url.Parse(c.Address); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		invalid("address", c.Address, "http(s)://host:port, such as http://prometheus.monitoring:9090")
	} else if u.User != nil {
		invalid("address", u.Redacted(), "no user in it: put it into httpConfigFile as basic_auth")
	} else if u.RawQuery != "" || u.Fragment != "" {
		invalid("address", c.Address, "no ? and no # in it")
	}
	atLeast := func(field string, value, least time.Duration) {
		if value < least {
			invalid(field, value, "at least %v", least)
		}
	}
	atLeast("pollInterval", c.PollInterval, time.Second)
	atLeast("queryTimeout", c.QueryTimeout, time.Millisecond)
	atLeast("rateWindow", c.RateWindow, time.Second)
	atLeast("burstWindow", c.BurstWindow, c.PollInterval)
	atLeast("history.interval", c.History.Interval, 10*time.Second)
	if c.MaxResponseBytes < 1<<10 {
		invalid("maxResponseBytes", c.MaxResponseBytes, "at least 1024")
	}
	asked := false
	for r, query := range c.Queries {
		if r < 0 || r >= capacity.NumResources {
			invalid("queries", r, "cpu, memory, disk, network, gpu, gpuMemory or power")
		}
		asked = asked || query != ""
	}
	if !asked {
		invalid("queries", c.Queries, "at least one that is not empty")
	}
	return errors.Join(append(errs, c.NodeMapping.validate())...)
}

func (m NodeMapping) validate() error {
	var errs []error
	if !model.LegacyValidation.IsValidLabelName(m.Label) {
		errs = append(errs, fmt.Errorf("nodeMapping.label: %q: want the name of a label, such as instance or node", m.Label))
	}
	switch m.Match {
	case MatchNameOrInternalIP, MatchName, MatchInternalIP:
	default:
		errs = append(errs, fmt.Errorf("nodeMapping.match: %q: want %s, %s or %s", m.Match, MatchNameOrInternalIP, MatchName, MatchInternalIP))
	}
	if re, err := regexp.Compile(m.Regexp); err != nil {
		errs = append(errs, fmt.Errorf("nodeMapping.regexp: %q: %w: want a regular expression (RE2) with a capture group, such as ^([^.:]+)", m.Regexp, err))
	} else if m.Regexp != "" && re.NumSubexp() < 1 {
		errs = append(errs, fmt.Errorf("nodeMapping.regexp: %q: want a capture group, such as ^([^.:]+)", m.Regexp))
	}
	return errors.Join(errs...)
}
