// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package demo runs Auriga's whole story on one machine: a real control plane
// with simulated workers, Auriga installed from its Helm chart and run under
// the chart's own permissions, a workload submitted as Jobs, a report.
//
// In: Options. Out: a Report, also written as JSON and as a page. On the way:
// lines that say what happens. Whatever happens (success, an error, a cancelled
// context), Run leaves no process and no file behind but the report and, after a
// failure, the logs.
//
// The way of the data:
//
//	trace.Workload -> Nodes, Jobs -> API server -> auriga-scheduler, stock kube-scheduler
//	                                     |  watch            | /metrics
//	                                     v                   v
//	                                 observer  ---------> Report -> terminal, report.json, index.html
//	                                     | requested         ^
//	                                     v                   |
//	      workers -> Prometheus ----> sampler  --------------+
//	                         measured
package demo
