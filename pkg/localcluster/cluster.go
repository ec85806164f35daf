// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// startAttempts bounds the retries when a chosen port was taken meanwhile.
	startAttempts = 3
	// minFreeBytes is what a small cluster writes in its first minutes: etcd
	// alone allocates 64 MiB for its log at once, and a second such file soon.
	minFreeBytes = 256 << 20
)

// Options say how to start a cluster. The zero value works where auriga-local
// itself is running.
type Options struct {
	// DataDir is the data folder: new, empty, or left by a dead local cluster
	// (then it is emptied). Default: a new folder in the system's temporary one.
	DataDir string
	// Binary is auriga-local. Default: the running executable.
	Binary string
	// ToolsDir is the folder of the binaries kwok and prometheus. Default: the
	// folder "tools" beside Binary.
	ToolsDir string
	// ScrapeInterval is how often Prometheus reads the metrics of the simulated
	// nodes and of the targets that AddScrapeTarget adds. Default: 5 seconds, for
	// a toy; a scrape of 1000 nodes is worth 15.
	ScrapeInterval time.Duration
	// RuleFiles are files with Prometheus' recording and alerting rules.
	RuleFiles []string
	// StartTimeout bounds Start. Default: 2 minutes.
	StartTimeout time.Duration
	// StopGrace is how long all processes together may take to end after
	// SIGTERM, before SIGKILL. Default: 10 seconds.
	StopGrace time.Duration
	// Log gets a line for every step. Default: nothing. The lines are also
	// written to logs/supervisor.log.
	Log io.Writer

	pickPorts func() (ports, error)
	minFree   uint64 // bytes
}

// complete sets defaults and looks for the binaries.
func (o Options) complete() (Options, error) {
	if o.StartTimeout == 0 {
		o.StartTimeout = 2 * time.Minute
	}
	if o.StopGrace == 0 {
		o.StopGrace = 10 * time.Second
	}
	if o.ScrapeInterval == 0 {
		o.ScrapeInterval = 5 * time.Second
	}
	if o.ScrapeInterval < time.Second {
		return o, fmt.Errorf("a scrape interval of %v is too short: want at least 1s", o.ScrapeInterval)
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.pickPorts == nil {
		o.pickPorts = pickPorts
	}
	if o.minFree == 0 {
		o.minFree = minFreeBytes
	}
	if o.Binary == "" {
		self, err := os.Executable()
		if err != nil {
			return o, fmt.Errorf("find auriga-local: %w", err)
		}
		o.Binary = self
	}
	if o.ToolsDir == "" {
		o.ToolsDir = filepath.Join(filepath.Dir(o.Binary), "tools")
	}
	o.RuleFiles = slices.Clone(o.RuleFiles)
	paths := []*string{&o.Binary, &o.ToolsDir, &o.DataDir}
	for i := range o.RuleFiles {
		paths = append(paths, &o.RuleFiles[i])
	}
	for _, p := range paths {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return o, err
		}
		*p = abs
	}
	for _, binary := range []string{o.Binary, o.kwok(), o.prometheus()} {
		if _, err := exec.LookPath(binary); err != nil {
			return o, fmt.Errorf("a binary is missing: %w: run `make build`, or name the folder of kwok and prometheus with --tools-dir", err)
		}
	}
	return o, nil
}

func (o Options) kwok() string       { return filepath.Join(o.ToolsDir, kwok) }
func (o Options) prometheus() string { return filepath.Join(o.ToolsDir, prometheus) }

// Cluster is a running control plane.
type Cluster struct {
	options    Options
	layout     layout
	lock       *os.File
	log        io.Writer
	logFile    *os.File
	supervisor *supervisor
	started    time.Time

	stopOnce sync.Once
	stopErr  error

	mu    sync.Mutex // orders the writes of the state
	ready bool
}

