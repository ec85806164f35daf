// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// +k8s:deepcopy-gen=package
// +groupName=kubescheduler.config.k8s.io

// Package config holds the arguments of Auriga's plugins in the form in which
// the plugins receive them: every default filled in, no optional pointers where
// a value always exists. The form that users write is in [v1]; the generated
// conversions and [scheme] lead from one to the other, and [validation] says
// what is wrong with a value.
//
// To add a plugin's arguments: add the type here and in v1, list both in the
// two register.go files, add SetDefaults_<Type> to v1/defaults.go and
// Validate<Type> to validation, then run hack/update.sh.
//
// [v1]: auriga.dev/auriga/pkg/apis/config/v1
// [scheme]: auriga.dev/auriga/pkg/apis/config/scheme
// [validation]: auriga.dev/auriga/pkg/apis/config/validation
package config
