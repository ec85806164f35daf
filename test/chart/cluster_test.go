// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

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
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/localcluster"
	"auriga.dev/auriga/test/fixtures"
)

const (
	clusterTimeout = 3 * time.Minute
	waitTimeout    = 30 * time.Second
	stopTimeout    = 20 * time.Second
	// requestLog is the verbosity at which client-go logs every request.
	requestLog = 6
)

// cluster is a control plane with two simulated workers.
type cluster struct {
	*localcluster.Cluster
	client  kubernetes.Interface
	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clusterTimeout)
	defer cancel()
	started := time.Now()
	local, err := localcluster.Start(ctx, localcluster.Options{Binary: fixtures.Binary(t, "auriga-local"), DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("control plane ready after %.1f s", time.Since(started).Seconds())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := local.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	config, err := local.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{Cluster: local}
	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if c.dynamic, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	c.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.client.Discovery()))
	c.namespace(t, names.Namespace)
	for _, name := range []string{"worker-a", "worker-b"} {
		c.worker(t, name)
	}
	return c
}

// eventually waits until a condition holds; its error says what is missing yet.
func eventually(t *testing.T, condition func(context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, waitTimeout, true, func(ctx context.Context) (bool, error) {
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

// namespace makes a namespace in which pods can be created.
func (c *cluster) namespace(t *testing.T, name string) {
	t.Helper()
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := c.client.CoreV1().Namespaces().Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		_, err := c.client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

func (c *cluster) worker(t *testing.T, name string) {
	t.Helper()
	capacity := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("32"), corev1.ResourceMemory: resource.MustParse("64Gi"), corev1.ResourcePods: resource.MustParse("50"),
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      map[string]string{corev1.LabelHostname: name, corev1.LabelTopologyZone: "zone-1"},
			Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
		},
		Status: corev1.NodeStatus{Capacity: capacity, Allocatable: capacity},
	}
	if _, err := c.client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		node, err := c.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err == nil && len(node.Spec.Taints) > 0 {
			err = fmt.Errorf("node %s is tainted: %+v", name, node.Spec.Taints)
		}
		return err
	})
}

// apply sends an object to the API server, which refuses unknown fields.
func (c *cluster) apply(ctx context.Context, object *unstructured.Unstructured, dryRun ...string) error {
	kind := object.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	client := dynamic.ResourceInterface(c.dynamic.Resource(mapping.Resource))
	if object.GetNamespace() != "" {
		client = c.dynamic.Resource(mapping.Resource).Namespace(object.GetNamespace())
	}
	data, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = client.Patch(ctx, object.GetName(), types.ApplyPatchType, data, metav1.PatchOptions{
		FieldManager: "test", FieldValidation: metav1.FieldValidationStrict, DryRun: dryRun, Force: ptr.To(true),
	})
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind.Kind, object.GetName(), err)
	}
	return nil
}

