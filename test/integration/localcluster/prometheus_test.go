// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/localcluster"
)

// query is an instant query's result by the value of one label.
func query(ctx context.Context, base, promQL, label string) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/query?query="+url.QueryEscape(promQL), nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written
	var answer struct {
		Error string
		Data  struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", promQL, response.Status, answer.Error)
	}
	found := map[string]float64{}
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, err
		}
		found[r.Metric[label]] = value
	}
	return found, nil
}

// TestPrometheus: a real one scrapes node_exporter's series of every simulated
// node, and they follow what the pods on it declare.
func TestPrometheus(t *testing.T) {
	cluster := start(t, localcluster.Options{ScrapeInterval: time.Second})
	config, err := cluster.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	for _, node := range []string{"busy", "idle"} {
		createNode(t, client, node) // 4 cores, 8 GiB
	}
	// near waits until the query gives each of the values, within 5 %.
	near := func(promQL, label string, want map[string]float64) {
		t.Helper()
		var got map[string]float64
		eventually(t, promQL, func(ctx context.Context) (_ bool, err error) {
			if got, err = query(ctx, cluster.PrometheusURL(), promQL, label); err != nil {
				return false, err
			}
			for key, value := range want {
				if g, ok := got[key]; !ok || math.Abs(g-value) > 0.05*math.Abs(value) {
					return false, nil
				}
			}
			return true, nil
		})
		t.Logf("%s: %v", promQL, got)
	}
	const gib = 1 << 30
	near(`node_memory_MemTotal_bytes`, "instance", map[string]float64{"busy": 8 * gib, "idle": 8 * gib})
	near(`node_memory_MemAvailable_bytes`, "node", map[string]float64{"busy": 8 * gib, "idle": 8 * gib})
	near(`up`, "job", map[string]float64{"prometheus": 1, "kwok": 1, "kube-scheduler": 1, "kube-controller-manager": 1})

	spec := podSpec()
	spec.NodeName = "busy"
	_, err = client.CoreV1().Pods(metav1.NamespaceDefault).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "worker", Labels: map[string]string{"app.kubernetes.io/name": "build"},
			Annotations: map[string]string{names.AnnotationUsage: "cpu=1500m, memory=2Gi,disk=0.25,network=10M,nonsense=1,cpu=x"},
		},
		Spec: spec,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// A window of 10 s has samples of 1 s; it must fill first.
	near(`sum by (instance) (rate(node_cpu_seconds_total{mode!~"idle|iowait"}[10s]))`, "instance", map[string]float64{"busy": 1.5, "idle": 0})
	near(`sum by (instance) (rate(node_cpu_seconds_total[10s]))`, "instance", map[string]float64{"busy": 4, "idle": 4})
	near(`node_memory_MemAvailable_bytes`, "instance", map[string]float64{"busy": 6 * gib, "idle": 8 * gib})
	near(`sum by (instance) (rate(node_disk_io_time_seconds_total[10s]))`, "instance", map[string]float64{"busy": 0.25, "idle": 0})
	near(`sum by (instance) (rate(node_network_receive_bytes_total[10s]))`, "instance", map[string]float64{"busy": 1e7, "idle": 0})
	near(`rate(container_cpu_usage_seconds_total{namespace="default",pod="worker"}[10s])`, "workload", map[string]float64{"build": 1.5})
	near(`container_memory_working_set_bytes{namespace="default",workload="build"}`, "pod", map[string]float64{"worker": 2 * gib})

	// The certificate of the cluster's Prometheus opens a component that is added.
	var scheduler int
	for _, p := range inspect(t, cluster.DataDir()).Processes {
		if p.Name == "kube-scheduler" {
			scheduler = p.Port
		}
	}
	if err := cluster.AddScrapeTarget("later", fmt.Sprintf("https://127.0.0.1:%d/metrics", scheduler), map[string]string{"namespace": "x"}); err != nil {
		t.Fatal(err)
	}
	near(`up{namespace="x"}`, "job", map[string]float64{"later": 1})
}
