// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/localcluster"
)

// TestCluster: what a cluster offers while it runs.
func TestCluster(t *testing.T) {
	cluster := start(t, localcluster.Options{})
	config, err := cluster.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)

	t.Run("version", func(t *testing.T) {
		v, err := client.Discovery().ServerVersion()
		if err != nil {
			t.Fatal(err)
		}
		if v.Major != "1" || v.Minor != "35" || !strings.HasPrefix(v.GitVersion, "v1.35.8") {
			t.Errorf("version %s (%s.%s), want v1.35.8: build with the Makefile's flags", v.GitVersion, v.Major, v.Minor)
		}
	})
	t.Run("healthy", func(t *testing.T) {
		state := inspect(t, cluster.DataDir())
		pids(t, state)
		if !state.Healthy() {
			t.Errorf("%+v", state)
		}
	})
	t.Run("only loopback", func(t *testing.T) { testListeners(t, inspect(t, cluster.DataDir())) })
	t.Run("private files", func(t *testing.T) { testPrivate(t, cluster.DataDir()) })
	t.Run("no anonymous access", func(t *testing.T) {
		anonymous := kubernetes.NewForConfigOrDie(rest.AnonymousClientConfig(config))
		if _, err := anonymous.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
			t.Errorf("%v, want Unauthorized", err)
		}
	})
	t.Run("tokens and RBAC", func(t *testing.T) { testToken(t, client, config) })
	t.Run("kwok may do no more than kubelets", func(t *testing.T) { testKwokRights(t, client) })

	createNode(t, client, "worker")
	t.Run("node becomes ready", func(t *testing.T) {
		eventually(t, "ready, without taints, with a lease", func(ctx context.Context) (bool, error) {
			node, err := client.CoreV1().Nodes().Get(ctx, "worker", metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			_, leaseErr := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, "worker", metav1.GetOptions{})
			return nodeReady(node) && len(node.Spec.Taints) == 0 && leaseErr == nil, nil
		})
	})
	t.Run("pods", func(t *testing.T) { testPods(t, client) })
	t.Run("jobs", func(t *testing.T) { testJobs(t, client) })
}

func createNode(t *testing.T, client kubernetes.Interface, name string) {
	t.Helper()
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("4"),
		corev1.ResourceMemory: resource.MustParse("8Gi"),
		corev1.ResourcePods:   resource.MustParse("110"),
	}
	_, err := client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"}},
		Status:     corev1.NodeStatus{Capacity: capacity, Allocatable: capacity},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func nodeReady(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		Containers:    []corev1.Container{{Name: "main", Image: "registry.invalid/x"}},
	}
}

// testPods: the stock scheduler binds them, kwok runs them.
func testPods(t *testing.T, client kubernetes.Interface) {
	pods := client.CoreV1().Pods(metav1.NamespaceDefault)
	for name, annotations := range map[string]map[string]string{
		"service": nil,
		"task":    {names.AnnotationRunDuration: "1.5s"},
	} {
		meta := metav1.ObjectMeta{Name: name, Annotations: annotations}
		if _, err := pods.Create(t.Context(), &corev1.Pod{ObjectMeta: meta, Spec: podSpec()}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	phase := func(name string, want corev1.PodPhase) *corev1.Pod {
		var pod *corev1.Pod
		eventually(t, fmt.Sprintf("%s is %s", name, want), func(ctx context.Context) (_ bool, err error) {
			pod, err = pods.Get(ctx, name, metav1.GetOptions{})
			return err == nil && pod.Status.Phase == want, err
		})
		return pod
	}

	running := phase("service", corev1.PodRunning)
	if running.Spec.NodeName != "worker" || running.Status.PodIP == "" {
		t.Errorf("node %q, IP %q", running.Spec.NodeName, running.Status.PodIP)
	}
	task := phase("task", corev1.PodSucceeded)
	ended := task.Status.ContainerStatuses[0].State.Terminated
	// Kubernetes' times have whole seconds.
	if ran := ended.FinishedAt.Sub(ended.StartedAt.Time); ran < time.Second || ended.ExitCode != 0 {
		t.Errorf("it ran %s, want 1.5 s; exit code %d", ran, ended.ExitCode)
	}
	// A pod that says nothing and belongs to no Job runs on.
	if pod := phase("service", corev1.PodRunning); pod.DeletionTimestamp != nil {
		t.Error("the service is being deleted")
	}

	for _, name := range []string{"service", "task"} {
		if err := pods.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, name+" is deleted", func(ctx context.Context) (bool, error) {
			_, err := pods.Get(ctx, name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return true, nil
			}
			return false, err
		})
	}
}

func testJobs(t *testing.T, client kubernetes.Interface) {
	jobs := client.BatchV1().Jobs(metav1.NamespaceDefault)
	for name, annotations := range map[string]map[string]string{
		"default-duration": nil,
		"own-duration":     {names.AnnotationRunDuration: "100ms"},
	} {
		_, err := jobs.Create(t.Context(), &batchv1.Job{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Annotations: annotations},
				Spec:       podSpec(),
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, name+" is complete", func(ctx context.Context) (bool, error) {
			job, err := jobs.Get(ctx, name, metav1.GetOptions{})
			return err == nil && job.Status.CompletionTime != nil && job.Status.Succeeded == 1, err
		})
	}
}

// testToken: a ServiceAccount's token is accepted and gives no rights but its own.
func testToken(t *testing.T, client kubernetes.Interface, admin *rest.Config) {
	request, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).CreateToken(t.Context(), "default",
		&authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(admin)
	config.BearerToken = request.Status.Token
	account := kubernetes.NewForConfigOrDie(config)
	self, err := account.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("system:serviceaccount:default:default", self.Status.UserInfo.Username); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if _, err := account.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("list nodes: %v, want Forbidden", err)
	}
}

