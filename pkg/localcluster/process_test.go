// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestUnexpectedEndEndsAll(t *testing.T) {
	for _, test := range []struct {
		name   string
		spec   ProcessSpec
		kill   bool
		status string
		tail   []string
	}{
		{"exit status", helperSpec("x", "exit", "3", "first", "last words"), false, "exit status 3", []string{"first", "last words"}},
		{"success is unexpected too", helperSpec("x", "exit", "0"), false, "exit status 0", []string{""}},
		{"kill -9", helperSpec("x", "wait"), true, "signal: killed", []string{"waiting"}},
		{
			"only the last lines", helperSpec("x", "exit", "1", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"),
			false, "exit status 1", []string{"3", "4", "5", "6", "7", "8", "9", "10"},
		},
		{
			"a long line", helperSpec("x", "exit", "1", strings.Repeat("ä", lineBytes)), // two bytes each
			false, "exit status 1", []string{strings.Repeat("ä", lineBytes/2) + "..."},
		},
		{
			"why it crashed, not where", helperSpec("x", "exit", "2", "before", "panic: why", "", "goroutine 1:", "1", "2", "3", "4", "5", "6", "7", "8"),
			false, "exit status 2", []string{"before", "panic: why", "", "goroutine 1:", "1"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := testSupervisor(t, deadline)
			other := mustStart(t, s, helperSpec("other", "wait"))
			p := mustStart(t, s, test.spec)
			if test.kill {
				eventually(t, "it waits", func() bool { return logContains(t, p, "waiting") })
				if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case <-s.done:
			case <-time.After(deadline):
				t.Fatal("the end of a process did not end the rest")
			}
			want := &ExitError{Name: "x", PID: p.PID(), Status: test.status, Log: p.LogFile(), Tail: test.tail}
			var got *ExitError
			if !errors.As(s.endedBy(), &got) {
				t.Fatalf("ended by %v", s.endedBy())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if !gone(other.PID()) {
				t.Error("the other process is alive")
			}
			if _, err := s.start(helperSpec("late", "wait")); !errors.As(err, &got) {
				t.Errorf("a start after the end: %v, want the cause of the end", err)
			}
		})
	}
}

func TestEndIsInReverseOrder(t *testing.T) {
	s := testSupervisor(t, deadline)
	order := filepath.Join(t.TempDir(), "order")
	for _, name := range []string{"a", "b", "c"} {
		startWaiting(t, s, name, order, name)
	}
	s.end(context.Background())
	data, err := os.ReadFile(order)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("c\nb\na\n", string(data)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if err := s.endedBy(); err != nil {
		t.Errorf("an end that was asked for has a cause: %v", err)
	}
	if _, err := s.start(helperSpec("late", "wait")); err == nil {
		t.Error("a process was started after the end")
	}
}

func TestGrace(t *testing.T) {
	for _, test := range []struct {
		name  string
		grace time.Duration
		ctx   time.Duration // 0: none
	}{
		{"the grace ends", 50 * time.Millisecond, 0},
		{"the caller's time ends", time.Hour, 50 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := testSupervisor(t, test.grace)
			p := mustStart(t, s, helperSpec("deaf", "deaf"))
			eventually(t, "the helper is deaf", func() bool { return logContains(t, p, "deaf") })
			ctx := t.Context()
			if test.ctx != 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, test.ctx)
				defer cancel()
			}
			s.end(ctx)
			if diff := cmp.Diff("signal: killed", s.states()[0].Message); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestStopOne(t *testing.T) {
	s := testSupervisor(t, deadline)
	a, b := mustStart(t, s, helperSpec("a", "wait")), mustStart(t, s, helperSpec("b", "wait"))
	if err := s.stop(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if !gone(a.PID()) || gone(b.PID()) {
		t.Errorf("gone: a %t, b %t; want true, false", gone(a.PID()), gone(b.PID()))
	}
	// Its name is free again.
	mustStart(t, s, helperSpec("a", "wait"))
	if _, err := s.start(helperSpec("b", "wait")); err == nil {
		t.Error("two processes of one name")
	}
	if err := s.endedBy(); err != nil {
		t.Errorf("ended by %v", err)
	}
}

func TestMissingBinary(t *testing.T) {
	s := testSupervisor(t, deadline)
	_, err := s.start(ProcessSpec{Name: "x", Path: "/nonexistent/x"})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want %v", err, os.ErrNotExist)
	}
	if len(s.states()) != 0 {
		t.Error("a process that was never started has a state")
	}
}

func TestWaitReady(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			http.Error(w, "still counting", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	never := httptest.NewServer(http.NotFoundHandler())
	defer never.Close()

	t.Run("becomes ready", func(t *testing.T) {
		s := testSupervisor(t, deadline)
		spec := helperSpec("x", "wait")
		spec.HealthURL = server.URL
		p := mustStart(t, s, spec)
		if err := s.waitReady(t.Context(), http.DefaultClient, p); err != nil {
			t.Fatal(err)
		}
		want := []ProcessState{{Name: "x", PID: p.PID(), Phase: ProcessReady, Health: server.URL, Log: p.LogFile()}}
		if diff := cmp.Diff(want, s.states(), cmpopts.IgnoreFields(ProcessState{}, "Started")); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
	t.Run("too late", func(t *testing.T) {
		s := testSupervisor(t, deadline)
		spec := helperSpec("x", "wait")
		spec.HealthURL = never.URL
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := s.waitReady(ctx, http.DefaultClient, mustStart(t, s, spec))
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "404") {
			t.Errorf("%v, want the deadline and the last answer", err)
		}
	})
	t.Run("dies", func(t *testing.T) {
		s := testSupervisor(t, deadline)
		spec := helperSpec("x", "exit", "1", "cannot go on")
		spec.HealthURL = never.URL
		err := s.waitReady(t.Context(), http.DefaultClient, mustStart(t, s, spec))
		var exit *ExitError
		if !errors.As(err, &exit) || !strings.Contains(err.Error(), "cannot go on") {
			t.Errorf("%v, want how it ended and its last words", err)
		}
	})
}

func TestEnvironment(t *testing.T) {
	t.Setenv("ETCD_NAME", "of the user")
	t.Setenv("KUBECONFIG", "of the user")
	t.Setenv("GOGC", "200")
	s := testSupervisor(t, deadline)
	spec := helperSpec("x", "env")
	spec.Env = []string{"EXTRA=1"}
	p := mustStart(t, s, spec)
	eventually(t, "the helper prints its environment", func() bool { return logContains(t, p, "EXTRA") })
	data, err := os.ReadFile(p.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(data)) {
		name, _, _ := strings.Cut(line, "=")
		if name != "GOMEMLIMIT" && name != "GOMAXPROCS" && name != "GODEBUG" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"EXTRA", "GOGC", "HOME", "PATH", "TMPDIR"}, names); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestKilledSupervisor: children die with a supervisor that cannot end them.
func TestKilledSupervisor(t *testing.T) {
	cmd, state := startSupervisorProcess(t)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for _, p := range state.Processes {
		eventually(t, p.Name+" dies with its supervisor", func() bool { return gone(p.PID) })
	}
}

// TestLifeline: the pipe alone ends a component.
func TestLifeline(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "helper", "wait")
	cmd.ExtraFiles = []*os.File{reader}
	cmd.Env = append(os.Environ(), lifelineEnv+"=3")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(reader.Close(), writer.Close()); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("the component ended with %v, want exit status 1", err)
	}
}

// startSupervisorProcess runs superviseHelpers in a process of its own.
func startSupervisorProcess(t *testing.T) (*exec.Cmd, State) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	cmd := exec.Command(os.Args[0], "helper", "supervise", dir)
	cmd.Stdout = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
	})
	var state State
	eventually(t, "the supervisor writes its state", func() bool {
		var err error
		state, err = readState(dir)
		return err == nil
	})
	return cmd, state
}
