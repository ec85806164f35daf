// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"auriga.dev/auriga/pkg/capacity"
)

// asController makes this test binary behave as auriga-controller.
const asController = "AURIGA_TEST_AS_CONTROLLER"

func TestMain(m *testing.M) {
	if os.Getenv(asController) != "" {
		main()
	}
	os.Exit(m.Run())
}

// TestCommandLine: exit codes, and that a message names the flag, the value and
// what would be accepted.
func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("basic_autH: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c}}]
current-context: c
`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"help":            {[]string{"--help"}, exitOK, []string{"auriga-system/auriga-controller", "--prometheus-address", "(default 100)", `(default ":10260")`, "--v"}},
		"version":         {[]string{"--version"}, exitOK, []string{"auriga-controller version"}},
		"unknown flag":    {[]string{"--prometeus"}, exitUsage, []string{"--prometeus", "auriga-controller --help"}},
		"argument":        {[]string{"x"}, exitUsage, []string{`"x"`}},
		"qps":             {[]string{"--kube-api-qps=0", "--kube-api-burst=0"}, exitUsage, []string{"--kube-api-qps=0: must be more than 0", "--kube-api-burst=0: must be 1 or more"}},
		"metrics":         {[]string{"--metrics-bind-address=10260"}, exitUsage, []string{"--metrics-bind-address=10260: must be HOST:PORT"}},
		"lease":           {[]string{"--leader-elect-resource-name=A B"}, exitUsage, []string{"--leader-elect-resource-name=A B", "lower-case"}},
		"namespace":       {[]string{"--leader-elect-resource-namespace=a.b"}, exitUsage, []string{"--leader-elect-resource-namespace=a.b"}},
		"half a pair":     {[]string{"--tls-cert-file=a"}, exitUsage, []string{"--tls-cert-file=a", "give both or neither"}},
		"address":         {[]string{"--prometheus-address=prometheus:9090"}, exitUsage, []string{"--prometheus-address=prometheus:9090", "http://prometheus:9090"}},
		"config for none": {[]string{"--prometheus-http-config-file=a"}, exitUsage, []string{"--prometheus-http-config-file=a", "without --prometheus-address"}},
		"interval":        {[]string{"--profile-interval=1ms"}, exitUsage, []string{"--profile-interval=1ms: must be 1s or more"}},
		"window":          {[]string{"--success-window=0"}, exitUsage, []string{"--success-window=0s"}},
		"scheduler":       {[]string{"--scheduler-name="}, exitUsage, []string{"--scheduler-name"}},
		"poll interval":   {[]string{"--prometheus-address=http://a", "--poll-interval=0s", "--rate-window=1ms"}, exitUsage, []string{"--poll-interval=0s: must be 1s or more", "--rate-window=1ms: must be 1s or more"}},
		"ramp":            {[]string{"--in-flight-ramp=1s", "--in-flight-cpu-percent=0", "--in-flight-memory-percent=101"}, exitUsage, []string{"--in-flight-ramp=1s: must be --rate-window (1m0s) or more", "--in-flight-cpu-percent=0: must be 1 to 100", "--in-flight-memory-percent=101"}},
		"node mapping":    {[]string{"--node-mapping-label=a-b", "--node-mapping-regexp=^a"}, exitUsage, []string{"--node-mapping-label=a-b: must be the name of a label", "--node-mapping-regexp=^a: must be a regular expression with a group"}},
		"ceilings":        {[]string{"--reclaim-cpu-ceiling=0", "--reclaim-memory-ceiling=101"}, exitUsage, []string{"--reclaim-cpu-ceiling=0: must be 1 to 100", "--reclaim-memory-ceiling=101: must be 1 to 100"}},
		"pool label":      {[]string{"--pool-label=a b"}, exitUsage, []string{"--pool-label=a b", "auriga.dev/pool"}},
		"no kubeconfig":   {[]string{"--kubeconfig=/none"}, exitFailed, []string{"--kubeconfig=/none"}},
		"no certificate":  {[]string{"--kubeconfig=" + kubeconfig, "--tls-cert-file=/none.crt", "--tls-private-key-file=/none.key"}, exitFailed, []string{"--tls-cert-file=/none.crt", "no such file"}},
		"wrong config": {[]string{"--kubeconfig=" + kubeconfig, "--prometheus-address=http://a", "--prometheus-http-config-file=" + bad}, exitFailed,
			[]string{"--prometheus-http-config-file=" + bad, "basic_autH", "http_config"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			// Another process, because one sets its logging up only once.
			cmd := exec.CommandContext(ctx, os.Args[0], test.args...)
			cmd.Env = append(os.Environ(), asController+"=1")
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			for _, part := range test.want {
				if !strings.Contains(string(out), part) {
					t.Errorf("output should contain %q:\n%s", part, out)
				}
			}
		})
	}
}

// TestPrometheusConfig: what is asked of a Prometheus is what the flags say, and
// only what is used.
func TestPrometheusConfig(t *testing.T) {
	o := defaultOptions()
	o.prometheusAddress = "http://a"
	c := o.prometheus().WithDefaults()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	for r := range capacity.NumResources {
		if used := r == capacity.CPU || r == capacity.Memory; used != (c.Queries[r] != "") {
			t.Errorf("query of %s: %q", r, c.Queries[r])
		}
	}
	if *c.AgeQuery == "" {
		t.Error("no query of the age")
	}
	o.cpuQuery, o.memoryQuery, o.ageQuery = "c", "m", "a"
	c = o.prometheus().WithDefaults()
	if got := c.Queries[capacity.CPU] + c.Queries[capacity.Memory] + *c.AgeQuery; got != "cma" {
		t.Errorf("queries %q, want cma", got)
	}
	o.ageQuery = noQuery
	if c = o.prometheus().WithDefaults(); *c.AgeQuery != "" {
		t.Errorf("query of the age: %q", *c.AgeQuery)
	}
}

// TestQuerier: authorization from the file, and no answer without an end.
func TestQuerier(t *testing.T) {
	if q, err := newQuerier("", ""); q != nil || err != nil {
		t.Errorf("no address: %v, %v", q, err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`) //nolint:errcheck // the client will say it
	}))
	defer server.Close()
	config := filepath.Join(t.TempDir(), "http_config.yaml")
	if err := os.WriteFile(config, []byte("authorization: {credentials: secret}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := func(config string) error {
		q, err := newQuerier(server.URL, config)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = q.Query(t.Context(), "up", time.Now())
		return err
	}
	if err := ask(config); err != nil {
		t.Error(err)
	}
	if err := ask(""); err == nil {
		t.Error("answered without authorization")
	}

	body := &limitedBody{ReadCloser: io.NopCloser(strings.NewReader("12345")), left: 4, max: 4}
	if got, err := io.ReadAll(body); err == nil || !strings.Contains(err.Error(), "more than 4 bytes") {
		t.Errorf("%q, %v", got, err)
	}
	body = &limitedBody{ReadCloser: io.NopCloser(strings.NewReader("1234")), left: 4, max: 4}
	if got, err := io.ReadAll(body); string(got) != "1234" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
