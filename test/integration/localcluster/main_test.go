// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"auriga.dev/auriga/pkg/localcluster"
	"auriga.dev/auriga/test/fixtures"
)

// deadline bounds a start and every wait; generous, for a busy machine.
const deadline = 2 * time.Minute

// components are what a cluster consists of, in the order of their names.
func components() []string {
	return []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "prometheus"}
}

// binary is bin/auriga-local of this repository.
func binary(t *testing.T) string {
	t.Helper()
	fixtures.Binary(t, "tools/kwok") // auriga-local looks for them there
	fixtures.Binary(t, "tools/prometheus")
	return fixtures.Binary(t, "auriga-local")
}

// start starts a cluster in this process, to be stopped with the test.
func start(t *testing.T, o localcluster.Options) *localcluster.Cluster {
	t.Helper()
	o.Binary, o.Log = binary(t), t.Output()
	if o.DataDir == "" {
		o.DataDir = filepath.Join(t.TempDir(), "data")
	}
	c, err := localcluster.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// inspect is the state of a cluster that must have one.
func inspect(t *testing.T, dir string) localcluster.State {
	t.Helper()
	state, err := localcluster.Inspect(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// pids are those of the components.
func pids(t *testing.T, state localcluster.State) map[string]int {
	t.Helper()
	pids := map[string]int{}
	var names []string
	for _, p := range state.Processes {
		pids[p.Name] = p.PID
		names = append(names, p.Name)
	}
	slices.Sort(names)
	if !slices.Equal(names, components()) {
		t.Fatalf("components %v, want %v", names, components())
	}
	return pids
}

// gone says whether a process has ended; a zombie has.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) != nil
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(after, "Z")
}

func waitGone(t *testing.T, pids map[string]int) {
	t.Helper()
	for name, pid := range pids {
		eventually(t, fmt.Sprintf("%s (pid %d) has ended", name, pid), func(context.Context) (bool, error) { return gone(pid), nil })
	}
}

func wantNoFolder(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data folder is left: %v", err)
	}
}

// processesOf are the processes whose command line names dir.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		if line := string(bytes.ReplaceAll(data, []byte{0}, []byte{' '})); strings.Contains(line, dir) {
			found = append(found, f+": "+line)
		}
	}
	return found
}

func eventually(t *testing.T, what string, condition wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, deadline, true, condition); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// command runs auriga-local with a data folder; it returns what it printed and
// its exit status.
func command(t *testing.T, dir, name string, args ...string) (string, int) {
	t.Helper()
	// Not the test's context: it has ended when cleanups run.
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), append([]string{name, "--data-dir=" + dir}, args...)...)
	out, err := cmd.CombinedOutput()
	t.Logf("auriga-local %s %v: %v\n%s", name, args, err, out)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return string(out), 0
	case errors.As(err, &exit):
		return string(out), exit.ExitCode()
	}
	t.Fatal(err)
	return "", 0
}

// wantCommand is command, with the exit status and parts of the output.
func wantCommand(t *testing.T, dir string, status int, parts []string, name string, args ...string) string {
	t.Helper()
	out, got := command(t, dir, name, args...)
	if got != status {
		t.Errorf("%s: exit status %d, want %d", name, got, status)
	}
	for _, part := range parts {
		if !strings.Contains(out, part) {
			t.Errorf("%s: no %q in its output", name, part)
		}
	}
	return out
}

// statusJSON is the state that "status -o json" prints.
func statusJSON(t *testing.T, dir string) localcluster.State {
	t.Helper()
	out := wantCommand(t, dir, 0, nil, "status", "-o", "json")
	var state localcluster.State
	if err := json.Unmarshal([]byte(out), &state); err != nil {
		t.Fatal(err)
	}
	return state
}
