// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package chart tests manifests/chart/auriga as a user's Helm and a user's API
// server see it: lint, rendering with several sets of values, validation
// against the schemas of Kubernetes' own API (kubeconform), the permissions
// that follow from the enabled plugins, and an installation on a real control
// plane under whose permissions the real scheduler works.
//
// It needs the binaries in bin/ and bin/tools/ (`make build`). It writes
// out/schemas, JSON schemas of the Kubernetes version in go.mod, with which
// kubeconform can be run by hand, without a network:
//
//	helm template auriga manifests/chart/auriga | kubeconform -strict \
//	  -schema-location 'out/schemas/{{.ResourceKind}}{{.KindSuffix}}.json'
package chart
