// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import "syscall"

// childAttributes are those of a supervised process: its own process group, so
// that Ctrl-C reaches the supervisor only, and death when the thread that
// started it ends, however that happens.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
