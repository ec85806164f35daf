// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	certutil "k8s.io/client-go/util/cert"

	"auriga.dev/auriga/pkg/apis/names"
)

func TestFreePorts(t *testing.T) {
	ports, err := FreePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range ports {
		if seen[port] {
			t.Errorf("port %d twice", port)
		}
		seen[port] = true
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Errorf("port %d is not free: %v", port, err)
			continue
		}
		defer l.Close() //nolint:errcheck // nothing was sent
	}
}

// testCredentials writes those of an API server on port 1.
func testCredentials(t *testing.T) files {
	t.Helper()
	f := files{t.TempDir()}
	if err := f.mkdirs(); err != nil {
		t.Fatal(err)
	}
	if err := writeCredentials(f, https(1, "")); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestCertificates(t *testing.T) {
	f := testCredentials(t)
	for _, test := range []struct {
		name, ca, user string
		groups         []string
	}{
		{servingPair, clusterCA, "auriga-local", nil},
		{frontProxyPair, frontProxyCA, "auriga-local:front-proxy", nil},
		{adminPair, clusterCA, "auriga-local:admin", []string{"system:masters"}},
		{kubeControllerManager, clusterCA, "system:kube-controller-manager", nil},
		{kubeScheduler, clusterCA, "system:kube-scheduler", nil},
		{kwok, clusterCA, "auriga-local:kwok", nil},
		{prometheus, clusterCA, "auriga-local:prometheus", nil},
		{etcdPair, etcdCA, "auriga-local-etcd", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			certs, err := certutil.CertsFromFile(f.cert(test.name))
			if err != nil {
				t.Fatal(err)
			}
			cert := certs[0]
			for _, ca := range []string{clusterCA, etcdCA, frontProxyCA} {
				roots, err := certutil.NewPool(f.cert(ca))
				if err != nil {
					t.Fatal(err)
				}
				_, err = cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: "127.0.0.1", KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
				if (err == nil) != (ca == test.ca) {
					t.Errorf("signed by %s: %v", ca, err)
				}
			}
			if diff := cmp.Diff(test.user, cert.Subject.CommonName); diff != "" {
				t.Errorf("user (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(test.groups, cert.Subject.Organization); diff != "" {
				t.Errorf("groups (-want +got)\n%s", diff)
			}
			// OpenSSL takes such a certificate for a self-signed one.
			if cert.Subject.String() == cert.Issuer.String() {
				t.Errorf("subject and issuer have one name, %s", cert.Subject)
			}
		})
	}
}

func TestCredentialsArePrivate(t *testing.T) {
	f := testCredentials(t)
	err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == f.dir {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestKubeconfigStandsAlone(t *testing.T) {
	f := testCredentials(t)
	data, err := os.ReadFile(f.kubeconfig(adminPair))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), f.dir) {
		t.Error("it refers to files of the data folder")
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("https://127.0.0.1:1", config.Host); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestHealthClient: one client is let in by the API server and by etcd, which
// trust different authorities.
func TestHealthClient(t *testing.T) {
	f := testCredentials(t)
	client, err := healthClient(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, ca, pair, user string }{
		{"API server", clusterCA, servingPair, "auriga-local:admin"},
		{"etcd", etcdCA, etcdPair, "auriga-local-etcd"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var user string
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				user = r.TLS.PeerCertificates[0].Subject.CommonName
			}))
			pair, err := tls.LoadX509KeyPair(f.cert(test.pair), f.key(test.pair))
			if err != nil {
				t.Fatal(err)
			}
			pool, err := certutil.NewPool(f.cert(test.ca))
			if err != nil {
				t.Fatal(err)
			}
			server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
			server.StartTLS()
			defer server.Close()
			if err := probe(t.Context(), client, server.URL); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.user, user); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestKwokConfiguration(t *testing.T) {
	config := string(kwokConfig)
	if n := strings.Count(config, `"`+names.AnnotationRunDuration+`"`); n != 2 {
		t.Errorf("the annotation %s is used %d times, want 2: to choose pods and to delay", names.AnnotationRunDuration, n)
	}
	if !strings.Contains(config, `"`+names.AnnotationUsage+`"`) {
		t.Errorf("the annotation %s is not read", names.AnnotationUsage)
	}
	if !strings.Contains(config, "path: "+metricsPath+"\n") {
		t.Errorf("the metrics are not at %s, where Prometheus looks for them", metricsPath)
	}
	if strings.Contains(config, "jitterDuration") {
		t.Error("durations are not exact")
	}
	lease := "nodeLeaseDurationSeconds: 600\n"
	grace := "--node-monitor-grace-period=600s"
	args := strings.Join(layout{}.controllerManager().Args, " ")
	if !strings.Contains(config, lease) || !strings.Contains(args, grace) {
		t.Errorf("want %q in kwok's configuration and %q in the controller manager's flags", lease, grace)
	}
}

// fakeTools is a folder with something that passes for kwok and Prometheus.
func fakeTools(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{kwok, prometheus} {
		if err := os.Symlink(os.Args[0], filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestStartFailures(t *testing.T) {
	for _, test := range []struct {
		name string
		o    func(t *testing.T) Options
		want []string // parts of the error
		is   error
		log  string
	}{
		{
			name: "no kwok",
			o:    func(t *testing.T) Options { return Options{ToolsDir: t.TempDir()} },
			want: []string{"make build", "--tools-dir"}, is: os.ErrNotExist,
		},
		{
			name: "scrape interval",
			o: func(t *testing.T) Options {
				return Options{ToolsDir: fakeTools(t), ScrapeInterval: time.Millisecond}
			},
			want: []string{"1ms", "at least 1s"},
		},
		{
			name: "no auriga-local",
			o:    func(t *testing.T) Options { return Options{Binary: "/nonexistent/x", ToolsDir: fakeTools(t)} },
			want: []string{"make build"}, is: os.ErrNotExist,
		},
		{
			name: "little space",
			o:    func(t *testing.T) Options { return Options{ToolsDir: fakeTools(t), minFree: 1 << 62} },
			want: []string{"MiB are free", "--data-dir"}, is: syscall.ENOSPC,
		},
		{
			name: "ports are taken again and again",
			o:    func(t *testing.T) Options { return Options{ToolsDir: fakeTools(t)} },
			want: []string{"etcd", "exit status 1", "address already in use"},
			log:  strings.Repeat("another process took a port meanwhile; trying others\n", startAttempts-1),
		},
		{
			name: "no time",
			o:    func(t *testing.T) Options { return Options{ToolsDir: fakeTools(t), StartTimeout: time.Nanosecond} },
			want: []string{"not ready after 1ns"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := test.o(t)
			o.DataDir = filepath.Join(t.TempDir(), "data")
			var log bytes.Buffer
			o.Log = &log
			c, err := Start(t.Context(), o)
			if err == nil {
				t.Fatal("it started", c.Stop(t.Context()))
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q, want %q in it", err, part)
				}
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %q is not %q", err, test.is)
			}
			if diff := cmp.Diff(test.log, log.String()); diff != "" {
				t.Errorf("log (-want +got)\n%s", diff)
			}
			if _, err := os.Stat(o.DataDir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the data folder is left: %v", err)
			}
		})
	}
}

func TestStartCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := filepath.Join(t.TempDir(), "data")
	_, err := Start(ctx, Options{DataDir: dir, ToolsDir: fakeTools(t)})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data folder is left: %v", err)
	}
}

func TestExplainFullDisk(t *testing.T) {
	full := &ExitError{Name: etcd, Status: "exit status 2", Tail: []string{"write wal: no space left on device"}}
	if err := explain(full, "/data"); !strings.Contains(err.Error(), "not enough space in /data") || !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
	other := errors.New("x")
	if err := explain(other, "/data"); err != other { //nolint:errorlint // the very same
		t.Errorf("%v", err)
	}
}

func TestInspectAndDown(t *testing.T) {
	var none *NotRunningError
	missing := filepath.Join(t.TempDir(), "missing")
	if _, err := Inspect(t.Context(), missing); !errors.As(err, &none) {
		t.Errorf("inspect without a cluster: %v", err)
	}
	if was, err := Down(t.Context(), missing); was || err != nil {
		t.Errorf("down without a cluster: %t, %v", was, err)
	}

	t.Run("of a live supervisor", func(t *testing.T) {
		cmd, state := startSupervisorProcess(t)
		got, err := Inspect(t.Context(), state.DataDir)
		if err != nil || got.Phase != Ready || got.PID != cmd.Process.Pid {
			t.Errorf("inspect: %+v, %v", got, err)
		}
		// It is our child: without this it stays as a zombie.
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		was, err := Down(t.Context(), state.DataDir)
		if !was || err != nil {
			t.Errorf("down: %t, %v", was, err)
		}
		if err := <-ended; err != nil {
			t.Errorf("the supervisor: %v", err)
		}
		wantNothing(t, state)
	})
	t.Run("of a supervisor that does not listen", func(t *testing.T) {
		cmd, state := startSupervisorProcess(t)
		if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		go func() { _ = cmd.Wait() }()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if was, err := Down(ctx, state.DataDir); !was || err != nil {
			t.Errorf("down: %t, %v", was, err)
		}
		wantNothing(t, state)
	})
	t.Run("of a dead supervisor", func(t *testing.T) {
		cmd, state := startSupervisorProcess(t)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		got, err := Inspect(t.Context(), state.DataDir)
		if err != nil {
			t.Fatal(err)
		}
		if got.Phase != Killed || got.Healthy() || got.Processes[0].Phase != ProcessExited {
			t.Errorf("inspect: %+v, want killed and exited", got)
		}
		if was, err := Down(t.Context(), state.DataDir); !was || err != nil {
			t.Errorf("down: %t, %v", was, err)
		}
		wantNothing(t, state)
	})
}

// wantNothing: no process and no file is left.
func wantNothing(t *testing.T, state State) {
	t.Helper()
	for _, p := range state.Processes {
		eventually(t, p.Name+" has ended", func() bool { return gone(p.PID) })
	}
	if _, err := os.Stat(state.DataDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data folder is left: %v", err)
	}
}

func TestDefaultDataDir(t *testing.T) {
	for _, test := range []struct {
		state, home, name, want string
	}{
		{"/s", "/h", "x", "/s/auriga-local/x"},
		{"", "/h", "x", "/h/.local/state/auriga-local/x"},
		{"/s", "/h", "", ""},
		{"/s", "/h", "..", ""},
		{"/s", "/h", "a/b", ""},
	} {
		t.Setenv("XDG_STATE_HOME", test.state)
		t.Setenv("HOME", test.home)
		got, err := DefaultDataDir(test.name)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%+v: %q, %v", test, got, err)
		}
	}
}
