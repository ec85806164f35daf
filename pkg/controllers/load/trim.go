// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// annotations is the prefix of those that the controllers read.
const annotations = "auriga.dev/"

// Trim takes out of a pod what no controller reads: what is left are its labels
// and owners, what it requests, and how far it has come. It is a cache's
// transform.
func Trim(object any) (any, error) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	pod.ManagedFields = nil
	maps.DeleteFunc(pod.Annotations, func(name, _ string) bool { return !strings.HasPrefix(name, annotations) })
	spec := pod.Spec
	pod.Spec = corev1.PodSpec{
		NodeName: spec.NodeName, SchedulerName: spec.SchedulerName, PriorityClassName: spec.PriorityClassName,
		RestartPolicy: spec.RestartPolicy, Overhead: spec.Overhead, Resources: spec.Resources,
		Containers: trimContainers(spec.Containers), InitContainers: trimContainers(spec.InitContainers),
	}
	status := pod.Status
	pod.Status = corev1.PodStatus{Phase: status.Phase, StartTime: status.StartTime}
	for i := range status.ContainerStatuses {
		if state := status.ContainerStatuses[i].State; state.Terminated != nil {
			pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
				Name: status.ContainerStatuses[i].Name, State: state,
			})
		}
	}
	return pod, nil
}

func trimContainers(containers []corev1.Container) []corev1.Container {
	if containers == nil {
		return nil
	}
	trimmed := make([]corev1.Container, len(containers))
	for i := range containers {
		c := &containers[i]
		trimmed[i] = corev1.Container{Name: c.Name, Resources: c.Resources, RestartPolicy: c.RestartPolicy}
	}
	return trimmed
}
