// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// +k8s:deepcopy-gen=package
// +k8s:conversion-gen=auriga.dev/auriga/pkg/apis/config
// +k8s:defaulter-gen=TypeMeta
// +groupName=kubescheduler.config.k8s.io

// Package v1 holds the arguments of Auriga's plugins as users write them in a
// profile's pluginConfig, apiVersion kubescheduler.config.k8s.io/v1. Fields
// that may be left out are pointers or have a zero value that no one can mean;
// defaults.go fills them in.
package v1
