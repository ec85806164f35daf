// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// NotRunningError says that there is no local cluster in the data folder.
type NotRunningError struct {
	// DataDir is the folder.
	DataDir string
}

// Error implements error.
func (e *NotRunningError) Error() string {
	return fmt.Sprintf("no local cluster in %s", e.DataDir)
}

// Inspect reports on the cluster in dir, whoever started it: what its
// supervisor has written, corrected by whether the supervisor is alive and by
// asking every process for its health now. Without a cluster the error is a
// *NotRunningError.
func Inspect(ctx context.Context, dir string) (State, error) {
	held, pid, err := holder(dir)
	if err != nil {
		return State{}, err
	}
	s, err := readState(dir)
	if errors.Is(err, fs.ErrNotExist) {
		// Claimed or killed before the first component was started.
		s, err = State{Phase: Starting, PID: pid, DataDir: dir}, nil
	}
	if err != nil {
		return State{}, err
	}
	if !held {
		if s.Phase != Failed {
			s.Phase, s.Error = Killed, fmt.Sprintf("the supervisor (pid %d) was killed", s.PID)
		}
		for i := range s.Processes {
			s.Processes[i].Phase = ProcessExited
		}
		return s, nil
	}
	if s.Phase == Ready {
		err = probeAll(ctx, &s)
	}
	return s, err
}

// Healthy says whether the cluster and all its processes are ready.
func (s State) Healthy() bool {
	for _, p := range s.Processes {
		if p.Phase != ProcessReady {
			return false
		}
	}
	return s.Phase == Ready
}

// holder says whether a supervisor holds dir and which: pid 0 for the instant
// before it has written its own. Without a folder it is a *NotRunningError.
func holder(dir string) (held bool, pid int, err error) {
	lock, err := openLock(dir, 0)
	var running *RunningError
	switch {
	case errors.As(err, &running):
		return true, running.PID, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, 0, &NotRunningError{DataDir: dir}
	case err != nil:
		return false, 0, err
	}
	return false, 0, lock.Close()
}

func probeAll(ctx context.Context, s *State) error {
	client, err := healthClient(files{s.DataDir})
	if err != nil {
		return err
	}
	for i := range s.Processes {
		p := &s.Processes[i]
		if p.Phase != ProcessReady {
			continue
		}
		if err := probe(ctx, client, p.Health); err != nil {
			p.Phase, p.Message = ProcessUnhealthy, err.Error()
		}
	}
	return nil
}

// Down ends the cluster in dir, whoever started it, and removes the folder. It
// reports whether there was one. If the supervisor has not ended it when ctx
// ends, the supervisor is killed, and all processes with it.
func Down(ctx context.Context, dir string) (bool, error) {
	err := signalHolder(ctx, dir, syscall.SIGTERM)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		killCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = signalHolder(killCtx, dir, syscall.SIGKILL)
	}
	var none *NotRunningError
	if errors.As(err, &none) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// A supervisor removes its folder itself, unless it crashed or was killed.
	lock, err := openLock(dir, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return true, errors.Join(removeDir(context.WithoutCancel(ctx), dir), lock.Close())
}

// signalHolder sends a signal to the supervisor of dir, if there is one, and
// waits until it has let go of the folder.
func signalHolder(ctx context.Context, dir string, signal syscall.Signal) error {
	sent := 0
	return wait.PollUntilContextCancel(ctx, pollInterval, true, func(context.Context) (bool, error) {
		held, pid, err := holder(dir)
		var none *NotRunningError
		if errors.As(err, &none) && sent != 0 {
			return true, nil
		}
		if err != nil || !held {
			return err == nil, err
		}
		if pid == 0 || pid == sent {
			return false, nil
		}
		sent = pid
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return false, fmt.Errorf("end the supervisor (pid %d) of %s: %w", pid, dir, err)
		}
		return false, nil
	})
}

// DefaultDataDir is the data folder of the cluster called name:
// $XDG_STATE_HOME/auriga-local/NAME, by default in ~/.local/state.
func DefaultDataDir(name string) (string, error) {
	if name == "" || name != filepath.Base(name) || name == "." || name == ".." {
		return "", fmt.Errorf("%q is not a name of a cluster: it must be usable as the name of a folder", name)
	}
	state := os.Getenv("XDG_STATE_HOME")
	if state == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the default data folder (choose one with --data-dir): %w", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "auriga-local", name), nil
}
