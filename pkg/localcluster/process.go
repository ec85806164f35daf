// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// ProcessSpec says how to start a process and how to tell that it is ready.
type ProcessSpec struct {
	// Name is unique in the cluster; the log is logs/NAME.log.
	Name string
	// Path is the binary.
	Path string
	// Args are its arguments, without the name.
	Args []string
	// Env are variables ("NAME=value") on top of the clean environment that
	// every process gets: PATH, HOME and TMPDIR (both in the data folder), and
	// the Go runtime's GOGC, GOMEMLIMIT, GOMAXPROCS and GODEBUG if set.
	Env []string
	// Port is what it listens on, for people; 0 if it does not listen.
	Port int
	// HealthURL answers 200 when the process is ready. An https server needs a
	// certificate of the cluster's authority (see Cluster.ServingCertificate).
	// Empty: ready once started.
	HealthURL string

	// Nice lowers its priority on the processor, 0 (ours) to 19 (lowest).
	Nice int

	// lifeline passes the lifeline; see ExitWithSupervisor.
	lifeline bool
	// disposable: it has nothing to save and is ended by SIGKILL. The API
	// server would wait for its watchers, etcd's data is thrown away.
	disposable bool
}

// ExitError says that a process ended by itself.
type ExitError struct {
	// Name and PID are the process's.
	Name string
	PID  int
	// Status says how it ended: "exit status 1", "signal: killed".
	Status string
	// Log is its log file, Tail the last lines of it.
	Log  string
	Tail []string
}

// Error implements error.
func (e *ExitError) Error() string {
	return fmt.Sprintf("%s (pid %d) ended: %s%s", e.Name, e.PID, e.Status, quoteTail(e.Log, e.Tail))
}

// Process is a supervised process.
type Process struct {
	spec    ProcessSpec
	log     string
	cmd     *exec.Cmd
	started time.Time
	exited  chan struct{} // closed when it has ended

	// Guarded by supervisor.mu.
	phase    ProcessPhase
	message  string
	expected bool // its end was asked for
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// LogFile is where its output goes.
func (p *Process) LogFile() string { return p.log }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// supervisor starts processes and ends them together.
//
// A process is starting -> ready -> exited. The first that exits without
// having been asked to ends all the others; done is closed when none is left.
type supervisor struct {
	files files
	// grace is the time between SIGTERM and SIGKILL, for all processes together.
	grace time.Duration
	// changed is told about every change of a process, ended that none is left
	// (before done is closed). No locks are held.
	changed, ended func()

	starts   chan func() // run on the thread that owns the children
	lifeline *os.File    // read by the children
	anchor   *os.File    // its other end: closed by our death or by end

	ending sync.Once
	done   chan struct{} // closed when all have ended

	mu        sync.Mutex
	processes []*Process // in the order of their start
	stopping  bool
	err       error // why it ended, if nobody asked for it
}

func newSupervisor(f files, grace time.Duration, changed, ended func()) (*supervisor, error) {
	lifeline, anchor, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the lifeline: %w", err)
	}
	s := &supervisor{
		files: f, grace: grace, changed: changed, ended: ended,
		starts: make(chan func()), lifeline: lifeline, anchor: anchor,
		done: make(chan struct{}),
	}
	// Linux sends the parent-death signal when the *thread* that started the
	// child ends, so one thread starts all and lives until all have ended.
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for {
			select {
			case start := <-s.starts:
				start()
			case <-s.done:
				return
			}
		}
	}()
	return s, nil
}

