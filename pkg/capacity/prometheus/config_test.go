// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"auriga.dev/auriga/pkg/capacity"
)

func TestDefaults(t *testing.T) {
	off := ""
	given := Config{
		Address: "http://p:9090", NodeMapping: NodeMapping{Label: "node"}, RateWindow: 2 * time.Minute,
		Queries: map[capacity.Resource]string{capacity.GPU: "", capacity.Memory: "mine"}, AgeQuery: &off, History: History{Interval: time.Hour},
	}
	c := given.WithDefaults()
	for r, want := range map[capacity.Resource]string{
		capacity.CPU:       `sum by (node) (rate(node_cpu_seconds_total{mode!~"idle|iowait|steal"}[2m]))`,
		capacity.Memory:    "mine",
		capacity.Disk:      `clamp_max(max by (node) (sum by (node, device) (rate(node_disk_io_time_seconds_total[2m]))), 1)`,
		capacity.Network:   `sum by (node) (rate(node_network_receive_bytes_total{device!~"lo|veth.*"}[2m])) + sum by (node) (rate(node_network_transmit_bytes_total{device!~"lo|veth.*"}[2m]))`,
		capacity.GPU:       "",
		capacity.GPUMemory: `sum by (node) (DCGM_FI_DEV_FB_USED) * 1048576`,
		capacity.Power:     `sum by (node) (rate(node_rapl_package_joules_total[2m])) or sum by (node) (node_hwmon_power_average_watt)`,
	} {
		if got := c.Queries[r]; got != want {
			t.Errorf("%v: %s, want %s", r, got, want)
		}
	}
	if c.PollInterval != 15*time.Second || c.QueryTimeout != 10*time.Second || c.MaxResponseBytes != 64<<20 || c.BurstWindow != 5*time.Minute ||
		c.NodeMapping.Match != MatchNameOrInternalIP || *c.AgeQuery != "" || c.History != (History{Interval: time.Hour}) {
		t.Errorf("defaults = %+v", c)
	}
	if len(given.Queries) != 2 {
		t.Error("what was given has changed")
	}
	whole := Config{Address: "https://p/prefix"}.WithDefaults()
	if err := whole.Validate(); err != nil {
		t.Errorf("the defaults are not valid: %v", err)
	}
	if !strings.Contains(*whole.AgeQuery, "timestamp(node_memory_MemAvailable_bytes)") || whole.History != DefaultHistory() {
		t.Errorf("defaults = %+v", whole)
	}
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`address: "": want http(s)://host:port`:                            func(c *Config) { c.Address = "" },
		`address: "prometheus:9090": want http(s)`:                         func(c *Config) { c.Address = "prometheus:9090" },
		`address: "http://u:xxxxx@p": want no user`:                        func(c *Config) { c.Address = "http://u:secret@p" },
		`address: "http://p?a=b": want no ?`:                               func(c *Config) { c.Address = "http://p?a=b" },
		`pollInterval: "10ms": want at least 1s`:                           func(c *Config) { c.PollInterval = 10 * time.Millisecond },
		`queryTimeout: "-1s": want at least`:                               func(c *Config) { c.QueryTimeout = -time.Second },
		`rateWindow: "1ms": want at least 1s`:                              func(c *Config) { c.RateWindow = time.Millisecond },
		`burstWindow: "5s": want at least 15s`:                             func(c *Config) { c.BurstWindow = 5 * time.Second },
		`maxResponseBytes: "-1": want at least 1024`:                       func(c *Config) { c.MaxResponseBytes = -1 },
		`history.interval: "1s": want at least 10s`:                        func(c *Config) { c.History.Interval = time.Second },
		`queries: "Resource(99)": want cpu, memory`:                        func(c *Config) { c.Queries[99] = "x" },
		`want at least one that is not empty`:                              func(c *Config) { clear(c.Queries) },
		`nodeMapping.label: "a-b": want the name of a label`:               func(c *Config) { c.NodeMapping.Label = "a-b" },
		`nodeMapping.match: "Any": want NameOrInternalIP, Name or`:         func(c *Config) { c.NodeMapping.Match = "Any" },
		`nodeMapping.regexp: "(": error parsing`:                           func(c *Config) { c.NodeMapping.Regexp = "(" },
		`nodeMapping.regexp: "^a": want a capture group, such as ^([^.:]+`: func(c *Config) { c.NodeMapping.Regexp = "^a" },
	} {
		c := Config{Address: "http://p"}.WithDefaults()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate = %v, want %q", err, want)
		}
	}
	c := Config{PollInterval: 1, NodeMapping: NodeMapping{Match: "x"}}.WithDefaults()
	if err := c.Validate(); err == nil || strings.Count(err.Error(), "want") != 3 {
		t.Errorf("Validate = %v, want all three errors", err)
	}
}

