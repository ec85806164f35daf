// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package localcluster

import "syscall"

// childAttributes are those of a supervised process: its own process group, so
// that Ctrl-C reaches the supervisor only. Without a parent-death signal only
// the lifeline ends children when the supervisor is killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
