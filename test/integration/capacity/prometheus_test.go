// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package capacity runs the capacity informer against the real Prometheus,
// which scrapes what node_exporter, the DCGM exporter, cAdvisor and
// kube-state-metrics would show of a few nodes. It needs bin/tools/prometheus
// (`make build`).
package capacity

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2/ktesting"

	"auriga.dev/auriga/pkg/capacity"
	"auriga.dev/auriga/pkg/capacity/prometheus"
	"auriga.dev/auriga/test/fixtures"
)

// deadline bounds every wait; generous, for a busy machine.
const deadline = 90 * time.Second

const (
	scrapeInterval = time.Second
	rateWindow     = 10 * time.Second
)

// exporter is what the nodes alpha and beta show; counters grow with time.
type exporter struct {
	began time.Time
	mu    sync.Mutex
	// restarted is when beta's counters went back to 0; zero for never.
	restarted time.Time
}

func (e *exporter) restart() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.restarted = time.Now()
}

func (e *exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	restarted := e.restarted
	e.mu.Unlock()
	up := time.Since(e.began).Seconds() + 1e6 // A counter that has come far.
	if r.URL.Path == "/beta" && !restarted.IsZero() {
		up = time.Since(restarted).Seconds()
	}
	show := func(series string, value float64) { _, _ = fmt.Fprintf(w, "%s %v\n", series, value) }
	switch r.URL.Path {
	case "/alpha":
		show(`node_cpu_seconds_total{cpu="0",mode="user"}`, 0.75*up)
		show(`node_cpu_seconds_total{cpu="0",mode="idle"}`, 0.25*up)
		show(`node_cpu_seconds_total{cpu="1",mode="system"}`, 0.5*up)
		show(`node_cpu_seconds_total{cpu="1",mode="iowait"}`, 0.5*up)
		show(`node_memory_MemTotal_bytes`, 8e9)
		show(`node_memory_MemAvailable_bytes`, 5e9)
		show(`node_disk_io_time_seconds_total{device="sda"}`, 0.25*up)
		show(`node_disk_io_time_seconds_total{device="sdb"}`, 0.5*up)
		show(`node_network_receive_bytes_total{device="eth0"}`, 1e6*up)
		show(`node_network_transmit_bytes_total{device="eth0"}`, 2e6*up)
		show(`node_network_receive_bytes_total{device="lo"}`, 9e9*up)
		show(`node_network_transmit_bytes_total{device="veth123"}`, 9e9*up)
		show(`DCGM_FI_DEV_GPU_UTIL{gpu="0"}`, 100)
		show(`DCGM_FI_DEV_GPU_UTIL{gpu="1"}`, 50)
		show(`DCGM_FI_DEV_FB_USED{gpu="0"}`, 1024)
		show(`DCGM_FI_DEV_FB_USED{gpu="1"}`, 2048)
		show(`node_rapl_package_joules_total{index="0"}`, 60*up)
		show(`node_rapl_package_joules_total{index="1"}`, 40*up)
	case "/beta":
		show(`node_cpu_seconds_total{cpu="0",mode="user"}`, 1.5*up)
		show(`node_memory_MemTotal_bytes`, 4e9)
		show(`node_memory_MemAvailable_bytes`, 1e9)
		show(`node_hwmon_power_average_watt{chip="c",sensor="power1"}`, 80)
	case "/cluster":
		show(`container_cpu_usage_seconds_total{namespace="ci",pod="build-1-x",container="main"}`, 0.5*up)
		show(`container_cpu_usage_seconds_total{namespace="ci",pod="build-1-x",container="side"}`, 0.25*up)
		show(`container_memory_working_set_bytes{namespace="ci",pod="build-1-x",container="main"}`, 3e8)
		show(`container_memory_working_set_bytes{namespace="ci",pod="build-1-x",container=""}`, 9e9)
		show(`kube_pod_owner{namespace="ci",pod="build-1-x",owner_kind="Job",owner_name="build-28000000",owner_is_controller="true"}`, 1)
	default:
		http.NotFound(w, r)
	}
}

// server is a Prometheus process that can be stopped and started again.
type server struct {
	t       *testing.T
	folder  string
	address string
	command *exec.Cmd
}

