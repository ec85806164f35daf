// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"auriga.dev/auriga/pkg/localcluster"
)

// TestKilledComponent: the cluster says which component died, and ends.
func TestKilledComponent(t *testing.T) {
	for _, victim := range components() {
		t.Run(victim, func(t *testing.T) {
			cluster := start(t, localcluster.Options{})
			all := pids(t, inspect(t, cluster.DataDir()))
			if err := syscall.Kill(all[victim], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			select {
			case <-cluster.Done():
			case <-time.After(deadline):
				t.Fatal("the others were not ended")
			}
			waitGone(t, all)
			var exit *localcluster.ExitError
			if !errors.As(cluster.Err(), &exit) {
				t.Fatalf("ended by %v", cluster.Err())
			}
			got := fmt.Sprintf("%s %d %s", exit.Name, exit.PID, exit.Status)
			if diff := cmp.Diff(fmt.Sprintf("%s %d signal: killed", victim, all[victim]), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			state := inspect(t, cluster.DataDir())
			if state.Phase != localcluster.Failed || !strings.Contains(state.Error, victim) || state.Healthy() {
				t.Errorf("state %+v, want failed by %s", state, victim)
			}
			if err := cluster.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			wantNoFolder(t, cluster.DataDir())
		})
	}
}

// TestAddedProcess: a process of the caller's lives and dies with the cluster.
func TestAddedProcess(t *testing.T) {
	cluster := start(t, localcluster.Options{})
	ports, err := localcluster.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := cluster.ServingCertificate()
	p, err := cluster.StartProcess(t.Context(), localcluster.ProcessSpec{
		// A second stock scheduler stands for any server.
		Name: "second-scheduler", Path: binary(t), Port: ports[0], HealthURL: fmt.Sprintf("https://127.0.0.1:%d/healthz", ports[0]),
		Args: []string{
			"component", "kube-scheduler", "--", "--kubeconfig=" + cluster.Kubeconfig(), "--leader-elect=false",
			"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[0]), "--tls-cert-file=" + cert, "--tls-private-key-file=" + key,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	state := inspect(t, cluster.DataDir())
	if last := state.Processes[len(state.Processes)-1]; last.Name != "second-scheduler" || last.Phase != localcluster.ProcessReady {
		t.Errorf("state %+v", last)
	}
	if err := cluster.StopProcess(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if !gone(p.PID()) || !func() bool { s := inspect(t, cluster.DataDir()); return s.Phase == localcluster.Ready }() {
		t.Error("the process must end, the cluster must not")
	}

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = cluster.StartProcess(ctx, localcluster.ProcessSpec{
		Name: "never-ready", Path: binary(t), HealthURL: "http://127.0.0.1:1/" + http.MethodGet,
		Args: []string{"component", "kube-scheduler", "--", "--kubeconfig=" + cluster.Kubeconfig(), "--leader-elect=false", "--secure-port=0"},
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want %v", err, context.DeadlineExceeded)
	}
	if err := cluster.Err(); err != nil {
		t.Errorf("the cluster ended: %v", err)
	}
}

// TestUpAndDown: the commands, and a supervisor that is killed.
func TestUpAndDown(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	nothing := []string{"no local cluster in " + dir}
	wantCommand(t, dir, 1, nothing, "status")
	wantCommand(t, dir, 1, nothing, "kubeconfig")
	wantCommand(t, dir, 0, nothing, "down")
	wantCommand(t, dir, 2, []string{"unknown flag"}, "up", "--nonsense")

	wantCommand(t, dir, 0, []string{"kube-apiserver", "ready after", "export KUBECONFIG=" + dir}, "up")
	// Whatever fails from here on, the supervisor ends with the test.
	t.Cleanup(func() { command(t, dir, "down") })
	first := statusJSON(t, dir)
	if !first.Healthy() {
		t.Errorf("%+v", first)
	}
	wantCommand(t, dir, 0, components(), "status")
	if diff := cmp.Diff(first.Kubeconfig+"\n", wantCommand(t, dir, 0, nil, "kubeconfig", "--path")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	wantCommand(t, dir, 0, []string{"client-certificate-data"}, "kubeconfig")

	wantCommand(t, dir, 0, []string{"already running", "export KUBECONFIG=" + dir}, "up")
	if diff := cmp.Diff(first, statusJSON(t, dir)); diff != "" {
		t.Errorf("a second up changed the first (-want +got)\n%s", diff)
	}
	if _, err := localcluster.Start(t.Context(), localcluster.Options{Binary: binary(t), DataDir: dir}); !errors.As(err, new(*localcluster.RunningError)) {
		t.Errorf("a second supervisor: %v", err)
	}

	all := pids(t, first)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitGone(t, all)
	wantCommand(t, dir, 1, []string{fmt.Sprintf("the supervisor (pid %d) was killed", first.PID)}, "status")
	wantCommand(t, dir, 0, []string{"removed what a dead cluster had left", "ready after"}, "up")

	second := statusJSON(t, dir)
	wantCommand(t, dir, 0, []string{"ended", dir}, "down")
	waitGone(t, pids(t, second))
	waitGone(t, map[string]int{"supervisor": second.PID})
	wantNoFolder(t, dir)
	wantCommand(t, dir, 0, nothing, "down")
}

// TestKilledComponentOfUp: the supervisor in the background exits with status 1
// and leaves its state and logs.
func TestKilledComponentOfUp(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	cmd := exec.Command(binary(t), "supervise", "--data-dir="+dir)
	t.Cleanup(func() { command(t, dir, "down") })
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	eventually(t, "it is ready", func(ctx context.Context) (bool, error) {
		state, err := localcluster.Inspect(ctx, dir)
		if errors.As(err, new(*localcluster.NotRunningError)) {
			return false, nil
		}
		return err == nil && state.Phase == localcluster.Ready, err
	})
	victim := pids(t, inspect(t, dir))["kube-scheduler"]
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	select {
	case err := <-ended:
		if !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("the supervisor ended with %v, want exit status 1", err)
		}
	case <-time.After(deadline):
		t.Fatal("the supervisor did not end")
	}
	cause := fmt.Sprintf("kube-scheduler (pid %d) ended: signal: killed", victim)
	wantCommand(t, dir, 1, []string{"failed", cause, "the last lines of"}, "status")
	log, err := os.ReadFile(filepath.Join(dir, "logs", "supervisor.log"))
	if err != nil || !bytes.Contains(log, []byte(cause)) {
		t.Errorf("%v: no %q in supervisor.log:\n%s", err, cause, log)
	}
	wantCommand(t, dir, 0, []string{"ended"}, "down")
	wantNoFolder(t, dir)
}

// TestInterruptedUp: Ctrl-C at any stage leaves no process and no file.
func TestInterruptedUp(t *testing.T) {
	for _, stage := range []string{"", "etcd", "kube-apiserver", "kwok", "prometheus", "kube-controller-manager"} {
		t.Run("after "+stage, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			cmd := exec.Command(binary(t), "up", "--data-dir="+dir)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			t.Cleanup(func() { command(t, dir, "down") })
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if stage == "" {
				eventually(t, "it has begun", func(context.Context) (bool, error) {
					_, err := os.Stat(filepath.Join(dir, "state.json"))
					return err == nil, nil
				})
			}
			lines := bufio.NewScanner(out)
			for stage != "" && lines.Scan() {
				t.Log(lines.Text())
				if strings.HasPrefix(lines.Text(), stage+" ") {
					break
				}
			}
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			for lines.Scan() {
				t.Log(lines.Text())
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("up ended with %v, want exit status 1", err)
			}
			t.Log(stderr.String())
			wantNoFolder(t, dir)
			if left := processesOf(t, dir); left != nil {
				t.Errorf("processes are left: %v", left)
			}
		})
	}
}

// TestTakenPort: another process takes a port between its choice and its use.
func TestTakenPort(t *testing.T) {
	tools := t.TempDir()
	marker := filepath.Join(tools, "was-here")
	script := fmt.Sprintf("#!/bin/sh\nif [ -e %[1]s ]; then exec %[2]s \"$@\"; fi\ntouch %[1]s\necho 'listen tcp: bind: address already in use'\nexit 1\n",
		marker, filepath.Join(filepath.Dir(binary(t)), "tools", "kwok"))
	if err := os.WriteFile(filepath.Join(tools, "kwok"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(filepath.Dir(binary(t)), "tools", "prometheus"), filepath.Join(tools, "prometheus")); err != nil {
		t.Fatal(err)
	}
	cluster := start(t, localcluster.Options{ToolsDir: tools})
	if _, err := os.Stat(marker); err != nil {
		t.Errorf("the first attempt did not fail: %v", err)
	}
	if state := inspect(t, cluster.DataDir()); !state.Healthy() {
		t.Errorf("%+v", state)
	}
}

// TestFullDisk: etcd cannot write any more. A limit of the size of files does
// to it what a full disk does, and needs no rights.
func TestFullDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	const blocks = 16 << 11 // of 512 bytes: 16 MiB, etcd wants 64 at once
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", fmt.Sprintf("ulimit -f %d && exec \"$0\" up --data-dir=\"$1\"", blocks), binary(t), dir)
	out, err := cmd.CombinedOutput()
	t.Logf("%v\n%s", err, out)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("up ended with %v, want exit status 1", err)
	}
	for _, part := range []string{"etcd (pid", "ended: exit status", "failed to create WAL"} {
		if !strings.Contains(string(out), part) {
			t.Errorf("no %q in the output", part)
		}
	}
	wantNoFolder(t, dir)
	if left := processesOf(t, dir); left != nil {
		t.Errorf("processes are left: %v", left)
	}
}
