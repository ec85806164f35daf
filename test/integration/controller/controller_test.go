// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/controllers/nodeprofile"
)

const (
	nonrotational = "feature.node.kubernetes.io/storage-nonrotationaldisk"
	gpuProduct    = "nvidia.com/gpu.product"
)

// prometheus is one that can be down: then its port refuses connections.
type prometheus struct {
	t       *testing.T
	address string
	server  *http.Server

	mu    sync.Mutex
	disks map[string]string // worker -> device
}

// newPrometheus chooses an address and is down.
func newPrometheus(t *testing.T) *prometheus {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &prometheus{t: t, address: listener.Addr().String(), disks: map[string]string{}}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.down)
	return p
}

func (p *prometheus) up() {
	p.t.Helper()
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go p.server.Serve(listener) //nolint:errcheck // it ends with Close
}

func (p *prometheus) down() {
	if p.server != nil {
		if err := p.server.Close(); err != nil {
			p.t.Error(err)
		}
		p.server = nil
	}
}

func (p *prometheus) set(node, device string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disks[node] = device
}

// ServeHTTP answers every instant query with the disks.
func (p *prometheus) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	series := ""
	for node, device := range p.disks {
		if series != "" {
			series += ","
		}
		series += fmt.Sprintf(`{"metric":{"node":%q,"device":%q,"rotational":"0"},"value":[1,"1"]}`, node, device)
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, series) //nolint:errcheck // the client will say it
}

func isOne(m *dto.Metric) bool { return m.GetGauge().GetValue() == 1 }

func TestController(t *testing.T) {
	b := start(t)
	b.node(t, "plain", map[string]string{corev1.LabelTopologyZone: "zone-1", corev1.LabelTopologyRegion: "region-1", nonrotational: "true"})
	b.node(t, "gpu", map[string]string{
		gpuProduct: "NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu.count": "8", "nvidia.com/gpu.memory": "81920",
		names.LabelGPUModel: "mine",
	})
	t.Run("default queries", func(t *testing.T) { b.defaultQueries(t) })
	prom := newPrometheus(t)
	flags := []string{"--prometheus-address=http://" + prom.address, "--power-query="}
	c := b.run(t, flags...)

	// Prometheus is down, and everything else is there.
	b.wantLabels(t, "plain", map[string]string{
		names.LabelCPUArch: "amd64", names.LabelZone: "zone-1", names.LabelRegion: "region-1", names.LabelStorage: "ssd",
	})
	b.wantLabels(t, "gpu", map[string]string{
		names.LabelGPUModel: "mine", names.LabelGPUCount: "8", names.LabelGPUMemoryMiB: "81920", names.LabelStorage: "",
	})
	b.wantOwner(t, "plain")
	down := func(m *dto.Metric) bool { return m.GetGauge().GetValue() == 0 }
	c.wantSeries(t, "auriga_node_profile_source_up", map[string]string{"signal": "storage"}, down)
	c.wantSeries(t, "auriga_node_profile_info", map[string]string{
		"node": "plain", "arch": "amd64", "storage": "ssd", "zone": "zone-1", "region": "region-1", "gpu_model": ""}, isOne)
	c.wantSeries(t, "auriga_node_profile_info", map[string]string{"node": "gpu", "gpu_model": "mine", "gpu_count": "8"}, isOne)
	c.wantSeries(t, "auriga_node_profile_foreign_labels", map[string]string{"label": names.LabelGPUModel}, isOne)

	t.Run("metrics need permission", func(t *testing.T) {
		if _, status, err := c.scrape(t.Context(), ""); err != nil || status != http.StatusUnauthorized {
			t.Errorf("anonymous: %d, %v, want 401", status, err)
		}
		if _, status, err := c.scrape(t.Context(), "wrong"); err != nil || status == http.StatusOK {
			t.Errorf("with a wrong token: %d, %v", status, err)
		}
	})
	t.Run("somebody else's label", func(t *testing.T) {
		eventually(t, func(ctx context.Context) error {
			events, err := b.client.EventsV1().Events("").List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			for _, event := range events.Items {
				if event.Reason == "ProfileLabelKept" && event.Regarding.Name == "gpu" {
					return nil
				}
			}
			return fmt.Errorf("no event about it among %d", len(events.Items))
		})
		// Removing it gives it to us, setting it takes it away again.
		b.label(t, "gpu", map[string]any{names.LabelGPUModel: nil})
		b.wantLabels(t, "gpu", map[string]string{names.LabelGPUModel: "NVIDIA-A100-SXM4-80GB"})
		b.label(t, "gpu", map[string]any{names.LabelGPUModel: "other"})
		c.wantSeries(t, "auriga_node_profile_foreign_labels", map[string]string{"label": names.LabelGPUModel}, isOne)
		b.wantLabels(t, "gpu", map[string]string{names.LabelGPUModel: "other"})
	})
	t.Run("a source that says nothing any more", func(t *testing.T) {
		b.label(t, "gpu", map[string]any{"nvidia.com/gpu.memory": nil})
		b.wantLabels(t, "gpu", map[string]string{names.LabelGPUMemoryMiB: "", names.LabelGPUCount: "8"})
	})
	t.Run("a worker that goes", func(t *testing.T) {
		b.node(t, "short-lived", nil)
		c.wantSeries(t, "auriga_node_profile_info", map[string]string{"node": "short-lived", "arch": "amd64"}, isOne)
		if err := b.client.CoreV1().Nodes().Delete(t.Context(), "short-lived", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, func(ctx context.Context) error {
			families, _, err := c.scrape(ctx, b.token)
			if err == nil && series(families, "auriga_node_profile_info", map[string]string{"node": "short-lived"}) != nil {
				err = fmt.Errorf("its profile is still exported")
			}
			return err
		})
		if _, err := b.client.CoreV1().Nodes().Get(t.Context(), "short-lived", metav1.GetOptions{}); err == nil {
			t.Error("the worker is there again")
		}
	})

	// Prometheus comes, and what it says outlives it, and the controller too.
	prom.set("plain", "nvme0n1")
	prom.up()
	b.wantLabels(t, "plain", map[string]string{names.LabelStorage: "nvme"})
	c.wantSeries(t, "auriga_node_profile_source_up", map[string]string{"signal": "storage"}, isOne)
	c.wantSeries(t, "auriga_node_profile_source_matched_nodes", map[string]string{"signal": "storage"}, isOne)
	prom.down()
	c.wantSeries(t, "auriga_node_profile_source_up", map[string]string{"signal": "storage"}, down)
	b.wantLabels(t, "plain", map[string]string{names.LabelStorage: "nvme"})

	t.Run("jobs", func(t *testing.T) { b.jobs(t, c) })

	c.stop(t)
	c = b.run(t, flags...)
	// It has worked through all nodes once it knows a change made meanwhile.
	c.wantSeries(t, "auriga_node_profile_source_up", map[string]string{"signal": "storage"}, down)
	b.label(t, "plain", map[string]any{corev1.LabelTopologyZone: "zone-2"})
	b.wantLabels(t, "plain", map[string]string{names.LabelZone: "zone-2", names.LabelStorage: "nvme"})
	families, _, err := c.scrape(t.Context(), b.token)
	if err != nil {
		t.Fatal(err)
	}
	if m := series(families, "cicd_job_duration_seconds", nil); m != nil {
		t.Errorf("jobs that ended before the start are counted again: %v", m)
	}
	c.stop(t)
}

