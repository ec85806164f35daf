// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package nodeprofile keeps the profile of every worker: what it is made of,
// as labels auriga.dev/... of its Node that pods and plugins can select by.
//
// In: the Node (status, and the labels of node-feature-discovery, of GPU feature
// discovery and of the cloud) and what Prometheus measured. Out: the labels of
// names.ProfileLabels by server-side apply, and auriga_node_profile_info.
//
// Every pass has three steps: observe (the cache, the last answer of
// Prometheus), decide (Profile and Decide: pure functions), apply (one request,
// only if something changes).
//
// Invariants:
//   - A label that somebody else set is never written. Whoever changes one of
//     our labels owns it from then on; deleting it gives it back to us.
//   - A label whose source says nothing any more is removed. One whose source
//     does not answer is kept: a failure of Prometheus is not a change of
//     hardware, also across restarts, because the Node itself is the memory.
//   - Unknown is the absence of a label, never a value.
package nodeprofile
