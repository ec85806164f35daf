// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package prometheus is the capacity informer: a client-go SharedIndexInformer
// of capacity.NodeCapacity objects whose ListerWatcher is anything that speaks
// Prometheus' HTTP API, such as Prometheus, Thanos, Mimir or VictoriaMetrics.
//
// In: a node lister and PromQL, one query a signal for all nodes. Out: Added,
// Modified and Deleted for the nodes that have readings; the indexers, resync and
// handlers of any informer. A list returns what is known; a watch polls, all
// queries at once.
//
//	NodeLister ───────────────┐
//	Prometheus <─queries─ poll ─events─> Reflector ─> store, handlers ─> Tracker
//	           <─queries─ history, self-check
//
// Invariants:
//   - a list succeeds within the query timeout, whatever the source does, so that
//     nobody's caches wait for it; a watch ends with its context only, and finds a
//     source that comes back;
//   - each poll hands out every known object again, with the poll's number as
//     resourceVersion, sorted by name, deletions first, and its last event is
//     marked Last; a poll without any answer hands out deletions only;
//   - what a poll does not find keeps its older reading, which grows old; NaN,
//     infinite, negative, ambiguous (two series for one node) and missing are no
//     readings;
//   - the time of a sample is when the answer was received, on our clock, minus
//     its age on the source's clock: the difference of the clocks is in neither.
//     A value that was evaluated before that sample was there is not taken;
//   - an object is never changed after it was handed out.
//
// Failures are told by a log line and an event when they begin, change or end,
// and by the metrics auriga_capacity_*.
package prometheus
