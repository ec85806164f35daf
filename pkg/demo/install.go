// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/localcluster"
)

const (
	// schedulerName and controllerName are the binaries and the processes.
	schedulerName  = "auriga-scheduler"
	controllerName = "auriga-controller"
	// release is the name under which the chart is installed; it names the
	// chart's objects, too.
	release = "auriga"
	// serviceAccount and configMap are the chart's, for that release.
	serviceAccount = "auriga-scheduler"
	configMap      = "auriga-scheduler"
	// deployment and controllerContainer are the chart's, too.
	deployment          = "auriga-scheduler"
	controllerContainer = "controller"
	// configKey is the file in the ConfigMap.
	configKey = "scheduler.yaml"
	// tokenLifetime is longer than any demo.
	tokenLifetime = 24 * time.Hour
	helmTimeout   = 2 * time.Minute
)

// installChart installs Auriga as a user would, with helm.
func (r *run) installChart(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*helmTimeout, fmt.Errorf("helm did not end within %v", 2*helmTimeout))
	defer cancel()
	helm := filepath.Join(filepath.Dir(r.Binary), "tools", "helm")
	home := filepath.Join(r.cluster.DataDir(), "helm")
	command := exec.CommandContext(ctx, helm, "install", release, r.Chart,
		"--namespace", names.Namespace, "--create-namespace",
		"--set", "prometheus.address="+r.cluster.PrometheusURL(),
		"--wait", "--timeout", helmTimeout.String(),
		"--kubeconfig", r.cluster.Kubeconfig())
	// Nothing of the user's own helm is read or written.
	command.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	// Ctrl-C reaches it through the context, as it does everything else here.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("%s is missing: run `make build` first", helm)
		}
		return "", fmt.Errorf("helm install: %w\n%s", errors.Join(context.Cause(ctx), err), output.String())
	}
	return "installed as a user would: helm install " + release + ", namespace " + names.Namespace, nil
}

// schedulerProcess is the auriga-scheduler that the demo runs.
type schedulerProcess struct {
	address string // host:port of its secure port
	logFile string
}

// startAuriga runs the real scheduler and controller with the chart's
// configuration as the chart's ServiceAccount. The Deployment's own pods run on
// simulated workers and do nothing.
func (r *run) startAuriga(ctx context.Context) (string, error) {
	folder := filepath.Join(r.cluster.DataDir(), "auriga-scheduler")
	if err := os.Mkdir(folder, 0o700); err != nil {
		return "", err
	}
	kubeconfig := filepath.Join(folder, "kubeconfig")
	if err := r.writeAccount(ctx, kubeconfig); err != nil {
		return "", err
	}
	config := filepath.Join(folder, configKey)
	if err := r.writeConfig(ctx, config, kubeconfig); err != nil {
		return "", err
	}
	if err := r.runScheduler(ctx, config, kubeconfig); err != nil {
		return "", err
	}
	if err := r.awaitLeader(ctx); err != nil {
		return "", err
	}
	beside, err := r.startController(ctx, kubeconfig)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("auriga-scheduler leads, %s, as system:serviceaccount:%s:%s", beside, names.Namespace, serviceAccount), nil
}

// startController runs the controller, if the chart has one in its Deployment,
// as that does, and says whether.
func (r *run) startController(ctx context.Context, kubeconfig string) (string, error) {
	found, err := r.client.AppsV1().Deployments(names.Namespace).Get(ctx, deployment, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("read how the chart runs the controller: %w", err)
	}
	containers := found.Spec.Template.Spec.Containers
	i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == controllerContainer })
	if i < 0 {
		return "the chart runs no controller beside it", nil
	}
	ports, err := localcluster.FreePorts(2)
	if err != nil {
		return "", err
	}
	cert, key := r.cluster.ServingCertificate()
	process, err := r.cluster.StartProcess(ctx, localcluster.ProcessSpec{
		Name: controllerName,
		Path: filepath.Join(filepath.Dir(r.Binary), controllerName),
		// The chart's arguments are for a pod in the cluster; of flags given
		// twice the last one counts, and these are what differs outside.
		Args: append(slices.Clone(containers[i].Args),
			"--kubeconfig="+kubeconfig,
			fmt.Sprintf("--metrics-bind-address=127.0.0.1:%d", ports[0]),
			fmt.Sprintf("--health-probe-bind-address=127.0.0.1:%d", ports[1]),
			"--tls-cert-file="+cert,
			"--tls-private-key-file="+key,
		),
		Port:      ports[0],
		HealthURL: fmt.Sprintf("http://127.0.0.1:%d/readyz", ports[1]),
	})
	if err != nil {
		return "", err
	}
	r.controllerLog = process.LogFile()
	err = r.cluster.AddScrapeTarget(controllerName, fmt.Sprintf("https://127.0.0.1:%d/metrics", ports[0]),
		map[string]string{"namespace": names.Namespace})
	return "auriga-controller is beside it", err
}

