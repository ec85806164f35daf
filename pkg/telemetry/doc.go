// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package telemetry is what Auriga's processes measure and trace with, as far
// as that needs no scheduler code.
//
//   - Labels: [BoundedLabel], [Tenant] and [Priority] turn what users write into
//     label values of which there are few, so that no user can fill a
//     Prometheus.
//
// Invariants: nothing here is slower or bigger because somebody used many
// names, and nothing here waits for a network.
package telemetry
