// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"auriga.dev/auriga/pkg/localcluster"
	"auriga.dev/auriga/test/fixtures"
)

// sampledTrace is the trace that the submitter of the sampled pod is in.
const sampledTrace = "4bf92f3577b34da6a3ce929d0e0e4736"

// deadline bounds every wait; generous, for a busy machine.
const deadline = 2 * time.Minute

// receiver is a collector of traces.
type receiver struct {
	collector.UnimplementedTraceServiceServer
	mu    sync.Mutex
	spans []*tracepb.Span
}

func (r *receiver) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// ofSampled returns the spans received so far of the sampled pod's trace, by start.
func (r *receiver) ofSampled() []*tracepb.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	var spans []*tracepb.Span
	for _, s := range r.spans {
		if fmt.Sprintf("%x", s.GetTraceId()) == sampledTrace {
			spans = append(spans, s)
		}
	}
	slices.SortStableFunc(spans, func(a, b *tracepb.Span) int {
		return int(int64(a.GetStartTimeUnixNano()) - int64(b.GetStartTimeUnixNano()))
	})
	return spans
}

// A pod that was bound leaves a complete tree below its submitter's trace, and
// one that was not sampled leaves none.
func TestTraceOfABoundPod(t *testing.T) {
	client, kubeconfig := startCluster(t)
	traces := &receiver{}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, traces)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	startTracedScheduler(t, kubeconfig, listener.Addr().String())

	const parent = "00f067aa0ba902b7"
	createPod(t, client, "unsampled", nil)
	createPod(t, client, "sampled", map[string]string{"auriga.dev/traceparent": "00-" + sampledTrace + "-" + parent + "-01"})
	for _, pod := range []string{"unsampled", "sampled"} {
		eventually(t, pod+" is bound", func(ctx context.Context) (bool, error) {
			p, err := client.CoreV1().Pods("default").Get(ctx, pod, metav1.GetOptions{})
			return err == nil && p.Spec.NodeName != "", err
		})
	}

	var root *tracepb.Span
	eventually(t, "the root span arrives", func(context.Context) (bool, error) {
		spans := traces.ofSampled()
		i := slices.IndexFunc(spans, func(s *tracepb.Span) bool { return s.GetName() == "schedule pod" })
		if i >= 0 {
			root = spans[i]
		}
		return i >= 0, nil
	})
	if got := fmt.Sprintf("%x", root.GetParentSpanId()); got != parent {
		t.Errorf("the root hangs below span %s, want %s", got, parent)
	}
	// The root ends last, so that all the others are here.
	ids := map[string]bool{parent: true}
	for _, s := range traces.ofSampled() {
		ids[fmt.Sprintf("%x", s.GetSpanId())] = true
	}
	var names []string
	for _, s := range traces.ofSampled() {
		names = append(names, s.GetName())
		if !ids[fmt.Sprintf("%x", s.GetParentSpanId())] {
			t.Errorf("%s hangs below a span that is not there", s.GetName())
		}
		if s.GetStartTimeUnixNano() < root.GetStartTimeUnixNano() || s.GetEndTimeUnixNano() > root.GetEndTimeUnixNano() {
			t.Errorf("%s is not within the root span", s.GetName())
		}
	}
	for _, want := range []string{"queue", "attempt", "PreFilter", "Filter", "PreScore", "Score", "Reserve", "Permit", "PreBind", "Bind", "PostBind"} {
		if !slices.Contains(names, want) {
			t.Errorf("no span %q among %q", want, names)
		}
	}
	for _, s := range traces.ofSampled() {
		if s.GetName() != "Filter" {
			continue
		}
		var keys []string
		for _, a := range s.GetAttributes() {
			keys = append(keys, a.GetKey())
		}
		if !slices.Contains(keys, "plugin.NodeResourcesFit.seconds") {
			t.Errorf("Filter does not say how long NodeResourcesFit took: %q", keys)
		}
	}
	traces.mu.Lock()
	defer traces.mu.Unlock()
	for _, s := range traces.spans {
		if fmt.Sprintf("%x", s.GetTraceId()) != sampledTrace {
			t.Errorf("a span of another trace: %s", s.GetName())
		}
	}
}

func startCluster(t *testing.T) (client kubernetes.Interface, kubeconfig string) {
	t.Helper()
	fixtures.Binary(t, "tools/kwok") // auriga-local looks for it there
	cluster, err := localcluster.Start(t.Context(), localcluster.Options{
		Binary: fixtures.Binary(t, "auriga-local"), Log: t.Output(), DataDir: filepath.Join(t.TempDir(), "data"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	config, err := cluster.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	if client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	room := corev1.ResourceList{"cpu": resource.MustParse("4"), "memory": resource.MustParse("8Gi"), "pods": resource.MustParse("110")}
	for i := range 3 {
		name := fmt.Sprintf("worker-%d", i)
		if _, err := client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"}},
			Status:     corev1.NodeStatus{Capacity: room, Allocatable: room},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		// All three, or Score has nothing to do.
		eventually(t, name+" takes pods", func(ctx context.Context) (bool, error) {
			node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
			return err == nil && len(node.Spec.Taints) == 0 && slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
				return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
			}), err
		})
	}
	return client, cluster.Kubeconfig()
}

// startTracedScheduler runs auriga-scheduler with a collector until the test ends.
func startTracedScheduler(t *testing.T, kubeconfig, endpoint string) {
	t.Helper()
	tracing := filepath.Join(t.TempDir(), "tracing.yaml")
	if err := os.WriteFile(tracing, fmt.Appendf(nil, `apiVersion: apiserver.config.k8s.io/v1
kind: TracingConfiguration
endpoint: %q
`, endpoint), 0o600); err != nil {
		t.Fatal(err)
	}
	startScheduler(t, kubeconfig, "", "--tracing-config-file="+tracing)
}

// startScheduler runs auriga-scheduler until the test ends. profiles is the
// rest of its configuration.
func startScheduler(t *testing.T, kubeconfig, profiles string, flags ...string) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "scheduler.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: %q}
leaderElection: {leaderElect: false}
%s`, kubeconfig, profiles), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd := exec.Command(fixtures.Binary(t, "auriga-scheduler"), append([]string{"--config=" + config,
		"--secure-port=0", "--authentication-skip-lookup"}, flags...)...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("ending the scheduler: %v", err)
		}
		select {
		case err := <-ended:
			t.Logf("the scheduler ended: %v", err)
		case <-time.After(deadline):
			t.Error("the scheduler did not end")
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			t.Logf("the scheduler was killed: %v", <-ended)
		}
		if t.Failed() {
			t.Logf("auriga-scheduler:\n%s", log.String())
		}
	})
}

func createPod(t *testing.T, client kubernetes.Interface, name string, annotations map[string]string) {
	t.Helper()
	if _, err := client.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
		Spec: corev1.PodSpec{SchedulerName: "auriga", Containers: []corev1.Container{{Name: "c", Image: "none",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("100m")}}}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, condition wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, deadline, true, condition); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}