// start starts a process; it does not wait until it is ready.
func (s *supervisor) start(spec ProcessSpec) (*Process, error) {
	p := &Process{spec: spec, log: s.files.log(spec.Name), exited: make(chan struct{}), phase: ProcessStarting}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	defer log.Close() //nolint:errcheck // the child writes, and has its own
	p.cmd = exec.Command(spec.Path, spec.Args...)
	p.cmd.Dir = s.files.dir
	p.cmd.Env = slices.Concat(environment(s.files.dir), spec.Env)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = childAttributes()
	if spec.lifeline {
		p.cmd.ExtraFiles = []*os.File{s.lifeline}
		p.cmd.Env = append(p.cmd.Env, lifelineEnv+"=3")
	}

	result := make(chan error, 1)
	start := func() { result <- s.launch(p) }
	select {
	case s.starts <- start:
		err = <-result
	case <-s.done:
		err = s.endError()
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	s.changed()
	return p, nil
}

// launch runs on the thread that owns the children.
func (s *supervisor) launch(p *Process) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || s.err != nil {
		return s.endErrorLocked()
	}
	if slices.ContainsFunc(s.processes, func(q *Process) bool { return q.spec.Name == p.spec.Name && q.phase != ProcessExited }) {
		return errors.New("a process of this name is running")
	}
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		return err
	}
	if err := lowerPriority(p.PID(), p.spec.Nice); err != nil {
		return errors.Join(fmt.Errorf("lower the priority of %s: %w", p.spec.Name, err), p.cmd.Process.Kill(), p.cmd.Wait())
	}
	s.processes = append(s.processes, p)
	go s.watch(p)
	return nil
}

// lowerPriority is for the whole process group that the process leads: for the
// process alone, Linux would take its first thread only.
func lowerPriority(pid, nice int) error {
	if nice == 0 {
		return nil
	}
	return syscall.Setpriority(syscall.PRIO_PGRP, pid, nice)
}

// watch waits for the end of a process.
func (s *supervisor) watch(p *Process) {
	status := "exit status 0"
	if err := p.cmd.Wait(); err != nil {
		status = err.Error()
	}
	s.mu.Lock()
	p.phase, p.message = ProcessExited, status
	unexpected := !p.expected && !s.stopping && s.err == nil
	if unexpected {
		s.err = s.exitError(p)
	}
	s.mu.Unlock()
	close(p.exited)
	s.changed()
	if unexpected {
		s.end(context.Background())
	}
}

// exitError describes a process that has ended; s.mu is held.
func (s *supervisor) exitError(p *Process) *ExitError {
	return &ExitError{Name: p.spec.Name, PID: p.PID(), Status: p.message, Log: p.log, Tail: tail(p.log)}
}

// waitReady waits until the process answers its health check.
func (s *supervisor) waitReady(ctx context.Context, client *http.Client, p *Process) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		select {
		case <-p.exited:
			s.mu.Lock()
			defer s.mu.Unlock()
			return false, s.exitError(p)
		default:
		}
		answer := probe(ctx, client, p.spec.HealthURL)
		if ctx.Err() == nil { // else the deadline cut it off: the one before says more
			last = answer
		}
		return answer == nil, nil
	})
	var exit *ExitError
	switch {
	case errors.As(err, &exit):
		return exit
	case err != nil:
		return fmt.Errorf("%s (pid %d) is not ready: %w%s", p.spec.Name, p.PID(), errors.Join(err, last), quoteTail(p.log, tail(p.log)))
	}
	s.mu.Lock()
	if p.phase == ProcessStarting {
		p.phase = ProcessReady
	}
	s.mu.Unlock()
	s.changed()
	return nil
}

// probe asks a health check; no URL means healthy.
func probe(ctx context.Context, client *http.Client, url string) error {
	if url == "" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 2000))
	if err != nil {
		return fmt.Errorf("%s: %s: %w", url, resp.Status, err)
	}
	return fmt.Errorf("%s: %s: %s", url, resp.Status, bytes.TrimSpace(body))
}

// stop ends one process: SIGTERM, and SIGKILL when ctx ends.
func (s *supervisor) stop(ctx context.Context, p *Process) error {
	s.mu.Lock()
	p.expected = true
	s.mu.Unlock()
	return terminate(ctx, p)
}

