// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controller runs auriga-controller on a real control plane: labels by
// server-side apply, metrics over HTTPS, restarts, a Prometheus that is down.
package controller

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"auriga.dev/auriga/pkg/localcluster"
	"auriga.dev/auriga/test/fixtures"
)

const (
	// deadline bounds every wait; generous, for a busy machine.
	deadline = time.Minute
	// startDeadline bounds the start of the control plane.
	startDeadline = 3 * time.Minute
	namespace     = metav1.NamespaceDefault
)

// bench is a control plane with a client and somebody who may read metrics.
type bench struct {
	*localcluster.Cluster
	client kubernetes.Interface
	token  string
	starts int
}

func start(t *testing.T) *bench {
	t.Helper()
	fixtures.Binary(t, "tools/kwok") // auriga-local looks for it there
	ctx, cancel := context.WithTimeout(t.Context(), startDeadline)
	defer cancel()
	cluster, err := localcluster.Start(ctx, localcluster.Options{
		Binary: fixtures.Binary(t, "auriga-local"), DataDir: filepath.Join(t.TempDir(), "data"), Log: t.Output(), ScrapeInterval: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := cluster.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	config, err := cluster.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Cluster: cluster, client: kubernetes.NewForConfigOrDie(config)}
	b.token = b.metricsReader(t)
	return b
}

// metricsReader returns the token of an account that may read /metrics.
func (b *bench) metricsReader(t *testing.T) string {
	t.Helper()
	const name = "metrics-reader"
	meta := metav1.ObjectMeta{Name: name}
	_, err := b.client.CoreV1().ServiceAccounts(namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
	_, err2 := b.client.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta,
		Rules: []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}}}, metav1.CreateOptions{})
	_, err3 := b.client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: meta,
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}}}, metav1.CreateOptions{})
	token, err4 := b.client.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err := errors.Join(err, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return token.Status.Token
}

// controller is a running auriga-controller.
type controller struct {
	bench   *bench
	process *localcluster.Process
	metrics string // host:port
}

// run starts auriga-controller and waits until it is ready.
func (b *bench) run(t *testing.T, args ...string) *controller {
	t.Helper()
	ports, err := localcluster.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	c := &controller{bench: b, metrics: "127.0.0.1:" + strconv.Itoa(ports[0])}
	probes := "127.0.0.1:" + strconv.Itoa(ports[1])
	cert, key := b.ServingCertificate()
	b.starts++
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	c.process, err = b.StartProcess(ctx, localcluster.ProcessSpec{
		Name: fmt.Sprintf("controller-%d", b.starts), Path: fixtures.Binary(t, "auriga-controller"),
		Port: ports[0], HealthURL: "http://" + probes + "/readyz",
		Args: append([]string{
			"--kubeconfig=" + b.Kubeconfig(), "--leader-elect-resource-namespace=" + namespace,
			"--metrics-bind-address=" + c.metrics, "--health-probe-bind-address=" + probes,
			"--tls-cert-file=" + cert, "--tls-private-key-file=" + key, "--profile-interval=1s", "--v=2",
		}, args...),
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// stop ends the controller as a kubelet does.
func (c *controller) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := c.bench.StopProcess(ctx, c.process); err != nil {
		t.Error(err)
	}
}

// scrape reads /metrics with a token; an empty one is anonymous.
func (c *controller) scrape(ctx context.Context, token string) (map[string]*dto.MetricFamily, int, error) {
	pem, err := os.ReadFile(c.bench.CertificateAuthority())
	if err != nil {
		return nil, 0, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Timeout: deadline, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.metrics+"/metrics", nil)
	if err != nil {
		return nil, 0, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if response.StatusCode != http.StatusOK {
		_, err := io.Copy(io.Discard, response.Body)
		return nil, response.StatusCode, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	return families, response.StatusCode, err
}

// series returns the series of a metric that has the labels, nil if there is none.
func series(families map[string]*dto.MetricFamily, name string, labels map[string]string) *dto.Metric {
next:
	for _, metric := range families[name].GetMetric() {
		have := map[string]string{}
		for _, pair := range metric.GetLabel() {
			have[pair.GetName()] = pair.GetValue()
		}
		for label, value := range labels {
			if have[label] != value {
				continue next
			}
		}
		return metric
	}
	return nil
}

// wantSeries waits for a series of which check approves.
func (c *controller) wantSeries(t *testing.T, name string, labels map[string]string, check func(*dto.Metric) bool) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		families, _, err := c.scrape(ctx, c.bench.token)
		if err != nil {
			return err
		}
		metric := series(families, name, labels)
		if metric == nil || !check(metric) {
			return fmt.Errorf("%s%v is %v; all: %v", name, labels, metric, families[name])
		}
		return nil
	})
}

// node creates a simulated worker.
func (b *bench) node(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	capacity := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("32"), corev1.ResourceMemory: resource.MustParse("64Gi"), corev1.ResourcePods: resource.MustParse("50"),
	}
	object := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"}},
		Status:     corev1.NodeStatus{Capacity: capacity, Allocatable: capacity},
	}
	if _, err := b.client.CoreV1().Nodes().Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// label sets labels of a node as somebody else; nil removes one.
func (b *bench) label(t *testing.T, node string, labels map[string]any) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.client.CoreV1().Nodes().Patch(t.Context(), node, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
		t.Fatal(err)
	}
}

// wantLabels waits until a node has labels; "" means it has not.
func (b *bench) wantLabels(t *testing.T, node string, want map[string]string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		object, err := b.client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for label, value := range want {
			if got := object.Labels[label]; got != value {
				return fmt.Errorf("%s: label %s=%q, want %q; all: %v", node, label, got, value, object.Labels)
			}
		}
		return nil
	})
}

// eventually waits until a condition holds; its error says what is missing yet.
func eventually(t *testing.T, condition func(context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, deadline, true, func(ctx context.Context) (bool, error) {
		err := condition(ctx)
		if ctx.Err() == nil {
			last = err
		}
		return err == nil, nil
	})
	if err != nil {
		t.Fatalf("%v: %v", err, last)
	}
}
