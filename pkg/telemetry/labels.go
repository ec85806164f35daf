// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"auriga.dev/auriga/pkg/apis/names"
)

// Other is the label value of everything that has none of its own.
const Other = "other"

// TenantLimit is how many tenants get a label value of their own in one
// process; each costs a time series per metric and other labels.
const TenantLimit = 100

// BoundedLabel lets the first values that it sees be label values, up to a
// limit, and calls all others [Other]. A value that was let through once always
// is, so that a series never ends because another began. It may be used
// concurrently; Value does not allocate once a value is known or the limit is
// reached.
type BoundedLabel struct {
	limit int

	mu    sync.RWMutex
	known map[string]struct{} // len(known) <= limit
}

// NewBoundedLabel returns a label of at most limit values besides [Other]; with
// a limit of 0 or less everything is [Other].
func NewBoundedLabel(limit int) *BoundedLabel {
	return &BoundedLabel{limit: limit, known: map[string]struct{}{}}
}

// Value is v, or [Other] if v is empty or came after the limit was reached.
func (b *BoundedLabel) Value(v string) string {
	if v == "" {
		return Other
	}
	b.mu.RLock()
	_, known := b.known[v]
	full := len(b.known) >= b.limit
	b.mu.RUnlock()
	switch {
	case known:
		return v
	case full:
		return Other
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.known[v]; !known {
		if len(b.known) >= b.limit {
			return Other
		}
		b.known[v] = struct{}{}
	}
	return v
}

// Tenant says whose pod it is: its label auriga.dev/tenant, else its namespace.
// Users choose it freely: pass it through a [BoundedLabel] before it becomes a
// metric's label.
func Tenant(pod *corev1.Pod) string {
	if tenant := pod.Labels[names.LabelTenant]; tenant != "" {
		return tenant
	}
	return pod.Namespace
}

// Priority is the pod's priority class if it is one of Auriga's, else [Other].
func Priority(pod *corev1.Pod) string {
	if slices.Contains(names.PriorityClasses(), pod.Spec.PriorityClassName) {
		return pod.Spec.PriorityClassName
	}
	return Other
}