// Start starts a cluster and waits until it is ready. If it fails or ctx ends
// before that, nothing of it is left. ctx bounds the start only: end a started
// cluster with Stop. If another supervisor has the data folder, the error is a
// *RunningError.
func Start(ctx context.Context, o Options) (_ *Cluster, err error) {
	o, err = o.complete()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.StartTimeout, fmt.Errorf("not ready after %s", o.StartTimeout))
	defer cancel()

	if o.DataDir == "" {
		if o.DataDir, err = os.MkdirTemp("", "auriga-local-"); err != nil {
			return nil, fmt.Errorf("make the data folder: %w", err)
		}
	}
	lock, stale, err := claim(ctx, o.DataDir)
	if err != nil {
		return nil, err
	}
	if stale {
		logf(o.Log, "removed what a dead cluster had left in %s", o.DataDir)
	}

	for attempt := 1; ; attempt++ {
		var c *Cluster
		if c, err = start(ctx, o, lock); err == nil {
			return c, nil
		}
		if attempt == startAttempts || !portTaken(err) || ctx.Err() != nil {
			break
		}
		logf(o.Log, "another process took a port meanwhile; trying others")
		if err = removeContents(ctx, o.DataDir); err != nil {
			break
		}
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, context.Canceled):
		err = fmt.Errorf("the start was cancelled: %w", cause)
	case cause != nil:
		err = fmt.Errorf("%w: %w", cause, err)
	}
	err = explain(err, o.DataDir)
	// ctx may be what ended the start; cleaning up has its own deadline.
	return nil, errors.Join(err, removeDir(context.WithoutCancel(ctx), o.DataDir), lock.Close())
}

// portTaken says whether a component ended because its port was not free.
func portTaken(err error) bool {
	var exit *ExitError
	return errors.As(err, &exit) && strings.Contains(strings.Join(exit.Tail, "\n"), syscall.EADDRINUSE.Error())
}

// explain adds what to do about a full disk.
func explain(err error, dir string) error {
	if strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return fmt.Errorf("not enough space in %s: free some, or choose another folder with --data-dir: %w", dir, err)
	}
	return err
}

// start makes one attempt with one choice of ports.
func start(ctx context.Context, o Options, lock *os.File) (*Cluster, error) {
	if err := checkSpace(o.DataDir, o.minFree); err != nil {
		return nil, err
	}
	ports, err := o.pickPorts()
	if err != nil {
		return nil, err
	}
	c := &Cluster{
		options: o, lock: lock, started: time.Now(),
		layout: layout{files: files{o.DataDir}, ports: ports, binary: o.Binary, kwok: o.kwok(),
			scrape: scraping{binary: o.prometheus(), interval: o.ScrapeInterval, rules: o.RuleFiles}},
	}
	if err := c.layout.write(); err != nil {
		return nil, fmt.Errorf("write the cluster's configuration: %w", err)
	}
	c.logFile, err = os.OpenFile(c.layout.log("supervisor"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	c.log = io.MultiWriter(c.logFile, o.Log)
	c.supervisor, err = newSupervisor(c.layout.files, o.StopGrace, c.writeState, c.ended)
	if err != nil {
		return nil, errors.Join(err, c.logFile.Close())
	}
	if err := c.startComponents(ctx); err != nil {
		// A component that died is the cause of all that failed after it.
		c.supervisor.end(context.WithoutCancel(ctx))
		if first := c.supervisor.endedBy(); first != nil {
			err = first
		}
		return nil, errors.Join(err, c.logFile.Close())
	}
	c.mu.Lock()
	c.ready = true
	c.mu.Unlock()
	c.writeState()
	c.logf("ready after %.1f s", time.Since(c.started).Seconds())
	return c, nil
}

// checkSpace fails early and clearly where etcd would fail late.
func checkSpace(dir string, need uint64) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("find the free space of %s: %w", dir, err)
	}
	if free := uint64(fs.Bavail) * uint64(fs.Bsize); free < need { //nolint:unconvert // signed on other systems
		return fmt.Errorf("%d MiB are free, a local cluster needs %d: %w", free>>20, need>>20, syscall.ENOSPC)
	}
	return nil
}

func (c *Cluster) startComponents(ctx context.Context) error {
	if err := c.startAndWait(ctx, c.layout.etcd()); err != nil {
		return err
	}
	if err := c.startAndWait(ctx, c.layout.apiServer()); err != nil {
		return err
	}
	admin, err := c.client(adminPair)
	if err != nil {
		return err
	}
	asKwok, err := c.client(kwok)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := c.startAndWait(ctx, c.layout.controllerManager()); err != nil {
			return err
		}
		return waitServiceAccount(ctx, admin)
	})
	g.Go(func() error { return c.startAndWait(ctx, c.layout.scheduler()) })
	g.Go(func() error {
		if err := createKwokRoles(ctx, admin, asKwok); err != nil {
			return err
		}
		return c.startAndWait(ctx, c.layout.kwokProcess())
	})
	g.Go(func() error {
		token, err := createPrometheusRoles(ctx, admin)
		if err != nil {
			return err
		}
		if err := writeFiles(map[string][]byte{c.layout.token(prometheus): []byte(token)}); err != nil {
			return err
		}
		return c.startAndWait(ctx, c.layout.prometheusProcess())
	})
	return g.Wait()
}

