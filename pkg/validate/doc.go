// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package validate says what is wrong with scheduler configuration files
// before a scheduler reads them. File contents go in, for each file the list
// of all its problems comes out: where it is, the value, what is wrong and what
// would be accepted. A file without problems is one with which auriga-scheduler
// starts, as far as that can be told without a cluster.
//
// A file passes through these steps, and each of them reports all it finds:
//
//  1. source: the bytes, one YAML document, a mapping (source.go)
//  2. shape: every key and type, compared with the Go types (shape.go); what is
//     wrong is reported and left out, so that the rest can still be judged
//  3. meaning: plugin names, extension points, weights, arguments, profiles
//     (meaning.go), with upstream's validation and the plugins' own constructors
//  4. if nothing was found: the scheduler's own strict loader and framework
//     builder, as the last word (validate.go)
//
// Nothing connects to a cluster. A plugin whose constructor does is listed in
// registry.go with its type instead.
package validate
