// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/localcluster"
	"auriga.dev/auriga/test/fixtures"
)

const (
	// startDeadline bounds the start of the control plane, and each process'.
	startDeadline = 3 * time.Minute
	// stopDeadline bounds their end.
	stopDeadline = time.Minute
	// scrapeInterval is how often Prometheus reads metrics and evaluates rules.
	scrapeInterval = 2 * time.Second
	workers        = 8
	// scraper is the user as whom the local cluster's Prometheus scrapes.
	scraper = "auriga-local:prometheus"
)

// tenants whose jobs run; those of the first also fail.
var tenants = []string{"red", "blue"}

// bench is a control plane on which Auriga runs, watched by a real Prometheus.
type bench struct {
	*localcluster.Cluster
	client kubernetes.Interface
	prom   promv1.API
	rounds int
}

func start(t *testing.T) *bench {
	t.Helper()
	fixtures.Binary(t, "tools/kwok") // auriga-local looks for them there
	fixtures.Binary(t, "tools/prometheus")
	ctx, cancel := context.WithTimeout(t.Context(), startDeadline)
	defer cancel()
	cluster, err := localcluster.Start(ctx, localcluster.Options{
		Binary: fixtures.Binary(t, "auriga-local"), DataDir: filepath.Join(t.TempDir(), "data"), Log: t.Output(),
		ScrapeInterval: scrapeInterval, RuleFiles: files(t, "rules/*.yaml"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopDeadline)
		defer cancel()
		if err := cluster.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	config, err := cluster.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	prom, err := api.NewClient(api.Config{Address: cluster.PrometheusURL()})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Cluster: cluster, client: client, prom: promv1.NewAPI(prom)}
	b.prepare(t)
	b.scheduler(t)
	b.controller(t)
	b.services(t)
	return b
}

// prepare creates all that Auriga and its jobs need.
func (b *bench) prepare(t *testing.T) {
	t.Helper()
	ctx, client := t.Context(), b.client
	for _, name := range append([]string{names.Namespace}, tenants...) {
		if _, err := client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range names.PriorityClasses() {
		class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: int32(100 - i), PreemptionPolicy: ptr.To(corev1.PreemptNever)}
		if _, err := client.SchedulingV1().PriorityClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	// Beside /metrics, which the local cluster lets it read.
	meta := metav1.ObjectMeta{Name: "metrics-resources"}
	_, err := client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta,
		Rules: []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics/resources"}, Verbs: []string{"get"}}}}, metav1.CreateOptions{})
	_, err2 := client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: meta,
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: meta.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: scraper}}}, metav1.CreateOptions{})
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("16"), corev1.ResourceMemory: resource.MustParse("64Gi"), corev1.ResourcePods: resource.MustParse("200"),
	}
	for i := range workers {
		if _, err := client.CoreV1().Nodes().Create(ctx, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprintf("worker-%d", i), Annotations: map[string]string{names.AnnotationSimulatedWorker: names.SimulatedWorker},
				Labels: map[string]string{names.LabelPool: []string{"builds", "tests"}[i%2]},
			},
			Status: corev1.NodeStatus{Capacity: room, Allocatable: room},
		}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// process starts one of our binaries and lets Prometheus scrape it.
func (b *bench) process(t *testing.T, spec localcluster.ProcessSpec, paths map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startDeadline)
	defer cancel()
	spec.Path = fixtures.Binary(t, spec.Name)
	process, err := b.StartProcess(ctx, spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			if log, err := os.ReadFile(process.LogFile()); err == nil {
				t.Logf("%s, the last of its log:\n%s", spec.Name, log[max(0, len(log)-4000):])
			}
		}
	})
	for job, path := range paths {
		if err := b.AddScrapeTarget(job, fmt.Sprintf("https://127.0.0.1:%d%s", spec.Port, path), map[string]string{"namespace": names.Namespace}); err != nil {
			t.Fatal(err)
		}
	}
}

func freePorts(t *testing.T, n int) []int {
	t.Helper()
	ports, err := localcluster.FreePorts(n)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}

// scheduler starts auriga-scheduler with the configuration that we ship, and
// with what the plugin RealCapacity and traces need. The collector of traces is
// down, so that spans are lost.
func (b *bench) scheduler(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, content any) string {
		data, err := yaml.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	shipped, err := os.ReadFile(filepath.Join(fixtures.Root(t), "config", "scheduler.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := yaml.Unmarshal(shipped, &config); err != nil {
		t.Fatal(err)
	}
	config["clientConnection"].(map[string]any)["kubeconfig"] = b.Kubeconfig()
	measureWith(config["profiles"].([]any)[0].(map[string]any), b.PrometheusURL())

	ports := freePorts(t, 2)
	cert, key := b.ServingCertificate()
	b.process(t, localcluster.ProcessSpec{
		Name: "auriga-scheduler", Port: ports[0], HealthURL: fmt.Sprintf("https://127.0.0.1:%d/healthz", ports[0]),
		Args: []string{
			"--config=" + write("scheduler.yaml", config),
			"--tracing-config-file=" + write("tracing.yaml", map[string]any{
				"apiVersion": "apiserver.config.k8s.io/v1", "kind": "TracingConfiguration",
				"endpoint": net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[1])), "samplingRatePerMillion": 1_000_000,
			}),
			"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[0]),
			"--tls-cert-file=" + cert, "--tls-private-key-file=" + key,
			"--authentication-kubeconfig=" + b.Kubeconfig(), "--authorization-kubeconfig=" + b.Kubeconfig(),
		},
	}, map[string]string{"auriga-scheduler": "/metrics", "auriga-scheduler-requests": "/metrics/resources"})
}

