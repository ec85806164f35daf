// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package controllers lists the controllers of auriga-controller. Each is a
// package below: it observes (a cache, a Source), decides (pure functions) and
// applies. They share a manager, and nothing else.
package controllers
