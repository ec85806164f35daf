// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package utilization sums up how much of each worker pool is in use.
//
// In: readings of the workers, what is used (measured) and what there is, in
// cores and bytes. Out: worker_manager_resource_utilization{pool, resource}, 0
// to 1, used over capacity of the pool's measured workers; and
// auriga_pool_unmeasured_nodes{pool}, the workers that the former leaves out.
//
// Invariant: unknown is never 0. A worker without a fresh reading is in neither
// the numerator nor the denominator, and a pool without any has no value.
package utilization