// measureWith turns RealCapacity on in a profile and names its Prometheus.
func measureWith(profile map[string]any, address string) {
	const plugin = "RealCapacity"
	named := func(entry any) bool { return entry.(map[string]any)["name"] == plugin }
	multiPoint := profile["plugins"].(map[string]any)["multiPoint"].(map[string]any)
	enabled := multiPoint["enabled"].([]any)
	if !slices.ContainsFunc(enabled, named) {
		multiPoint["enabled"] = append(enabled, map[string]any{"name": plugin, "weight": 1})
	}
	pluginConfig := profile["pluginConfig"].([]any)
	i := slices.IndexFunc(pluginConfig, named)
	if i < 0 {
		i = len(pluginConfig)
		pluginConfig = append(pluginConfig, map[string]any{"name": plugin})
		profile["pluginConfig"] = pluginConfig
	}
	entry := pluginConfig[i].(map[string]any)
	args, _ := entry["args"].(map[string]any)
	if args == nil {
		args = map[string]any{}
		entry["args"] = args
	}
	args["prometheus"] = map[string]any{
		"address": address, "pollInterval": "2s", "rateWindow": (5 * scrapeInterval).String(),
	}
}

func (b *bench) controller(t *testing.T) {
	t.Helper()
	ports := freePorts(t, 2)
	cert, key := b.ServingCertificate()
	b.process(t, localcluster.ProcessSpec{
		Name: "auriga-controller", Port: ports[0], HealthURL: fmt.Sprintf("http://127.0.0.1:%d/readyz", ports[1]),
		Args: []string{
			"--kubeconfig=" + b.Kubeconfig(), "--prometheus-address=" + b.PrometheusURL(),
			fmt.Sprintf("--metrics-bind-address=127.0.0.1:%d", ports[0]), fmt.Sprintf("--health-probe-bind-address=127.0.0.1:%d", ports[1]),
			"--tls-cert-file=" + cert, "--tls-private-key-file=" + key,
		},
	}, nil)
	if err := b.AddScrapeTarget("auriga-controller", fmt.Sprintf("https://127.0.0.1:%d/metrics", ports[0]), map[string]string{"namespace": names.Namespace}); err != nil {
		t.Fatal(err)
	}
}

// podOf is what a pod of a tenant does: it requests, uses something else, and
// ends after a duration; "" is never.
func podOf(name, tenant, class, cpu, duration string) *corev1.Pod {
	annotations := map[string]string{names.AnnotationUsage: "cpu=200m,memory=1Gi,disk=0.1,network=1M"}
	if duration != "" {
		annotations[names.AnnotationRunDuration] = duration
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: tenant, Annotations: annotations, Labels: map[string]string{names.LabelTenant: tenant}},
		Spec: corev1.PodSpec{
			SchedulerName: names.Scheduler, PriorityClassName: class, RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{{Name: "main", Image: "registry.invalid/none", Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("256Mi")}}}},
		},
	}
}

// services creates pods that run all the time, and one that fits nowhere.
func (b *bench) services(t *testing.T) {
	t.Helper()
	for _, tenant := range tenants {
		for i := range 2 {
			b.create(t, podOf(fmt.Sprintf("service-%d", i), tenant, names.PriorityHigh, "1", ""))
		}
	}
	b.create(t, podOf("too-big", tenants[0], names.PriorityCritical, "1000", ""))
}

func (b *bench) create(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	// Namespaces get their ServiceAccount a moment later.
	var last error
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, startDeadline, true, func(ctx context.Context) (bool, error) {
		_, last = b.client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
		return last == nil, nil
	}); err != nil {
		t.Fatalf("create pod %s: %v", pod.Name, errors.Join(err, last))
	}
}

// submit creates a round of jobs: of each tenant one of each priority, of the
// first also one that fails.
func (b *bench) submit(ctx context.Context) error {
	b.rounds++
	var errs []error
	submit := func(tenant, kind, class, duration string, limit *int64) {
		pod := podOf("", tenant, class, "100m", duration)
		_, err := b.client.BatchV1().Jobs(tenant).Create(ctx, &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", kind, b.rounds), Labels: pod.Labels},
			Spec: batchv1.JobSpec{
				BackoffLimit: ptr.To[int32](0), ActiveDeadlineSeconds: limit,
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels, Annotations: pod.Annotations}, Spec: pod.Spec},
			},
		}, metav1.CreateOptions{})
		errs = append(errs, err)
	}
	for _, tenant := range tenants {
		for _, class := range names.PriorityClasses() {
			submit(tenant, class, class, "1s", nil)
		}
	}
	submit(tenants[0], "fails", names.PriorityLow, "1h", ptr.To[int64](1))
	return errors.Join(errs...)
}