// install applies rendered objects, hooks left out, as `helm install` does.
func (c *cluster) install(t *testing.T, rendered objects) {
	t.Helper()
	for _, object := range rendered {
		if object.GetAnnotations()["helm.sh/hook"] != "" {
			continue
		}
		if err := c.apply(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	c.mapper.Reset() // for what new definitions define
}

// TestCluster installs the chart on a real control plane and runs the real
// scheduler with the chart's configuration and permissions.
func TestCluster(t *testing.T) {
	c := startCluster(t)

	for name, args := range valueSets {
		t.Run("dry run/"+name, func(t *testing.T) {
			// No Prometheus operator here, hence no ServiceMonitor.
			for _, object := range render(t, append(args[:len(args):len(args)], "--set", "metrics.serviceMonitor.enabled=false")...) {
				if err := c.apply(t.Context(), object, metav1.DryRunAll); err != nil {
					t.Error(err)
				}
			}
		})
	}

	t.Run("default", func(t *testing.T) {
		rendered := render(t)
		c.install(t, rendered)
		w := workload{cluster: c, namespace: "work", scheduler: names.Scheduler}
		used := c.schedule(t, rendered, func(t *testing.T) {
			c.namespace(t, w.namespace)
			w.volumes(t)
			w.devices(t)
			w.preemption(t)
		})
		used = used.Union(c.control(t, rendered))

		// Every right is used, but for those whose occasion cannot be made here.
		role := one[rbacv1.ClusterRole](t, rendered, "ClusterRole")
		occasional := sets.New(
			// A repetition of an event, after some time.
			"patch core/events", "patch events.k8s.io/events",
			// A claim changed by somebody else in the same moment; a placement taken back.
			"get resource.k8s.io/resourceclaims", "patch resource.k8s.io/resourceclaims/status",
			// Nothing is lent here: see test/integration/controller.
			"create core/pods/eviction",
			// Kubernetes 1.36.
			"update resource.k8s.io/resourceclaims/binding", "patch resource.k8s.io/resourceclaims/binding",
		)
		unused := expand(t, role.Rules).Difference(used).Difference(occasional)
		if diff := gocmp.Diff([]string{}, sets.List(unused)); diff != "" {
			t.Errorf("rights that nothing uses (+):\n%s", diff)
		}
		lease := expand(t, one[rbacv1.Role](t, rendered, "Role").Rules)
		if diff := gocmp.Diff([]string{}, sets.List(lease.Difference(used))); diff != "" {
			t.Errorf("rights to the Leases that nothing uses (+):\n%s", diff)
		}
	})

	t.Run("gang", func(t *testing.T) {
		const scheduler = "gang"
		rendered := render(t, append(valueSets["gang"][:2:2],
			"--set", "scheduler.name="+scheduler, "--set", "scheduler.leaderElection.resourceName=gang", "--set", "fullnameOverride=gang")...)
		c.install(t, rendered)
		w := workload{cluster: c, namespace: "gangs", scheduler: scheduler}
		used := c.schedule(t, rendered, func(t *testing.T) {
			c.namespace(t, w.namespace)
			w.gang(t)
		})
		want := sets.New(
			"list scheduling.x-k8s.io/podgroups", "watch scheduling.x-k8s.io/podgroups",
			"list scheduling.x-k8s.io/elasticquotas", "watch scheduling.x-k8s.io/elasticquotas",
		)
		if missing := want.Difference(used); len(missing) > 0 {
			t.Errorf("rights that nothing uses: %v", sets.List(missing))
		}
	})
}

// schedule runs auriga-scheduler as the chart's ServiceAccount with the chart's
// configuration while work runs, and returns the permissions that it used.
func (c *cluster) schedule(t *testing.T, rendered objects, work func(*testing.T)) permissions {
	t.Helper()
	account := one[corev1.ServiceAccount](t, rendered, "ServiceAccount")
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	c.writeKubeconfig(t, kubeconfig, c.token(t, account.Namespace, account.Name))
	config := filepath.Join(dir, configKey)
	writeConfig(t, config, one[corev1.ConfigMap](t, rendered, "ConfigMap").Data[configKey], kubeconfig)

	ports, err := localcluster.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	cert, key := c.ServingCertificate()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	process, err := c.StartProcess(ctx, localcluster.ProcessSpec{
		Name: account.Name, Path: fixtures.Binary(t, "auriga-scheduler"), Port: ports[0], HealthURL: "https://" + address + "/readyz",
		Args: []string{
			"--config=" + config, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(ports[0]), "--tls-cert-file=" + cert, "--tls-private-key-file=" + key,
			"--v=" + strconv.Itoa(requestLog),
			// Informers then list before they watch, as they do wherever streaming
			// a list is not possible.
			"--feature-gates=WatchListClient=false",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	work(t)
	c.readMetrics(t, address, "scheduler_schedule_attempts_total")
	return c.permissions(t, process)
}

// control runs auriga-controller as the chart's ServiceAccount with the chart's
// flags until it has labelled the workers and written about a label that it
// leaves alone, and returns the permissions that it used.
func (c *cluster) control(t *testing.T, rendered objects) permissions {
	t.Helper()
	const kept = "worker-b"
	c.label(t, kept, names.LabelZone, "mine")
	account := one[corev1.ServiceAccount](t, rendered, "ServiceAccount")
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	c.writeKubeconfig(t, kubeconfig, c.token(t, account.Namespace, account.Name))
	ports, err := localcluster.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	metrics, probes := fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	cert, key := c.ServingCertificate()
	containers := one[appsv1.Deployment](t, rendered, "Deployment").Spec.Template.Spec.Containers
	// A flag that is given again counts as given last.
	args := append(containers[len(containers)-1].Args,
		"--kubeconfig="+kubeconfig, "--metrics-bind-address="+metrics, "--health-probe-bind-address="+probes,
		"--tls-cert-file="+cert, "--tls-private-key-file="+key, "--v="+strconv.Itoa(requestLog))

	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	process, err := c.StartProcess(ctx, localcluster.ProcessSpec{
		Name: account.Name + "-controller", Path: fixtures.Binary(t, "auriga-controller"), Args: args,
		Port: ports[0], HealthURL: "http://" + probes + "/readyz",
		Env: []string{"KUBE_FEATURE_WatchListClient=false"}, // as for the scheduler
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		node, err := c.client.CoreV1().Nodes().Get(ctx, "worker-a", metav1.GetOptions{})
		if err == nil && node.Labels[names.LabelZone] != "zone-1" {
			err = fmt.Errorf("%s has no profile: %v", node.Name, node.Labels)
		}
		return err
	})
	eventually(t, func(ctx context.Context) error {
		events, err := c.client.EventsV1().Events("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, event := range events.Items {
			if event.Reason == "ProfileLabelKept" && event.Regarding.Name == kept {
				return nil
			}
		}
		return fmt.Errorf("no event about the label of %s", kept)
	})
	c.readMetrics(t, metrics, "auriga_node_profile_info")
	return c.permissions(t, process)
}

// label sets a label of a node.
func (c *cluster) label(t *testing.T, node, label, value string) {
	t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%q}}}`, label, value)
	if _, err := c.client.CoreV1().Nodes().Patch(t.Context(), node, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// permissions ends a process that logs its requests and returns what they
// needed. It fails if any was refused.
func (c *cluster) permissions(t *testing.T, process *localcluster.Process) permissions {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stopTimeout)
	defer cancel()
	if err := c.StopProcess(ctx, process); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(process.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(strings.ToLower(line), "forbidden") {
			t.Errorf("the chart's permissions do not suffice: %s", line)
		}
	}
	return requests(t, string(log))
}

// token returns a token of a ServiceAccount.
func (c *cluster) token(t *testing.T, namespace, name string) string {
	t.Helper()
	token, err := c.client.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return token.Status.Token
}

func (c *cluster) writeKubeconfig(t *testing.T, path, token string) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	}
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
}

// writeConfig writes the chart's configuration with the one thing that differs
// outside a pod: the kubeconfig.
func writeConfig(t *testing.T, path, data, kubeconfig string) {
	t.Helper()
	var config map[string]any
	if err := yaml.UnmarshalStrict([]byte(data), &config); err != nil {
		t.Fatal(err)
	}
	if err := unstructured.SetNestedField(config, kubeconfig, "clientConnection", "kubeconfig"); err != nil {
		t.Fatal(err)
	}
	out, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
}

// readMetrics reads /metrics as Prometheus does, with a token: the server asks
// the API server whose it is and what that one may do. want is one of the metrics.
func (c *cluster) readMetrics(t *testing.T, address, want string) {
	t.Helper()
	const reader = "metrics-reader"
	meta := metav1.ObjectMeta{Name: reader}
	objects := []any{
		&rbacv1.ClusterRole{
			TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"}, ObjectMeta: meta,
			Rules: []rbacv1.PolicyRule{{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}},
		},
		&rbacv1.ClusterRoleBinding{
			TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRoleBinding"}, ObjectMeta: meta,
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: reader},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: names.Namespace, Name: "default"}},
		},
	}
	for _, object := range objects {
		c.applyTyped(t, object)
	}
	pem, err := os.ReadFile(c.CertificateAuthority())
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate authority")
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token(t, names.Namespace, "default"))
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
		t.Errorf("metrics: %s: %.200s", resp.Status, body)
	}
}

func (c *cluster) applyTyped(t *testing.T, object any) {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	var u unstructured.Unstructured
	if err := json.Unmarshal(data, &u.Object); err != nil {
		t.Fatal(err)
	}
	if err := c.apply(t.Context(), &u); err != nil {
		t.Fatal(err)
	}
}

var response = regexp.MustCompile(`"Response" (?:.* )?verb="([A-Z]+)" url="([^"]+)"`)

// requests returns what the requests in a process's log need permission for.
func requests(t *testing.T, log string) permissions {
	t.Helper()
	used := permissions{}
	resolver := request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	for _, match := range response.FindAllStringSubmatch(log, -1) {
		req, err := http.NewRequestWithContext(t.Context(), match[1], match[2], nil)
		if err != nil {
			t.Fatal(err)
		}
		info, err := resolver.NewRequestInfo(req)
		if err != nil {
			t.Fatal(err)
		}
		if !info.IsResourceRequest {
			continue
		}
		name := info.Resource
		if info.Subresource != "" {
			name += "/" + info.Subresource
		}
		used.Insert(permission(info.Verb, info.APIGroup, name))
	}
	if len(used) == 0 {
		t.Fatal("no request in the log")
	}
	return used
}