// defaultQueries: the real Prometheus understands them.
func (b *bench) defaultQueries(t *testing.T) {
	client, err := api.NewClient(api.Config{Address: b.PrometheusURL()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	for _, query := range []string{nodeprofile.DefaultStorageQuery, nodeprofile.DefaultPowerQuery} {
		value, _, err := promv1.NewAPI(client).Query(ctx, query, time.Now())
		if err != nil {
			t.Errorf("%s: %v", query, err)
		} else if value.Type() != model.ValVector {
			t.Errorf("%s: a %s", query, value.Type())
		}
	}
}

// wantOwner checks that the labels belong to the profiler alone, by apply.
func (b *bench) wantOwner(t *testing.T, name string) {
	t.Helper()
	node, err := b.client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range node.ManagedFields {
		if entry.Manager == names.FieldManagerNodeProfiler && entry.Operation == metav1.ManagedFieldsOperationApply {
			return
		}
	}
	t.Errorf("no server-side apply by %s: %+v", names.FieldManagerNodeProfiler, node.ManagedFields)
}

// jobs runs a Job and a pod to their ends on the simulated workers. The stock
// scheduler does not serve the name, so the test binds the pods.
func (b *bench) jobs(t *testing.T, c *controller) {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	pods := b.client.CoreV1().Pods(namespace)
	watcher, err := pods.Watch(ctx, metav1.ListOptions{FieldSelector: "spec.schedulerName=" + names.Scheduler + ",spec.nodeName="})
	if err != nil {
		t.Fatal(err)
	}
	bound := make(chan error, 1)
	go func() {
		for event := range watcher.ResultChan() {
			pod, ok := event.Object.(*corev1.Pod)
			if !ok || event.Type != watch.Added {
				continue
			}
			if err := pods.Bind(ctx, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: pod.Name},
				Target: corev1.ObjectReference{Kind: "Node", Name: "plain"}}, metav1.CreateOptions{}); err != nil {
				bound <- err
				return
			}
		}
		bound <- nil
	}()

	spec := corev1.PodSpec{
		SchedulerName: names.Scheduler, RestartPolicy: corev1.RestartPolicyNever,
		Containers: []corev1.Container{{Name: "main", Image: "registry.invalid/x"}},
	}
	labels := map[string]string{names.LabelTenant: "blue", names.LabelPipeline: "run-1"}
	if _, err := b.client.BatchV1().Jobs(namespace).Create(ctx, &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "build", Labels: labels},
		Spec:       batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: spec}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "lint", Labels: labels, Annotations: map[string]string{names.AnnotationRunDuration: "1s"}}, Spec: spec,
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.wantSeries(t, "cicd_job_duration_seconds", map[string]string{"tenant": "blue", "priority": "other", "result": "succeeded"},
		func(m *dto.Metric) bool { return m.GetHistogram().GetSampleCount() == 2 })
	c.wantSeries(t, "cicd_pipeline_success_rate", map[string]string{"tenant": "blue"}, isOne)
	watcher.Stop()
	if err := <-bound; err != nil {
		t.Error(err)
	}
}