func testKwokRights(t *testing.T, client kubernetes.Interface) {
	for _, test := range []struct {
		group, resource, sub, verb, namespace string
		want                                  bool
	}{
		{"", "nodes", "", "list", "", true},
		{"", "nodes", "status", "patch", "", true},
		{"", "nodes", "", "delete", "", false},
		{"", "nodes", "", "update", "", false},
		{"", "pods", "status", "patch", "default", true},
		{"", "pods", "binding", "create", "default", false},
		{"", "pods", "", "create", "default", false},
		{"", "secrets", "", "get", "default", false},
		{"coordination.k8s.io", "leases", "", "update", "kube-node-lease", true},
		{"coordination.k8s.io", "leases", "", "update", "kube-system", false},
	} {
		review, err := client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: "auriga-local:kwok", ResourceAttributes: &authorizationv1.ResourceAttributes{
				Group: test.group, Resource: test.resource, Subresource: test.sub, Verb: test.verb, Namespace: test.namespace,
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if review.Status.Allowed != test.want {
			t.Errorf("%+v: allowed %t", test, review.Status.Allowed)
		}
	}
}

// testListeners reads what sockets the kernel says the components listen on.
func testListeners(t *testing.T, state localcluster.State) {
	for name, pid := range pids(t, state) {
		n := 0
		for _, address := range listeners(t, pid) {
			n++
			if !address.Addr().IsLoopback() {
				t.Errorf("%s listens on %s", name, address)
			}
		}
		want := 1
		if name == "etcd" {
			want = 2 // clients and peers
		}
		if n != want {
			t.Errorf("%s has %d listeners, want %d", name, n, want)
		}
	}
}

// listeners are the addresses on which a process listens.
func listeners(t *testing.T, pid int) []netip.AddrPort {
	t.Helper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	inodes := map[string]bool{}
	for _, fd := range fds {
		link, err := os.Readlink(fd)
		if inode, ok := strings.CutPrefix(link, "socket:["); ok && err == nil {
			inodes[strings.TrimSuffix(inode, "]")] = true
		}
	}
	var found []netip.AddrPort
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a system without IPv6
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(data), "\n")[1:] {
			// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
			field := strings.Fields(line)
			const listen, unconnected = "0A", "07"
			if len(field) > 9 && inodes[field[9]] && (field[3] == listen || field[3] == unconnected) {
				found = append(found, parseAddress(t, field[1]))
			}
		}
	}
	return found
}

// parseAddress reads an address of /proc/net: 32-bit words in the byte order
// of the machine (little-endian here), and the port.
func parseAddress(t *testing.T, s string) netip.AddrPort {
	t.Helper()
	var raw []byte
	var port uint16
	address, portHex, _ := strings.Cut(s, ":")
	if _, err := fmt.Sscanf(address, "%x", &raw); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(portHex, "%x", &port); err != nil {
		t.Fatal(err)
	}
	for i := 0; i+3 < len(raw); i += 4 {
		raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
	}
	ip, ok := netip.AddrFromSlice(raw)
	if !ok {
		t.Fatalf("not an address: %q", s)
	}
	return netip.AddrPortFrom(ip.Unmap(), port)
}

// testPrivate: nobody else can read the folder, and no key in it.
func testPrivate(t *testing.T, dir string) {
	for _, path := range []string{dir, filepath.Join(dir, "pki", "admin.key"), filepath.Join(dir, "admin.kubeconfig")} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
	}
}
