// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package scheduler tests bin/auriga-scheduler against a real API server: what
// it tells others of its work. It needs the binaries that "make build" puts
// into bin.
package scheduler
