// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"auriga.dev/auriga/test/fixtures"
)

const operator = "monitoring.coreos.com/v1"

// TestMonitoringIsOffByDefault: the operator's resources need its CRDs, which
// not every cluster has.
func TestMonitoringIsOffByDefault(t *testing.T) {
	objects := render(t)
	for _, kind := range []string{"PrometheusRule", "ServiceMonitor"} {
		if found := objects.find(kind); len(found) > 0 {
			t.Errorf("%d of kind %s", len(found), kind)
		}
	}
}

// TestPrometheusRule: it has what the files say, with this installation's job,
// and Prometheus can read it.
func TestPrometheusRule(t *testing.T) {
	found := render(t, "--set", "fullnameOverride=ci", "--set", "metrics.prometheusRule.enabled=true",
		"--set", "metrics.prometheusRule.labels.release=prometheus").find("PrometheusRule")
	if len(found) != 1 || found[0].GetAPIVersion() != operator || found[0].GetName() != "ci-scheduler" || found[0].GetLabels()["release"] != "prometheus" {
		t.Fatalf("%+v", found)
	}
	groups, _, err := unstructured.NestedSlice(found[0].Object, "spec", "groups")
	if err != nil {
		t.Fatal(err)
	}
	var want []any
	paths, err := filepath.Glob(chart + "/files/rules/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths { // sorted, as Helm does
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), `job=~".*auriga.*"`) {
			t.Errorf("%s has no job for the chart to replace", path)
		}
		var file map[string]any
		if err := yaml.Unmarshal([]byte(strings.ReplaceAll(string(data), `job=~".*auriga.*"`, `job="ci-scheduler-metrics"`)), &file); err != nil {
			t.Fatal(err)
		}
		want = append(want, file["groups"].([]any)...)
	}
	if diff := gocmp.Diff(want, groups); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	data, err := yaml.Marshal(map[string]any{"groups": groups})
	if err != nil {
		t.Fatal(err)
	}
	rendered := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rendered, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := command(t, nil, fixtures.Binary(t, "tools/promtool"), "check", "rules", rendered); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestJobOfRules: the job that the rules are given is what the operator calls
// that of the chart's ServiceMonitors, the name of the Service.
func TestJobOfRules(t *testing.T) {
	service := one[corev1.Service](t, render(t), "Service")
	if service.Name != "auriga-scheduler-metrics" {
		t.Errorf("the Service is %s: change the job in templates/monitoring.yaml, too", service.Name)
	}
}

func TestDashboards(t *testing.T) {
	found := render(t, "--set", "metrics.dashboards.enabled=true", "--set", "metrics.dashboards.annotations.grafana_folder=CI").find("ConfigMap")
	got := map[string]string{}
	for _, object := range found {
		configMap := as[corev1.ConfigMap](t, object)
		if configMap.Labels["grafana_dashboard"] != "1" {
			continue
		}
		if configMap.Annotations["grafana_folder"] != "CI" {
			t.Errorf("%s: annotations %v", configMap.Name, configMap.Annotations)
		}
		for file, data := range configMap.Data {
			var dashboard struct{ UID string }
			if err := json.Unmarshal([]byte(data), &dashboard); err != nil {
				t.Errorf("%s: %v", configMap.Name, err)
			}
			original, err := os.ReadFile(filepath.Join(chart, "files", "dashboards", strings.TrimPrefix(file, "auriga-")))
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(string(original)) != data {
				t.Errorf("%s is not what the file says", configMap.Name)
			}
			got[configMap.Name] = dashboard.UID
		}
	}
	if diff := gocmp.Diff(map[string]string{
		"auriga-dashboard-capacity": "auriga-capacity", "auriga-dashboard-scheduler": "auriga-scheduler", "auriga-dashboard-tenants": "auriga-tenants",
	}, got); diff != "" {
		t.Errorf("dashboards (-want +got):\n%s", diff)
	}
}

func TestPodRequests(t *testing.T) {
	found := render(t, "--set", "metrics.podRequests.enabled=true").find("ServiceMonitor")
	if len(found) != 1 || found[0].GetName() != "auriga-scheduler-requests" {
		t.Fatalf("%+v", found)
	}
	endpoints, _, err := unstructured.NestedSlice(found[0].Object, "spec", "endpoints")
	if err != nil || len(endpoints) != 1 {
		t.Fatalf("%v, %v", endpoints, err)
	}
	if endpoint := endpoints[0].(map[string]any); endpoint["path"] != "/metrics/resources" || endpoint["port"] != "https" {
		t.Errorf("endpoint %v", endpoint)
	}
}

// TestMonitoringLint: all of it at once, and what the schema of the values refuses.
func TestMonitoringLint(t *testing.T) {
	all := []string{"--set", "metrics.serviceMonitor.enabled=true,metrics.podRequests.enabled=true,metrics.prometheusRule.enabled=true,metrics.dashboards.enabled=true"}
	if out, err := command(t, nil, fixtures.Binary(t, "tools/helm"), append([]string{"lint", "--strict", "--kube-version", "1.35.8", chart}, all...)...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	for _, wrong := range []string{"metrics.prometheusRule.enable=true", "metrics.dashboards.labels=null", "metrics.podRequests.interval=often"} {
		if _, err := template(t, append(all, "--set", wrong)...); err == nil {
			t.Errorf("accepted %s", wrong)
		}
	}
}
