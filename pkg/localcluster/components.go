// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	_ "embed"
	"fmt"
	"path/filepath"
)

// The components, as auriga-local's command "component" and the logs name them.
const (
	etcd                  = "etcd"
	kubeAPIServer         = "kube-apiserver"
	kubeControllerManager = "kube-controller-manager"
	kubeScheduler         = "kube-scheduler"
	kwok                  = "kwok"
	prometheus            = "prometheus"
)

const (
	// SchedulerQPS limits the stock scheduler's requests, per second. Give a
	// scheduler that is compared with it the same.
	SchedulerQPS = 500
	// SchedulerBurst is how many requests it may send at once.
	SchedulerBurst = 1000

	serviceCIDR = "10.96.0.0/16"
)

//go:embed kwok.yaml
var kwokConfig []byte

// layout is what the components' configurations are made of.
type layout struct {
	files
	ports  ports
	binary string // auriga-local
	kwok   string
	scrape scraping
}

// ports are the ports on 127.0.0.1 that components listen on.
type ports struct {
	etcdClient, etcdPeer, apiServer, controllerManager, scheduler, kwok, prometheus int
}

// pickPorts chooses free ones.
func pickPorts() (ports, error) {
	p, err := FreePorts(7)
	if err != nil {
		return ports{}, err
	}
	return ports{p[0], p[1], p[2], p[3], p[4], p[5], p[6]}, nil
}

func https(port int, path string) string {
	return fmt.Sprintf("https://127.0.0.1:%d%s", port, path)
}

// write writes the credentials and configurations that the components read.
func (l layout) write() error {
	if err := l.mkdirs(); err != nil {
		return err
	}
	if err := writeCredentials(l.files, https(l.ports.apiServer, "")); err != nil {
		return err
	}
	scrape, err := l.prometheusConfig()
	if err != nil {
		return err
	}
	return writeFiles(map[string][]byte{
		l.config(etcd):          []byte(l.etcdConfig()),
		l.config(kubeScheduler): []byte(l.schedulerConfig()),
		l.config(kwok):          kwokConfig,
		l.config(prometheus):    scrape,
	})
}

// On a real cluster schedulers, control plane and kubelets have processors of
// their own. Here they share a few: schedulers, which need little, come first,
// then what they talk to, then what stands for everything else.
const (
	storeNice  = 5  // etcd, kube-apiserver
	othersNice = 10 // kube-controller-manager, kwok, Prometheus
)

// component is one of our own binary's.
func (l layout) component(name string, port int, health string, args ...string) ProcessSpec {
	return ProcessSpec{
		Name: name, Path: l.binary, Args: append([]string{"component", name, "--"}, args...),
		Port: port, HealthURL: https(port, health), lifeline: true,
	}
}

func (l layout) etcd() ProcessSpec {
	spec := l.component(etcd, l.ports.etcdClient, "/health", "--config-file="+l.config(etcd))
	spec.disposable, spec.Nice = true, storeNice
	return spec
}

// etcdConfig turns fsync off: the data does not outlive the cluster.
func (l layout) etcdConfig() string {
	client, peer := https(l.ports.etcdClient, ""), https(l.ports.etcdPeer, "")
	transport := fmt.Sprintf("{cert-file: %q, key-file: %q, trusted-ca-file: %q, client-cert-auth: true}",
		l.cert(etcdPair), l.key(etcdPair), l.cert(etcdCA))
	return fmt.Sprintf(`name: auriga-local
data-dir: %q
listen-client-urls: %s
advertise-client-urls: %s
listen-peer-urls: %s
initial-advertise-peer-urls: %s
initial-cluster: auriga-local=%s
client-transport-security: %s
peer-transport-security: %s
unsafe-no-fsync: true
quota-backend-bytes: 8589934592
# In nanoseconds. Without it every request is slow enough to be logged.
warning-unary-request-duration: 1000000000
logger: zap
log-level: warn
log-outputs: [stderr]
`, filepath.Join(l.dir, "etcd"), client, client, peer, peer, peer, transport, transport)
}

