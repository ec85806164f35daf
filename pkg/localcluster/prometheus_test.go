// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestPrometheusConfig(t *testing.T) {
	l := layout{
		files: files{"/data"}, ports: ports{kwok: 7, prometheus: 8, scheduler: 9, controllerManager: 10},
		scrape: scraping{interval: 15 * time.Second, rules: []string{"/rules.yaml"}},
	}
	data, err := l.prometheusConfig()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Global struct {
			Interval string `json:"scrape_interval"`
			Timeout  string `json:"scrape_timeout"`
		}
		Rules []string `json:"rule_files"`
		Jobs  []struct {
			Name string `json:"job_name"`
		} `json:"scrape_configs"`
	}
	if err := yaml.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if got.Global.Interval != "15s" || got.Global.Timeout != "10s" {
		t.Errorf("interval %s, timeout %s; want 15s, 10s", got.Global.Interval, got.Global.Timeout)
	}
	if diff := cmp.Diff([]string{"/rules.yaml"}, got.Rules); diff != "" {
		t.Errorf("rule files (-want +got)\n%s", diff)
	}
	var jobs []string
	for _, j := range got.Jobs {
		jobs = append(jobs, j.Name)
	}
	want := []string{"prometheus", "kwok", "kube-scheduler", "kube-controller-manager", "node-exporter", "added"}
	if diff := cmp.Diff(want, jobs); diff != "" {
		t.Errorf("jobs (-want +got)\n%s", diff)
	}
	for _, part := range []string{"/metrics/nodes/([^/]+)/metrics", "http://127.0.0.1:7/discovery/prometheus", "/data/etc/prometheus-targets/*.json"} {
		if !strings.Contains(string(data), part) {
			t.Errorf("no %q in\n%s", part, data)
		}
	}
}

func TestAddScrapeTarget(t *testing.T) {
	c := &Cluster{layout: layout{files: files{t.TempDir()}}}
	if err := c.layout.mkdirs(); err != nil {
		t.Fatal(err)
	}
	if err := c.AddScrapeTarget("auriga-scheduler", "https://127.0.0.1:10259/metrics", map[string]string{"namespace": "auriga-system"}); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(c.layout.targets(), "auriga-scheduler.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"targets":["127.0.0.1:10259"],"labels":{"__metrics_path__":"/metrics","__scheme__":"https","job":"auriga-scheduler","namespace":"auriga-system"}}]`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, wrong := range [][2]string{
		{"../x", "http://127.0.0.1:1/metrics"}, {"", "http://127.0.0.1:1/metrics"},
		{"x", "127.0.0.1:1"}, {"x", "http://127.0.0.1:1"}, {"x", "ftp://127.0.0.1/metrics"}, {"x", "http://%zz"},
	} {
		if err := c.AddScrapeTarget(wrong[0], wrong[1], nil); err == nil {
			t.Errorf("the name %q and the URL %q were accepted", wrong[0], wrong[1])
		}
	}
}
