// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package prometheus is the capacity informer: a client-go SharedIndexInformer
// of capacity.NodeCapacity objects whose ListerWatcher is anything that speaks
// Prometheus' HTTP API.
package prometheus
