// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"time"

	"sigs.k8s.io/yaml"
)

const (
	// metricsPath is where kwok serves the series of one simulated node, see
	// kwok.yaml. kwok keeps one set of series a node: there can be no second path.
	metricsPath = "/metrics/nodes/{nodeName}/metrics"
	// componentInterval is how often the control plane's own metrics are read:
	// thousands of series that change slowly.
	componentInterval = 30 * time.Second
	// discoveryInterval is how often Prometheus asks kwok for new nodes.
	discoveryInterval = 5 * time.Second
	// retention is how long samples are kept; demos and tests take minutes.
	retention = "3h"
)

// scraping says how Prometheus is run.
type scraping struct {
	binary   string
	interval time.Duration
	rules    []string // absolute paths
}

func (l layout) prometheusProcess() ProcessSpec {
	address := fmt.Sprintf("127.0.0.1:%d", l.ports.prometheus)
	return ProcessSpec{
		Name: prometheus, Path: l.scrape.binary, Port: l.ports.prometheus,
		HealthURL: "http://" + address + "/-/ready", Nice: othersNice, disposable: true,
		Args: []string{
			"--config.file=" + l.config(prometheus),
			"--storage.tsdb.path=" + filepath.Join(l.dir, "prometheus"),
			"--storage.tsdb.retention.time=" + retention,
			"--web.listen-address=" + address,
			"--log.level=warn",
		},
	}
}

// prometheusConfig is written as what YAML decodes to: Prometheus' own types
// would bring all of Prometheus into this module.
func (l layout) prometheusConfig() ([]byte, error) {
	kwokAddress := fmt.Sprintf("127.0.0.1:%d", l.ports.kwok)
	credentials := map[string]any{
		"ca_file": l.cert(clusterCA), "cert_file": l.cert(prometheus), "key_file": l.key(prometheus),
	}
	component := func(name string, port int) map[string]any {
		return map[string]any{
			"job_name": name, "scheme": "https", "tls_config": credentials, "scrape_interval": componentInterval.String(),
			"static_configs": []any{map[string]any{"targets": []string{fmt.Sprintf("127.0.0.1:%d", port)}}},
		}
	}
	config := map[string]any{
		"global": map[string]any{
			"scrape_interval": l.scrape.interval.String(), "evaluation_interval": l.scrape.interval.String(),
			// No longer than the interval: Prometheus refuses that.
			"scrape_timeout": min(l.scrape.interval, 10*time.Second).String(),
		},
		"scrape_configs": []any{
			map[string]any{
				"job_name":       prometheus,
				"static_configs": []any{map[string]any{"targets": []string{fmt.Sprintf("127.0.0.1:%d", l.ports.prometheus)}}},
			},
			map[string]any{
				"job_name":       kwok,
				"static_configs": []any{map[string]any{"targets": []string{kwokAddress}}},
			},
			component(kubeScheduler, l.ports.scheduler),
			component(kubeControllerManager, l.ports.controllerManager),
			nodeJob(kwokAddress),
			map[string]any{
				// The job of each is the name that AddScrapeTarget got.
				"job_name":      "added",
				"tls_config":    credentials,
				"authorization": map[string]any{"credentials_file": l.token(prometheus)},
				"file_sd_configs": []any{map[string]any{
					"files": []string{filepath.Join(l.targets(), "*.json")}, "refresh_interval": discoveryInterval.String(),
				}},
			},
		},
	}
	if len(l.scrape.rules) > 0 {
		config["rule_files"] = l.scrape.rules
	}
	return yaml.Marshal(config)
}

// nodeJob reads what kwok says about each simulated node. As with
// kube-prometheus, the instance is the node's name; the label node is the same.
func nodeJob(kwokAddress string) map[string]any {
	// Prometheus anchors its regular expressions.
	ofNode := regexp.MustCompile(`\{nodeName\}`).ReplaceAllLiteralString(metricsPath, "([^/]+)")
	name := func(label string) map[string]any {
		return map[string]any{"source_labels": []string{"__metrics_path__"}, "regex": ofNode, "target_label": label}
	}
	return map[string]any{
		"job_name": "node-exporter",
		// Compressing costs kwok more than loopback saves.
		"enable_compression": false,
		"http_sd_configs": []any{map[string]any{
			"url": "http://" + kwokAddress + "/discovery/prometheus", "refresh_interval": discoveryInterval.String(),
		}},
		"relabel_configs": []any{
			map[string]any{"source_labels": []string{"__metrics_path__"}, "regex": ofNode, "action": "keep"},
			name("instance"), name("node"),
			map[string]any{"regex": "metrics_name", "action": "labeldrop"},
		},
		// kwok cannot leave a series out: those marked so are of pods that have ended.
		"metric_relabel_configs": []any{
			map[string]any{"source_labels": []string{"drop"}, "regex": "true", "action": "drop"},
			map[string]any{"regex": "drop", "action": "labeldrop"},
		},
	}
}

// PrometheusURL is where Prometheus answers queries.
func (c *Cluster) PrometheusURL() string {
	return fmt.Sprintf("http://127.0.0.1:%d", c.layout.ports.prometheus)
}

// targetName is what can be a file's name and a job's.
var targetName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// AddScrapeTarget lets Prometheus scrape endpoint, such as
// https://127.0.0.1:10259/metrics, as the job of that name; a second call with
// the name replaces the first. An https server needs a certificate of the
// cluster's authority (see ServingCertificate). Prometheus shows it a client
// certificate of the user auriga-local:prometheus and a token of a
// ServiceAccount; both may get /metrics. It notices the target within seconds.
func (c *Cluster) AddScrapeTarget(name, endpoint string, labels map[string]string) error {
	if !targetName.MatchString(name) {
		return fmt.Errorf("add a scrape target: %q is not a name: want lower-case letters, digits and dashes", name)
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return fmt.Errorf("add the scrape target %s: %w", name, err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Path == "" {
		return fmt.Errorf("add the scrape target %s: %q: want http(s)://host:port/path", name, endpoint)
	}
	all := map[string]string{"job": name, "__scheme__": u.Scheme, "__metrics_path__": u.Path}
	for label, value := range labels {
		all[label] = value
	}
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	data, err := json.Marshal([]group{{Targets: []string{u.Host}, Labels: all}})
	if err != nil {
		return fmt.Errorf("add the scrape target %s: %w", name, err)
	}
	if err := writeFileAtomic(filepath.Join(c.layout.targets(), name+".json"), data); err != nil {
		return fmt.Errorf("add the scrape target %s: %w", name, err)
	}
	return nil
}