// terminate returns when the process has ended.
func terminate(ctx context.Context, p *Process) error {
	signal := syscall.SIGTERM
	if p.spec.disposable {
		signal = syscall.SIGKILL
	}
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s (pid %d): %w", p.spec.Name, p.PID(), err)
	}
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s (pid %d): %w", p.spec.Name, p.PID(), err)
	}
	<-p.exited
	return nil
}

// end ends all processes, the last started first, so that none loses what it
// needs to end well. It returns when all have ended, whoever called it first.
// ctx shortens the grace.
func (s *supervisor) end(ctx context.Context) {
	s.ending.Do(func() {
		s.mu.Lock()
		s.stopping = true
		processes := slices.Clone(s.processes)
		s.mu.Unlock()
		s.changed()

		ctx, cancel := context.WithTimeout(ctx, s.grace)
		defer cancel()
		var errs []error
		for _, p := range slices.Backward(processes) {
			errs = append(errs, terminate(ctx, p))
		}
		errs = append(errs, s.lifeline.Close(), s.anchor.Close())
		s.mu.Lock()
		if err := errors.Join(errs...); err != nil {
			s.err = errors.Join(s.err, err)
		}
		s.mu.Unlock()
		s.ended()
		close(s.done)
	})
	<-s.done
}

// endError says why no process can be started any more.
func (s *supervisor) endError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endErrorLocked()
}

func (s *supervisor) endErrorLocked() error {
	if s.err != nil {
		return s.err
	}
	return errors.New("the cluster is being stopped")
}

// endedBy is the cause of an end that nobody asked for, nil otherwise.
func (s *supervisor) endedBy() error {
	_, cause := s.status()
	return cause
}

// status says whether the processes are being ended, and why if nobody asked.
func (s *supervisor) status() (stopping bool, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping, s.err
}

// states are the processes' states, in the order of their start.
func (s *supervisor) states() []ProcessState {
	s.mu.Lock()
	defer s.mu.Unlock()
	var states []ProcessState
	for _, p := range s.processes {
		states = append(states, ProcessState{
			Name: p.spec.Name, PID: p.PID(), Port: p.spec.Port, Phase: p.phase, Started: p.started,
			Log: p.log, Health: p.spec.HealthURL, Message: p.message,
		})
	}
	return states
}

// environment is what every process gets: nothing of the user's that could
// configure a component (ETCD_*, KWOK_*, KUBECONFIG, proxies, files in HOME).
func environment(dir string) []string {
	env := []string{"HOME=" + dir, "TMPDIR=" + dir + "/tmp"}
	for _, name := range []string{"PATH", "GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

const (
	tailLines = 8
	tailBytes = 1 << 20
	lineBytes = 300 // of a line are shown
)

// crash is how a Go program begins to say that it crashes.
var crash = regexp.MustCompile(`^(panic|fatal error|SIG[A-Z0-9]+): `)

// tail is the last lines of a log, as far as it can be read. If the program
// crashed, it is the lines that say why: the stacks that follow are long.
func tail(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return []string{err.Error()}
	}
	defer f.Close() //nolint:errcheck // nothing was written
	if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
		// Shorter than that: from the start, where the file already is.
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return []string{err.Error()}
		}
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return []string{err.Error()}
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if i := slices.IndexFunc(lines, crash.MatchString); i >= 0 {
		lines = lines[:min(len(lines), i+tailLines/2)]
	}
	lines = lines[max(0, len(lines)-tailLines):]
	for i, line := range lines {
		if len(line) > lineBytes {
			lines[i] = strings.ToValidUTF8(line[:lineBytes], "") + "..."
		}
	}
	return lines
}

func quoteTail(log string, lines []string) string {
	if len(lines) == 0 || len(lines) == 1 && lines[0] == "" {
		return "; its log is empty"
	}
	return "; the last lines of " + log + ":\n  " + strings.Join(lines, "\n  ")
}