// startPrometheus scrapes the exporter: as alpha and beta by address and port,
// as everyone's node_exporter is.
func startPrometheus(t *testing.T, exporterURL string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, folder: t.TempDir(), address: l.Addr().String()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	target := strings.TrimPrefix(exporterURL, "http://")
	config := fmt.Sprintf(`global: {scrape_interval: %[2]v, scrape_timeout: %[2]v}
scrape_configs:
- job_name: node
  static_configs:
  - {targets: ['%[1]s'], labels: {__metrics_path__: /alpha, instance: '10.0.0.1:9100'}}
  - {targets: ['%[1]s'], labels: {__metrics_path__: /beta, instance: '10.0.0.2:9100'}}
- job_name: cluster
  static_configs:
  - {targets: ['%[1]s'], labels: {__metrics_path__: /cluster}}
`, target, scrapeInterval)
	if err := os.WriteFile(filepath.Join(s.folder, "prometheus.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(s.stop)
	eventually(t, "two scrapes of all", func() error {
		answer, err := get("http://" + s.address + "/api/v1/query?query=" + url.QueryEscape("count(rate({__name__=~\".*_cpu_.*\"}[10s]))"))
		if err == nil && !strings.Contains(answer, `"7"`) {
			err = fmt.Errorf("series = %s", answer)
		}
		return err
	})
	return s
}

func (s *server) start() {
	s.t.Helper()
	s.command = exec.Command(fixtures.Binary(s.t, "tools/prometheus"),
		"--config.file="+filepath.Join(s.folder, "prometheus.yaml"),
		"--storage.tsdb.path="+filepath.Join(s.folder, "data"),
		"--web.listen-address="+s.address, "--log.level=warn")
	s.command.Stdout, s.command.Stderr = s.t.Output(), s.t.Output()
	if err := s.command.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "Prometheus to be ready", func() error {
		_, err := get("http://" + s.address + "/-/ready")
		return err
	})
}

func get(address string) (string, error) {
	response, err := http.Get(address)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", response.Status)
	}
	return string(body), err
}

// stop ends the process that start started, if it still runs.
func (s *server) stop() {
	if s.command == nil {
		return
	}
	_ = s.command.Process.Signal(syscall.SIGTERM)
	_ = s.command.Wait()
	s.command = nil
}

// found is a Tracker that keeps what it is given, and the events.
type found struct {
	mu     sync.Mutex
	nodes  map[string]*capacity.NodeCapacity
	rounds int
	events []string
}

func (f *found) Set(n *capacity.NodeCapacity) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes[n.Name] = n
}

func (f *found) Delete(name string, _ bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.nodes, name)
}

func (f *found) Publish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rounds++
}

func (f *found) record(_, reason, note string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, reason+": "+note)
}

// event waits for one that has both texts.
func (f *found) event(t *testing.T, reason, text string) {
	t.Helper()
	eventually(t, reason, func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, e := range f.events {
			if strings.HasPrefix(e, reason) && strings.Contains(e, text) {
				return nil
			}
		}
		return fmt.Errorf("events = %q, want %s with %q", f.events, reason, text)
	})
}

func (f *found) measure(node string, r capacity.Resource) capacity.Measure {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.nodes[node]; n != nil {
		return n.Measured[r]
	}
	return capacity.Measure{}
}

// settled waits for a fresh mean within 3% of want.
func (f *found) settled(t *testing.T, node string, r capacity.Resource, want float64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s's %v of %v", node, r, want), func() error {
		got := f.measure(node, r).Mean
		if math.Abs(got.Value-want) > 0.03*want || !got.Fresh(time.Now(), 5*time.Second) {
			return fmt.Errorf("mean = %v, %v old", got.Value, got.Age(time.Now()))
		}
		return nil
	})
}

func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	var err error
	if wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, deadline, true, func(context.Context) (bool, error) {
		err = try()
		return err == nil, nil
	}) != nil {
		t.Fatalf("waited %v for %s: %v", deadline, what, err)
	}
}

