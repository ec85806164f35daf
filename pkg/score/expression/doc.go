// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package expression compiles and evaluates scoring policies that users write
// in CEL, the Common Expression Language.
//
// In: an expression, and for each evaluation a pod, a node and the node's
// resource amounts as plain values. Out: one finite number; the caller clamps
// it to a score.
//
// What an expression sees:
//
//	load["cpu"], load.memory   requested/allocatable after placing, 0 or more
//	free.cpu                   1 - load, at least 0
//	requested.cpu              after placing, in cores, bytes or pieces
//	allocatable.cpu            likewise
//	pod.name, .namespace, .labels, .annotations, .priority, .requests
//	node.name, .labels, .annotations, .taints (a list of key, value, effect)
//
// The four maps hold the resources of which the node has some; test with
// "nvidia.com/gpu" in load, or read load[?"nvidia.com/gpu"].orValue(0.0).
// Functions: the CEL standard library, math.*, cel.bind and optional values.
// CEL's string extension is left out, since its cost is not counted.
//
// Invariants: an expression is compiled once; a Program never changes and may
// be used by many goroutines; an evaluation depends on its inputs only (no
// clock, no randomness, no other node) and its work is bounded by a cost limit.
package expression
