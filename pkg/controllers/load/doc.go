// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package load is what the controllers know about the real load of the workers.
//
// In: the measurements of Prometheus, if there is one, and all pods that are on
// nodes, from the manager's cache. Out: a capacity.Tracker, the events of the
// pods after the tracker has seen them, and the readings by pool.
//
// It runs on every replica, whoever is the leader, so that the next leader knows
// what is in flight and what has just ended.
package load
