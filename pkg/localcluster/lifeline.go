// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"fmt"
	"io"
	"os"
	"strconv"
)

// lifelineEnv names the file descriptor of the lifeline: the reading end of a
// pipe whose writing end only the supervisor has.
const lifelineEnv = "AURIGA_LOCAL_LIFELINE"

// ExitWithSupervisor makes this process exit with status 1 as soon as the
// supervisor that started it is gone. It does nothing in a process that was not
// started by a supervisor. Called first in every component.
func ExitWithSupervisor() error {
	value := os.Getenv(lifelineEnv)
	if value == "" {
		return nil
	}
	fd, err := strconv.Atoi(value)
	if err != nil {
		return fmt.Errorf("%s must be the number of a file descriptor: %w", lifelineEnv, err)
	}
	lifeline := os.NewFile(uintptr(fd), "lifeline")
	// Ends with the process.
	go func() {
		// Nothing is ever written: it returns when the supervisor is gone.
		_, err := io.Copy(io.Discard, lifeline)
		fmt.Fprintln(os.Stderr, "the supervisor is gone:", err)
		os.Exit(1)
	}()
	return nil
}
