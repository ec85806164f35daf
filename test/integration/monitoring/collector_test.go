// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip" // what the collector sends is compressed
	"k8s.io/apimachinery/pkg/util/wait"

	"auriga.dev/auriga/test/fixtures"
)

// collectorDeadline bounds every wait for the collector.
const collectorDeadline = 30 * time.Second

// backend is where the collector sends traces.
type backend struct {
	collectorpb.UnimplementedTraceServiceServer
	mu       sync.Mutex
	spans    map[string]bool
	clusters map[string]bool
}

func (b *backend) Export(_ context.Context, request *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		for _, attribute := range resource.GetResource().GetAttributes() {
			if attribute.GetKey() == "k8s.cluster.name" {
				b.clusters[attribute.GetValue().GetStringValue()] = true
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				b.spans[span.GetName()] = true
			}
		}
	}
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

// names are those of the spans that have come.
func (b *backend) names() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var names []string
	for name := range b.spans {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestCollector runs a real collector with the file that we ship: traces of pods
// that failed or waited are kept, of the rest as many as was asked for.
func TestCollector(t *testing.T) {
	for keep, want := range map[string][]string{"0": {"failed", "slow"}, "100": {"failed", "ordinary", "slow"}} {
		t.Run("keep "+keep+" percent", func(t *testing.T) {
			traces := &backend{spans: map[string]bool{}, clusters: map[string]bool{}}
			listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := grpc.NewServer()
			collectorpb.RegisterTraceServiceServer(server, traces)
			served := make(chan error, 1)
			go func() { served <- server.Serve(listener) }()
			t.Cleanup(func() {
				server.Stop()
				if err := <-served; err != nil {
					t.Error(err)
				}
			})

			send(t, startCollector(t, listener.Addr().String(), keep))
			// All three go in one request, and are decided about together.
			var got []string
			if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, collectorDeadline, true, func(context.Context) (bool, error) {
				got = traces.names()
				return len(got) >= len(want), nil
			}); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("traces that came (-want +got):\n%s", diff)
			}
			if !traces.clusters["ci"] {
				t.Errorf("the traces are not marked as the cluster's: %v", traces.clusters)
			}
		})
	}
}

// startCollector runs the collector until the test ends, and returns where it
// takes traces.
func startCollector(t *testing.T, endpoint, keep string) string {
	t.Helper()
	ports := freePorts(t, 2)
	receives, health := fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	// Merged over the file: free ports, and no long wait for late spans.
	overlay := filepath.Join(t.TempDir(), "overlay.yaml")
	if err := os.WriteFile(overlay, fmt.Appendf(nil, `
receivers: {otlp: {protocols: {grpc: {endpoint: %q}}}}
extensions: {health_check: {endpoint: %q}}
processors: {tail_sampling: {decision_wait: 1s}, batch: {timeout: 10ms}}
service: {telemetry: {metrics: {level: none}}}
`, receives, health), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(fixtures.Binary(t, "tools/otelcol"),
		"--config="+filepath.Join(fixtures.Root(t), "manifests", "monitoring", "otel-collector.yaml"), "--config="+overlay)
	cmd.Env = append(os.Environ(), "TRACES_ENDPOINT="+endpoint, "TRACES_INSECURE=true", "CLUSTER_NAME=ci", "KEEP_PERCENT="+keep)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var ending error // once ended is closed
	go func() {
		defer close(ended)
		ending = cmd.Wait()
	}()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("ending the collector: %v", err)
		}
		select {
		case <-ended:
		case <-time.After(collectorDeadline):
			t.Error("the collector did not end")
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
			<-ended
		}
		if ending != nil {
			t.Errorf("the collector: %v", ending)
		}
		if t.Failed() {
			t.Logf("the collector:\n%s", log.String())
		}
	})
	client := &http.Client{Timeout: time.Second}
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, collectorDeadline, true, func(ctx context.Context) (bool, error) {
		select {
		case <-ended:
			return false, errors.New("it has ended")
		default:
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+health, nil)
		if err != nil {
			return false, err
		}
		response, err := client.Do(request)
		if err != nil {
			return false, nil //nolint:nilerr // it does not listen yet
		}
		return response.StatusCode == http.StatusOK, response.Body.Close()
	}); err != nil {
		t.Fatalf("the collector is not ready: %v", err)
	}
	return receives
}

// send sends three traces of one span each.
func send(t *testing.T, address string) {
	t.Helper()
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := connection.Close(); err != nil {
			t.Error(err)
		}
	})
	began := time.Now()
	span := func(id byte, name string, took time.Duration, status tracepb.Status_StatusCode) *tracepb.Span {
		return &tracepb.Span{
			TraceId: bytes.Repeat([]byte{id}, 16), SpanId: bytes.Repeat([]byte{id}, 8), Name: name,
			StartTimeUnixNano: uint64(began.UnixNano()), EndTimeUnixNano: uint64(began.Add(took).UnixNano()),
			Status: &tracepb.Status{Code: status},
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), collectorDeadline)
	defer cancel()
	if _, err := collectorpb.NewTraceServiceClient(connection).Export(ctx, &collectorpb.ExportTraceServiceRequest{
		ResourceSpans: []*tracepb.ResourceSpans{{
			Resource: &resourcepb.Resource{Attributes: []*commonpb.KeyValue{{Key: "service.name",
				Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: "auriga-scheduler"}}}}},
			ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{
				span(1, "ordinary", 20*time.Millisecond, tracepb.Status_STATUS_CODE_OK),
				span(2, "failed", 20*time.Millisecond, tracepb.Status_STATUS_CODE_ERROR),
				span(3, "slow", 150*time.Millisecond, tracepb.Status_STATUS_CODE_OK),
			}}},
		}},
	}); err != nil {
		t.Fatal(err)
	}
}
