// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"regexp"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Workload identifies what a pod is one of many of: in its namespace, either
// the value of the label LabelWorkload (Kind is then empty) or its controller.
type Workload struct {
	Namespace, Kind, Name string
}

// LabelWorkload is the pod label that names the workload.
const LabelWorkload = "app.kubernetes.io/name"

// generated is what controllers append to the names of what they create: a
// CronJob its Jobs' scheduled minute, a Deployment its ReplicaSets' hash.
var generated = regexp.MustCompile(`-([0-9]{8,11}|[bcdfghjklmnpqrstvwxz2456789]{8,10})$`)

// OwnerWorkload is the workload of a controller's kind and name: runs of a
// CronJob, and versions of a Deployment, are the same workload.
func OwnerWorkload(namespace, kind, name string) Workload {
	if kind == "Job" || kind == "ReplicaSet" {
		name = generated.ReplaceAllString(name, "")
	}
	return Workload{Namespace: namespace, Kind: kind, Name: name}
}

// LabelledWorkload is the workload of a value of the label LabelWorkload.
func LabelledWorkload(namespace, value string) Workload {
	return Workload{Namespace: namespace, Name: value}
}

// History is what workloads used so far. It is never changed once it is built;
// the nil History knows nothing.
type History struct {
	uses map[Workload]Use
}

// NewHistory makes a history; it keeps the map.
func NewHistory(uses map[Workload]Use) *History { return &History{uses} }

// Len is how many workloads it knows.
func (h *History) Len() int {
	if h == nil {
		return 0
	}
	return len(h.uses)
}

// Of is what the pod's workload used, by its label first, then by its owner.
func (h *History) Of(pod *corev1.Pod) (Use, bool) {
	if h == nil {
		return Use{}, false
	}
	if value := pod.Labels[LabelWorkload]; value != "" {
		if use, ok := h.uses[LabelledWorkload(pod.Namespace, value)]; ok {
			return use, true
		}
	}
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil {
		use, ok := h.uses[OwnerWorkload(pod.Namespace, owner.Kind, owner.Name)]
		return use, ok
	}
	return Use{}, false
}
