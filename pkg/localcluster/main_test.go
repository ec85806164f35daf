// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// deadline bounds every wait in these tests.
const deadline = 20 * time.Second

// TestMain lets the test binary play the processes that a supervisor starts:
// "helper MODE ARGS..." instead of tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "helper" {
		os.Exit(helper(os.Args[2], os.Args[3:]))
	}
	// As Options.Binary it plays a component that cannot have its port.
	if len(os.Args) > 2 && os.Args[1] == "component" {
		fmt.Println("listen tcp 127.0.0.1:1: bind: address already in use")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func helper(mode string, args []string) int {
	if err := ExitWithSupervisor(); err != nil {
		fmt.Println(err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	// No test takes longer; nothing is left behind by a failed one.
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	switch mode {
	case "exit": // STATUS LINE...: print the lines and exit
		for _, line := range args[1:] {
			fmt.Println(line)
		}
		var status int
		if _, err := fmt.Sscan(args[0], &status); err != nil {
			return 99
		}
		return status
	case "wait": // [FILE NAME]: say so; when told to end, append NAME to FILE
		fmt.Println("waiting")
		<-ctx.Done()
		if len(args) == 2 {
			if err := appendLine(args[0], args[1]); err != nil {
				return 1
			}
		}
		return 0
	case "deaf": // ignore SIGTERM, once it is ready (says so in its log)
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("deaf")
		time.Sleep(time.Minute)
		return 0
	case "env":
		fmt.Println(strings.Join(os.Environ(), "\n"))
		<-ctx.Done()
		return 0
	case "supervise": // DIR: supervise two processes, one of them without a lifeline
		if err := superviseHelpers(ctx, args[0]); err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	}
	return 98
}

// superviseHelpers holds dir as a cluster's supervisor does.
func superviseHelpers(ctx context.Context, dir string) error {
	lock, _, err := claim(ctx, dir)
	if err != nil {
		return err
	}
	defer lock.Close() //nolint:errcheck // it ends with the process
	f := files{dir}
	if err := f.mkdirs(); err != nil {
		return err
	}
	if err := writeCredentials(f, https(1, "")); err != nil {
		return err
	}
	s, err := newSupervisor(f, time.Second, func() {}, func() {})
	if err != nil {
		return err
	}
	for _, lifeline := range []bool{false, true} {
		spec := helperSpec(fmt.Sprintf("lifeline-%t", lifeline), "wait")
		spec.lifeline = lifeline
		if _, err := s.start(spec); err != nil {
			return err
		}
	}
	if err := writeState(dir, State{Phase: Ready, PID: os.Getpid(), DataDir: dir, Processes: s.states()}); err != nil {
		return err
	}
	<-ctx.Done()
	s.end(context.Background())
	return removeDir(context.Background(), dir)
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line)
	return errors.Join(err, f.Close())
}

// helperSpec starts the test binary in a mode.
func helperSpec(name, mode string, args ...string) ProcessSpec {
	return ProcessSpec{Name: name, Path: os.Args[0], Args: append([]string{"helper", mode}, args...)}
}

// testSupervisor supervises in a new folder and is ended with the test.
func testSupervisor(t *testing.T, grace time.Duration) *supervisor {
	t.Helper()
	f := files{t.TempDir()}
	if err := f.mkdirs(); err != nil {
		t.Fatal(err)
	}
	s, err := newSupervisor(f, grace, func() {}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.end(context.Background()) })
	return s
}

func mustStart(t *testing.T, s *supervisor, spec ProcessSpec) *Process {
	t.Helper()
	p, err := s.start(spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// startWaiting starts a process that waits for SIGTERM, and waits until it does.
func startWaiting(t *testing.T, s *supervisor, name string, args ...string) *Process {
	t.Helper()
	p := mustStart(t, s, helperSpec(name, "wait", args...))
	eventually(t, name+" waits", func() bool { return logContains(t, p, "waiting") })
	return p
}

// eventually waits until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, deadline, true, func(context.Context) (bool, error) {
		return condition(), nil
	})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// gone says whether a process has ended (a zombie has).
func gone(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "stat"))
	if err == nil {
		_, after, _ := strings.Cut(string(stat), ") ")
		return strings.HasPrefix(after, "Z")
	}
	return syscall.Kill(pid, 0) != nil
}

func logContains(t *testing.T, p *Process, text string) bool {
	t.Helper()
	data, err := os.ReadFile(p.LogFile())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(data), text)
}

// entries are the names in a folder.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}
