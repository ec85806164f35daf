// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"
	tracingapi "k8s.io/component-base/tracing/api/v1"
)

func TestReadTracingConfig(t *testing.T) {
	const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\n"
	for name, tc := range map[string]struct {
		content string
		wantErr []string
	}{
		"complete":      {head + "endpoint: localhost:4317\nsamplingRatePerMillion: 1000000\n", nil},
		"empty":         {head, nil},
		"v1beta1":       {strings.Replace(head, "/v1", "/v1beta1", 1), nil},
		"unknown field": {head + "endpont: x\n", []string{"tracing.yaml", `unknown field "endpont"`}},
		"rate too high": {head + "samplingRatePerMillion: 1000001\n", []string{"tracing.yaml", "samplingRatePerMillion", "1000001"}},
		"negative rate": {head + "samplingRatePerMillion: -1\n", []string{"tracing.yaml", "samplingRatePerMillion", "-1"}},
		"http":          {head + "endpoint: http://x:4317\n", []string{"tracing.yaml", "endpoint", "http://x:4317"}},
		"another kind":  {"apiVersion: v1\nkind: Pod\n", []string{"tracing.yaml", "Pod", "TracingConfiguration"}},
		"nothing":       {"", []string{"tracing.yaml", "TracingConfiguration"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tracing.yaml")
			if err := os.WriteFile(path, []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := ReadTracingConfig(path)
			if (err != nil) != (tc.wantErr != nil) {
				t.Fatalf("error %v, want one with %q", err, tc.wantErr)
			}
			for _, part := range tc.wantErr {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error should contain %q: %v", part, err)
				}
			}
		})
	}
	if _, err := ReadTracingConfig("../../config/tracing.yaml"); err != nil {
		t.Errorf("the example: %v", err)
	}
	if _, err := ReadTracingConfig("/none.yaml"); err == nil || !strings.Contains(err.Error(), "/none.yaml") {
		t.Errorf("a missing file: error %v", err)
	}
}

func TestSampler(t *testing.T) {
	rate := func(n int32) Sampler { return NewSampler(&tracingapi.TracingConfiguration{SamplingRatePerMillion: &n}) }
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for name, tc := range map[string]struct {
		sampler Sampler
		parent  string
		want    bool
		valid   bool
	}{
		"all":                          {rate(1_000_000), "", true, false},
		"none":                         {rate(0), "", false, false},
		"no rate":                      {NewSampler(nil), "", false, false},
		"sampled parent, no rate":      {Sampler{}, "00-" + trace + "-" + span + "-01", true, true},
		"unsampled parent, all":        {rate(1_000_000), "00-" + trace + "-" + span + "-00", false, true},
		"malformed parent is ignored":  {rate(1_000_000), "00-xyz", true, false},
		"parent of zeros is ignored":   {Sampler{}, "00-" + strings.Repeat("0", 32) + "-" + span + "-01", false, false},
		"endless annotation is no one": {Sampler{}, strings.Repeat("0", 10_000), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u", Annotations: map[string]string{}}}
			if tc.parent != "" {
				pod.Annotations["auriga.dev/traceparent"] = tc.parent
			}
			parent, got := tc.sampler.Sample(pod)
			if got != tc.want || parent.IsValid() != tc.valid {
				t.Errorf("sampled %v with parent %v, want %v, valid %v", got, parent, tc.want, tc.valid)
			}
		})
	}

	sampled := 0
	for i := range 100_000 {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: types.UID(fmt.Sprintf("9f8b1c5e-0000-4000-8000-%012d", i))}}
		if _, ok := rate(10_000).Sample(pod); ok {
			sampled++
		}
	}
	if sampled < 800 || sampled > 1200 { // 1000 +- 6 standard deviations
		t.Errorf("%d of 100000 pods sampled, want about 1000", sampled)
	}
}

// A collector that accepts connections and never answers delays nobody.
func TestHangingCollector(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	})
	endpoint := listener.Addr().String()
	registry := metrics.NewKubeRegistry()
	provider, err := NewProvider(t.Context(), "test", &tracingapi.TracingConfiguration{Endpoint: &endpoint}, registry.Register)
	if err != nil {
		t.Fatal(err)
	}

	const spans = 3 * spanQueue
	tracer := provider.Tracer("test")
	begin := time.Now()
	for range spans {
		_, span := tracer.Start(t.Context(), "span")
		span.End()
	}
	// The time that it would take if but one span waited.
	if took := time.Since(begin); took >= exportTimeout {
		t.Errorf("ending spans took %v", took)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begin = time.Now()
	if err := provider.Shutdown(ctx); err == nil {
		t.Error("shutting down says that all was sent")
	}
	if took := time.Since(begin); took >= exportTimeout {
		t.Errorf("shutting down took %v", took)
	}
	dropped, err := testutil.GetCounterMetricValue(provider.out.dropped.WithLabelValues(droppedQueueFull))
	if err != nil || dropped != spans-spanQueue {
		t.Errorf("%v spans dropped at the full queue (%v), want %d", dropped, err, spans-spanQueue)
	}
	left, err := testutil.GetCounterMetricValue(provider.out.dropped.WithLabelValues(droppedShutdown))
	if err != nil || left == 0 {
		t.Errorf("%v spans dropped at the end (%v), want some", left, err)
	}
}

// A collector that is down costs the spans, and says so once.
func TestNoCollector(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	provider, err := NewProvider(t.Context(), "test", &tracingapi.TracingConfiguration{Endpoint: &endpoint}, metrics.NewKubeRegistry().Register)
	if err != nil {
		t.Fatal(err)
	}
	_, span := provider.Tracer("test").Start(t.Context(), "span")
	span.End()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := provider.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	dropped, err := testutil.GetCounterMetricValue(provider.out.dropped.WithLabelValues(droppedExport))
	if err != nil || dropped != 1 {
		t.Errorf("%v spans dropped (%v), want 1", dropped, err)
	}
}

func TestQueueTime(t *testing.T) {
	registry := metrics.NewKubeRegistry()
	q, err := NewQueueTime(registry.Register)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 * TenantLimit {
		q.Observe(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprint(i)}}, time.Second)
	}
	q.Observe(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "0"}}, -time.Second) // a clock that was set back
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "cicd_job_queue_time_seconds" {
			continue
		}
		if got := len(family.GetMetric()); got != TenantLimit+1 {
			t.Errorf("%d series, want %d", got, TenantLimit+1)
		}
		for _, m := range family.GetMetric() {
			if m.GetHistogram().GetSampleSum() < 0 {
				t.Errorf("a negative time: %v", m)
			}
		}
		return
	}
	t.Error("cicd_job_queue_time_seconds is not there")
}