// writeAccount writes a kubeconfig with a token of the chart's ServiceAccount.
func (r *run) writeAccount(ctx context.Context, path string) error {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: ptr.To(int64(tokenLifetime.Seconds())),
	}}
	token, err := r.client.CoreV1().ServiceAccounts(names.Namespace).CreateToken(ctx, serviceAccount, request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("get a token of the chart's ServiceAccount: %w", err)
	}
	config, err := clientcmd.LoadFromFile(r.cluster.Kubeconfig())
	if err != nil {
		return fmt.Errorf("read the administrator's kubeconfig: %w", err)
	}
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	}
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("write the scheduler's kubeconfig: %w", err)
	}
	return nil
}

// writeConfig writes the chart's configuration, which is for a pod in the
// cluster, with the one thing that differs outside: the kubeconfig.
func (r *run) writeConfig(ctx context.Context, path, kubeconfig string) error {
	found, err := r.client.CoreV1().ConfigMaps(names.Namespace).Get(ctx, configMap, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read the scheduler's configuration from the cluster: %w", err)
	}
	var config map[string]any
	if err := yaml.UnmarshalStrict([]byte(found.Data[configKey]), &config); err != nil {
		return fmt.Errorf("read %s in ConfigMap %s: %w", configKey, configMap, err)
	}
	if err := unstructured.SetNestedField(config, kubeconfig, "clientConnection", "kubeconfig"); err != nil {
		return fmt.Errorf("change %s of ConfigMap %s: %w", configKey, configMap, err)
	}
	data, err := yaml.Marshal(config)
	if err != nil {
		return fmt.Errorf("encode the scheduler's configuration: %w", err)
	}
	return os.WriteFile(path, data, 0o600)
}

// runScheduler runs the binary beside auriga-local and waits until it serves.
func (r *run) runScheduler(ctx context.Context, config, kubeconfig string) error {
	ports, err := localcluster.FreePorts(1)
	if err != nil {
		return err
	}
	cert, key := r.cluster.ServingCertificate()
	r.scheduler.address = fmt.Sprintf("127.0.0.1:%d", ports[0])
	process, err := r.cluster.StartProcess(ctx, localcluster.ProcessSpec{
		Name: schedulerName,
		Path: filepath.Join(filepath.Dir(r.Binary), schedulerName),
		Args: []string{
			"--config=" + config,
			"--bind-address=127.0.0.1",
			fmt.Sprintf("--secure-port=%d", ports[0]),
			"--tls-cert-file=" + cert,
			"--tls-private-key-file=" + key,
			"--authentication-kubeconfig=" + kubeconfig,
			"--authorization-kubeconfig=" + kubeconfig,
		},
		Port:      ports[0],
		HealthURL: "https://" + r.scheduler.address + "/healthz",
	})
	if err != nil {
		return err
	}
	r.scheduler.logFile = process.LogFile()
	return r.cluster.AddScrapeTarget(schedulerName, "https://"+r.scheduler.address+"/metrics",
		map[string]string{"namespace": names.Namespace})
}

// awaitLeader waits until the scheduler holds its lease.
func (r *run) awaitLeader(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, time.Second/4, r.StallTimeout, true, func(ctx context.Context) (bool, error) {
		lease, err := r.client.CoordinationV1().Leases(names.Namespace).Get(ctx, names.Lease, metav1.GetOptions{})
		last = err
		return err == nil && ptr.Deref(lease.Spec.HolderIdentity, "") != "", r.cluster.Err()
	})
	if err != nil {
		return fmt.Errorf("auriga-scheduler did not become the leader: %w", errors.Join(err, last))
	}
	return nil
}

// measure reads the scheduler's histograms, and its log and the controller's.
func (r *run) measure(ctx context.Context) (string, error) {
	admin, err := r.cluster.RESTConfig()
	if err != nil {
		return "", err
	}
	metrics, err := scrape(ctx, admin, r.scheduler.address)
	if err != nil {
		return "", err
	}
	r.report.latencies(metrics, names.Scheduler)
	for _, file := range []string{r.scheduler.logFile, r.controllerLog} {
		if file == "" {
			continue // the chart runs no controller
		}
		log, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read what Auriga logged: %w", err)
		}
		if lines := forbidden(string(log)); len(lines) > 0 {
			return "", fmt.Errorf("the chart's RBAC lacks a permission: the API server refused %d requests, the first: %s", len(lines), lines[0])
		}
	}
	return "the chart's permissions were enough: nothing was forbidden to it", nil
}