// client talks to the API server as one of the users that have a kubeconfig.
func (c *Cluster) client(name string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.layout.kubeconfig(name))
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

func (c *Cluster) startAndWait(ctx context.Context, spec ProcessSpec) error {
	_, err := c.StartProcess(ctx, spec)
	return err
}

// StartProcess starts another process, which from then on lives and dies with
// the cluster, and waits until it is ready. If it is not ready when ctx ends,
// it is ended again.
func (c *Cluster) StartProcess(ctx context.Context, spec ProcessSpec) (*Process, error) {
	client, err := healthClient(c.layout.files)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	p, err := c.supervisor.start(spec)
	if err != nil {
		return nil, err
	}
	if err := c.supervisor.waitReady(ctx, client, p); err != nil {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.options.StopGrace)
		defer cancel()
		return nil, errors.Join(err, c.supervisor.stop(stopCtx, p))
	}
	c.logf("%-24s ready after %.1f s", spec.Name, time.Since(begin).Seconds())
	return p, nil
}

// StopProcess ends a process that StartProcess started: SIGTERM, and SIGKILL
// when ctx ends. The cluster goes on.
func (c *Cluster) StopProcess(ctx context.Context, p *Process) error {
	return c.supervisor.stop(ctx, p)
}

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return c.layout.kubeconfig(adminPair) }

// SupervisorLog is the file with the supervisor's progress and errors.
func (c *Cluster) SupervisorLog() string { return c.layout.log("supervisor") }

// DataDir is the data folder.
func (c *Cluster) DataDir() string { return c.layout.dir }

// RESTConfig is the administrator's, without a limit of requests.
func (c *Cluster) RESTConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	config.QPS = -1
	return config, nil
}

// ServingCertificate is a certificate for 127.0.0.1 that the cluster's
// authority has signed, and its key: for servers whose health is checked.
func (c *Cluster) ServingCertificate() (certFile, keyFile string) {
	return c.layout.cert(servingPair), c.layout.key(servingPair)
}

// CertificateAuthority is the file with the cluster's authority, PEM.
func (c *Cluster) CertificateAuthority() string { return c.layout.cert(clusterCA) }

// Done is closed when no process runs any more: after Stop, or because one
// ended by itself. Err says which.
func (c *Cluster) Done() <-chan struct{} { return c.supervisor.done }

// Err says why the cluster ended: nil while it runs and when Stop ended it,
// an *ExitError when one of its processes ended by itself.
func (c *Cluster) Err() error {
	select {
	case <-c.Done():
	default:
		return nil
	}
	if err := c.supervisor.endedBy(); err != nil {
		return explain(err, c.layout.dir)
	}
	return nil
}

// Stop ends all processes, waits for them and removes the data folder. If ctx
// ends earlier than the grace, they are killed. Calling it again is harmless.
func (c *Cluster) Stop(ctx context.Context) error {
	c.stopOnce.Do(func() {
		c.supervisor.end(ctx)
		c.stopErr = errors.Join(
			c.logFile.Close(),
			removeDir(context.WithoutCancel(ctx), c.layout.dir),
			c.lock.Close(),
		)
	})
	return c.stopErr
}

func (c *Cluster) logf(format string, args ...any) { logf(c.log, format, args...) }

// logf writes a line for people. Who reads it may be gone.
func logf(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format+"\n", args...)
}

// ended makes the last record of a cluster that ended by itself. Its data is of
// no use any more, and may be what filled the disk.
func (c *Cluster) ended() {
	if c.supervisor.endedBy() == nil {
		return
	}
	if err := os.RemoveAll(filepath.Join(c.layout.dir, "etcd")); err != nil {
		c.logf("%v", err)
	}
	c.writeState()
}

// writeState records the state as it is now.
func (c *Cluster) writeState() {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := State{
		Phase: Starting, PID: os.Getpid(), Started: c.started, DataDir: c.layout.dir,
		Kubeconfig: c.Kubeconfig(), Prometheus: c.PrometheusURL(), Processes: c.supervisor.states(),
	}
	stopping, cause := c.supervisor.status()
	switch {
	case cause != nil:
		s.Phase, s.Error = Failed, explain(cause, s.DataDir).Error()
	case stopping:
		s.Phase = Stopping
	case c.ready:
		s.Phase = Ready
	}
	if err := writeState(s.DataDir, s); err != nil {
		// The cluster works without it; only status and down know less.
		c.logf("%v", err)
	}
}