// run runs an informer of the nodes alpha and beta until the test's end.
func run(t *testing.T, config prometheus.Config) (*prometheus.Informer, *found) {
	t.Helper()
	nodes := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for i, name := range []string{"alpha", "beta"} {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
		n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("10.0.0.%d", i+1)}}
		if err := nodes.Add(n); err != nil {
			t.Fatal(err)
		}
	}
	f := &found{nodes: map[string]*capacity.NodeCapacity{}}
	logger, _ := ktesting.NewTestContext(t)
	inf, err := prometheus.NewInformer(config, prometheus.Deps{
		Nodes: corev1listers.NewNodeLister(nodes), Recorder: f.record, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inf.Track(f); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		inf.RunWithContext(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return inf, f
}

// TestPrometheus reads every signal, through a reset of counters and a restart
// of Prometheus.
func TestPrometheus(t *testing.T) {
	e := &exporter{began: time.Now()}
	target := httptest.NewServer(e)
	t.Cleanup(target.Close)
	server := startPrometheus(t, target.URL)
	config := prometheus.Config{
		Address: "http://" + server.address, PollInterval: time.Second, QueryTimeout: 5 * time.Second,
		RateWindow: rateWindow, BurstWindow: 15 * time.Second,
	}
	config.History = prometheus.DefaultHistory()
	config.History.Interval = 10 * time.Second
	shorter := strings.NewReplacer("[1h:1m]", "[20s:1s]", "[1h]", "[20s]", "[5m]", "[10s]")
	config.History.CPU, config.History.Memory = shorter.Replace(config.History.CPU), shorter.Replace(config.History.Memory)
	inf, f := run(t, config)

	for r, want := range map[capacity.Resource]float64{
		capacity.CPU: 1.25, capacity.Memory: 3e9, capacity.Disk: 0.5, capacity.Network: 3e6,
		capacity.GPU: 1.5, capacity.GPUMemory: 3 << 30, capacity.Power: 100,
	} {
		f.settled(t, "alpha", r, want)
	}
	f.settled(t, "beta", capacity.CPU, 1.5)
	f.settled(t, "beta", capacity.Memory, 3e9)
	f.settled(t, "beta", capacity.Power, 80)
	for _, r := range []capacity.Resource{capacity.Disk, capacity.Network, capacity.GPU, capacity.GPUMemory} {
		if m := f.measure("beta", r); m.Mean.OK() || m.Burst.OK() {
			t.Errorf("beta's %v = %v, want no reading: it shows none", r, m)
		}
	}
	eventually(t, "the burst of alpha's CPU", func() error {
		if got := f.measure("alpha", capacity.CPU).Burst; math.Abs(got.Value-1.25) > 0.05 {
			return fmt.Errorf("burst = %v", got)
		}
		return nil
	})
	eventually(t, "the history", func() error {
		yes := true
		use, ok := inf.History().Of(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: "ci", OwnerReferences: []metav1.OwnerReference{{Kind: "Job", Name: "build-28000009", Controller: &yes}},
		}})
		if !ok || math.Abs(use.CPU-0.75) > 0.05 || use.Memory != 3e8 {
			return fmt.Errorf("a run of build uses %v, %v", use, ok)
		}
		return nil
	})

	// Without rate's eye for resets, 1e6 s would be lost in a second.
	e.restart()
	if err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, rateWindow+3*time.Second, true, func(context.Context) (bool, error) {
		// The time from the last scrape to the restart is lost to everybody.
		if got := f.measure("beta", capacity.CPU).Mean.Value; got > 1.5*1.05 || got < 1.5*0.7 {
			return false, fmt.Errorf("beta's CPU = %v after its counters began again, want some 1.5", got)
		}
		return false, nil // as long as the window still has the restart in it
	}); !wait.Interrupted(err) {
		t.Fatal(err)
	}
	f.settled(t, "beta", capacity.CPU, 1.5)
	f.mu.Lock()
	events := append([]string(nil), f.events...)
	f.mu.Unlock()
	if len(events) != 0 {
		t.Errorf("events = %q", events)
	}

	server.stop()
	f.event(t, "CapacityUnavailable", "connection refused")
	if got := f.measure("alpha", capacity.Memory).Mean; got.Value != 3e9 {
		t.Errorf("alpha's memory = %v while Prometheus is down, want the last reading", got)
	}
	server.start()
	f.event(t, "CapacityRestored", "")
	f.settled(t, "alpha", capacity.CPU, 1.25)
}

// TestPrometheusSaysWhatIsWrong is a mistyped query, a label that no series
// carries, and the default history, which must at least be PromQL.
func TestPrometheusSaysWhatIsWrong(t *testing.T) {
	target := httptest.NewServer(&exporter{began: time.Now()})
	t.Cleanup(target.Close)
	server := startPrometheus(t, target.URL)
	address := "http://" + server.address

	_, mistyped := run(t, prometheus.Config{
		Address: address, PollInterval: time.Second, Queries: map[capacity.Resource]string{capacity.Power: "sum by (instance) (node_watts"},
	})
	mistyped.event(t, "CapacityUnavailable", "1 of 8 queries of the nodes' load failed: query power: bad_data: invalid parameter \"query\"")
	mistyped.event(t, "CapacityUnavailable", "parse error: unclosed left parenthesis")
	mistyped.settled(t, "alpha", capacity.Memory, 3e9)

	_, unmatched := run(t, prometheus.Config{
		Address: address, PollInterval: time.Second, NodeMapping: prometheus.NodeMapping{Label: "kubernetes_node"},
	})
	unmatched.event(t, "CapacityNodesUnmatched", "matched 0 of 2 nodes (queries age, cpu, memory): series carry no label kubernetes_node, "+
		"instance=10.0.0.1:9100, job=node; nodes have name alpha, InternalIP 10.0.0.1; set `nodeMapping` to {label: instance, match: InternalIP}")

	whole, history := run(t, prometheus.Config{Address: address})
	eventually(t, "the default history", func() error {
		if whole.History() == nil {
			return fmt.Errorf("not refreshed: %q", history.events)
		}
		return nil
	})
}
