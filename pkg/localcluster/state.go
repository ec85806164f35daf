// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const stateFile = "state.json"

// Phase is where a local cluster is in its life.
type Phase string

const (
	// Starting means: the supervisor is starting components.
	Starting Phase = "starting"
	// Ready means: all components answer their health checks.
	Ready Phase = "ready"
	// Stopping means: the supervisor is ending the components.
	Stopping Phase = "stopping"
	// Failed means: a component ended, and the supervisor ended the rest.
	Failed Phase = "failed"
	// Killed means: the supervisor ended without ending the cluster. Never written,
	// only concluded by Inspect.
	Killed Phase = "killed"
)

// ProcessPhase is where one process is in its life.
type ProcessPhase string

const (
	// ProcessStarting means: started, its health check not yet answered.
	ProcessStarting ProcessPhase = "starting"
	// ProcessReady means: it has answered its health check, or it has none.
	ProcessReady ProcessPhase = "ready"
	// ProcessUnhealthy means: running, but its health check fails. Never written,
	// only concluded by Inspect.
	ProcessUnhealthy ProcessPhase = "unhealthy"
	// ProcessExited means: it has ended.
	ProcessExited ProcessPhase = "exited"
)

// State is what a supervisor writes about its cluster, in the file state.json.
type State struct {
	Phase      Phase     `json:"phase"`
	PID        int       `json:"pid"`
	Started    time.Time `json:"started"`
	DataDir    string    `json:"dataDir"`
	Kubeconfig string    `json:"kubeconfig"`
	// Prometheus is its URL.
	Prometheus string         `json:"prometheus"`
	Error      string         `json:"error,omitempty"`
	Processes  []ProcessState `json:"processes"`
}

// ProcessState is the state of one process.
type ProcessState struct {
	Name    string       `json:"name"`
	PID     int          `json:"pid"`
	Port    int          `json:"port,omitempty"`
	Phase   ProcessPhase `json:"phase"`
	Started time.Time    `json:"started"`
	Log     string       `json:"log"`
	Health  string       `json:"health,omitempty"`
	// Message says how it ended or what its health check answers.
	Message string `json:"message,omitempty"`
}

// writeFileAtomic replaces path by data: a reader sees the old or the new
// content, never a part.
func writeFileAtomic(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

func writeState(dir string, s State) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	if err := writeFileAtomic(filepath.Join(dir, stateFile), append(data, '\n')); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}

func readState(dir string) (State, error) {
	path := filepath.Join(dir, stateFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return State{}, fmt.Errorf("read the state: %w", err)
	}
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return State{}, fmt.Errorf("read the state: %s: %w", path, err)
	}
	return s, nil
}