// TestHTTPConfig is a Prometheus under a path that wants credentials.
func TestHTTPConfig(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); r.URL.Path != "/prefix/api/v1/query" || user != "auriga" || password != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		vector(on("a", 1))(w, r)
	}))
	defer server.Close()
	folder := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("password", "secret")
	config := named(server.URL+"/prefix/", capacity.CPU)
	deps := Deps{Nodes: corev1listers.NewNodeLister(cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})), Logger: klog.Background()}

	config.HTTPConfigFile = write("http.yaml", "basic_auth:\n  username: auriga\n  password_file: password\n")
	inf, err := NewInformer(config, deps)
	if err != nil {
		t.Fatal(err)
	}
	if a := inf.source.client.ask(t.Context(), "cpu", "cpu"); a.err != nil || len(a.vector) != 1 {
		t.Errorf("answer = %v, %v", a.vector, a.err)
	}
	config.HTTPConfigFile = write("bad.yaml", "basic_authentication: {}\n")
	if _, err := NewInformer(config, deps); err == nil || !strings.Contains(err.Error(), `bad.yaml": yaml`) || !strings.Contains(err.Error(), "http_config format") {
		t.Errorf("a bad file: %v", err)
	}
	config.HTTPConfigFile = filepath.Join(folder, "none.yaml")
	if _, err := NewInformer(config, deps); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("no file: %v", err)
	}
	if _, err := NewInformer(Config{}, deps); err == nil || !strings.Contains(err.Error(), "address") {
		t.Errorf("no address: %v", err)
	}
}

func TestClassify(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"of its own":  {&promv1.Error{Type: "internal", Msg: "expanding series: no"}, reasonServerError},
		"canceled":    {&promv1.Error{Type: promv1.ErrCanceled}, reasonTimeout},
		"no status":   {&promv1.Error{Type: promv1.ErrServer, Msg: "odd"}, reasonServerError},
		"status 418":  {&promv1.Error{Type: promv1.ErrClient, Msg: "client error: 418"}, reasonBadAnswer},
		"status 302":  {&promv1.Error{Type: promv1.ErrBadResponse, Msg: "bad response code 302"}, reasonBadAnswer},
		"dial":        {&url.Error{Op: "Post", Err: errors.New("no such host")}, reasonUnreachable},
		"TLS timeout": {&url.Error{Op: "Post", Err: os.ErrDeadlineExceeded}, reasonTimeout},
		"cut off":     {io.ErrUnexpectedEOF, reasonUnreachable},
		"redirected":  {&url.Error{Op: "Post", Err: &tooLargeError{5}}, reasonTooLarge},
		"JSON":        {errors.New("expected :"), reasonBadAnswer},
	} {
		got := classify("cpu", tc.err)
		if got.reason != tc.want || !strings.HasPrefix(got.Error(), "query cpu: ") || got.Unwrap() == nil {
			t.Errorf("%s: %s, %v, want %s", name, got.reason, got, tc.want)
		}
	}
	if got := notPrometheus(strings.Repeat("ä", 1000)).Error(); len(got) > 300 || !utf8.ValidString(got) {
		t.Errorf("a long answer: %s", got)
	}
}
