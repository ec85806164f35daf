// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package realcapacity is the scheduler plugin RealCapacity: it decides by what
// was measured on the workers.
//
// In: the snapshot of a capacity.Tracker, which a Prometheus informer and the
// pods of the cluster feed (source.go); one snapshot is pinned for each
// scheduling cycle (PreFilter). Out: Filter keeps measured use, what is in
// flight and the pod itself under a ceiling; Score prefers the worker with the
// most capacity really free (score.LoadDistribution).
//
//	what counts against the ceiling   ordinary pod             reclaimed pod
//	fresh reading                     measured + in flight     measured + in flight + pod
//	                                  - reclaimed + pod        + 2 % of the worker
//	no fresh reading, onStale:
//	  Requests                        (NodeResourcesFit)       requests + reclaimed + pod
//	  Reject                          rejected                 rejected
//	  Ignore                          passes                   passes
//
// A reclaimed pod is of class auriga-batch, requests nothing and declares its
// use in auriga.dev/usage. Ordinary pods do not see it: it is evicted
// (pkg/controllers/reclaim) when their use leaves no room for it.
//
// Invariants:
//   - Filter and Score take no lock and allocate nothing on the way to success,
//     except for a reclaimed pod on a node that was never measured;
//   - a reading that is missing or too old is never taken for an idle node: the
//     declared policy decides, and that is counted;
//   - a pod that was rejected is tried again when a new snapshot shows that a
//     node which rejected it has room, and not before;
//   - profiles that name the same Prometheus share one informer, which is one of
//     the scheduler's own shared informers and lives and ends with them.
package realcapacity
