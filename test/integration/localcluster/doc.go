// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package localcluster tests the local cluster with its real components: what
// it offers while it runs, and that nothing is left when it ends, in whatever
// way. It needs the binaries that "make build" puts into bin.
package localcluster