func (l layout) apiServer() ProcessSpec {
	spec := l.component(kubeAPIServer, l.ports.apiServer, "/readyz",
		"--etcd-servers="+https(l.ports.etcdClient, ""),
		"--etcd-cafile="+l.cert(etcdCA),
		"--etcd-certfile="+l.cert(etcdPair),
		"--etcd-keyfile="+l.key(etcdPair),
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		// A loopback address is refused as the endpoint of the Service kubernetes.
		"--endpoint-reconciler-type=none",
		fmt.Sprintf("--secure-port=%d", l.ports.apiServer),
		"--tls-cert-file="+l.cert(servingPair),
		"--tls-private-key-file="+l.key(servingPair),
		"--client-ca-file="+l.cert(clusterCA),
		"--requestheader-client-ca-file="+l.cert(frontProxyCA),
		"--requestheader-allowed-names="+userFrontProxy,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+l.cert(frontProxyPair),
		"--proxy-client-key-file="+l.key(frontProxyPair),
		"--anonymous-auth=false",
		"--authorization-mode=Node,RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+l.key(serviceAccount),
		"--service-account-signing-key-file="+l.key(serviceAccount),
		"--service-cluster-ip-range="+serviceCIDR,
		"--allow-privileged=true",
		// Priority and fairness shares out the sum of both.
		"--max-requests-inflight=1600",
		"--max-mutating-requests-inflight=800",
	)
	spec.disposable, spec.Nice = true, storeNice
	return spec
}

// serving are the flags that all Kubernetes components but the API server share.
func (l layout) serving(name string, port int) []string {
	return []string{
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--tls-cert-file=" + l.cert(servingPair),
		"--tls-private-key-file=" + l.key(servingPair),
		"--client-ca-file=" + l.cert(clusterCA),
		"--authentication-kubeconfig=" + l.kubeconfig(name),
		"--authentication-skip-lookup=true",
		"--authorization-kubeconfig=" + l.kubeconfig(name),
	}
}

func (l layout) controllerManager() ProcessSpec {
	args := append(l.serving(kubeControllerManager, l.ports.controllerManager),
		"--kubeconfig="+l.kubeconfig(kubeControllerManager),
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+l.key(serviceAccount),
		"--root-ca-file="+l.cert(clusterCA),
		// By default it creates 20 pods a second.
		"--kube-api-qps=1000",
		"--kube-api-burst=2000",
		"--concurrent-job-syncs=20",
		// It annotates every node for kubelets, again and again as a cluster grows.
		"--controllers=*,-ttl-controller",
		// As long as kwok's node leases.
		"--node-monitor-grace-period=600s",
		// It would create the default one, outside the data folder.
		"--flex-volume-plugin-dir="+filepath.Join(l.dir, "tmp", "volume-plugins"),
	)
	spec := l.component(kubeControllerManager, l.ports.controllerManager, "/healthz", args...)
	spec.Nice = othersNice
	return spec
}

func (l layout) scheduler() ProcessSpec {
	args := append(l.serving(kubeScheduler, l.ports.scheduler), "--config="+l.config(kubeScheduler))
	return l.component(kubeScheduler, l.ports.scheduler, "/readyz", args...)
}

func (l layout) schedulerConfig() string {
	return fmt.Sprintf(`apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
clientConnection: {kubeconfig: %q, qps: %d, burst: %d}
`, l.kubeconfig(kubeScheduler), SchedulerQPS, SchedulerBurst)
}

func (l layout) kwokProcess() ProcessSpec {
	address := fmt.Sprintf("127.0.0.1:%d", l.ports.kwok)
	return ProcessSpec{
		Name: kwok, Path: l.kwok, Port: l.ports.kwok, HealthURL: "http://" + address + "/healthz", Nice: othersNice,
		Args: []string{
			"--config=" + l.config(kwok),
			"--kubeconfig=" + l.kubeconfig(kwok),
			"--server-address=" + address,
			// It warns of every node without pods, at every scrape.
			"-v=ERROR",
		},
	}
}
