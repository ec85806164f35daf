// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package capacity measures what reclaimed capacity is worth: by how much the
// use of a cluster rises when pods without requests are placed by what is really
// free, and whether that ever costs a worker more than its ceiling allows.
//
// Everything is real but the workers, which kwok simulates: control plane,
// Prometheus, auriga-scheduler with config/scheduler.yaml, auriga-controller.
//
//	A  plain     ordinary pods whose requests fill the CPUs and that use 40 %
//	             of it: the level of a cluster that is scheduled by requests
//	B  reclaimed a backlog of reclaimed pods, more than fit: the level that is
//	             reached once no more are placed
//	C  shrink    ordinary pods are replaced by such that use nearly all of their
//	             request: reclaimed pods, and no others, must go
//
// In: a Config. Out: a Report, of which `make bench-reclaim` writes
// out/bench/reclaim.json and a table.
//
// A worker's true use is the sum of what its running pods declare, which is what
// the simulation makes them use; it is followed from event to event. Its
// measured use is what Prometheus says: of one scrape interval, and over the
// window that the scheduler decides by, which lags behind.
package capacity
