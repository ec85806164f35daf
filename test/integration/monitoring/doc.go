// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package monitoring tests what people watch Auriga with: the recording rules,
// the alerts, the dashboards and the collector of traces.
//
//   - rules_test.go: promtool checks the rules and runs the cases in testdata, in
//     which each alert fires and does not; each alert says what to do.
//   - dashboards_test.go: each panel has a unit, a description and a place of its
//     own. That the chart renders what the files say is test/chart's matter.
//   - queries_test.go: a real control plane, scheduler, controller and Prometheus,
//     in which every query of every dashboard and every rule has to give data.
//   - collector_test.go: a real collector keeps the traces that it should.
//
// It needs the binaries that "make build" puts into bin.
package monitoring
