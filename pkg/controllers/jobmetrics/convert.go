// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package jobmetrics

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/telemetry"
)

// fromJob reads a batch Job.
func fromJob(object *batchv1.Job) Job {
	// The pods' own words, under the Job's.
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: object.Namespace, Labels: map[string]string{}}, Spec: object.Spec.Template.Spec}
	for _, labels := range []map[string]string{object.Spec.Template.Labels, object.Labels} {
		for _, name := range []string{names.LabelTenant, names.LabelPipeline} {
			if value := labels[name]; value != "" {
				pod.Labels[name] = value
			}
		}
	}
	job := describe(string(object.UID), &pod)
	if object.Status.StartTime != nil {
		job.Started = object.Status.StartTime.Time
	}
	for _, condition := range object.Status.Conditions {
		if condition.Status != corev1.ConditionTrue {
			continue
		}
		switch condition.Type {
		case batchv1.JobComplete:
			job.Result, job.Ended = Succeeded, condition.LastTransitionTime.Time
			if object.Status.CompletionTime != nil {
				job.Ended = object.Status.CompletionTime.Time
			}
		case batchv1.JobFailed:
			job.Result, job.Ended = Failed, condition.LastTransitionTime.Time
		}
	}
	return job
}

// fromPod reads a pod that is a job of one; others are not (false).
func fromPod(pod *corev1.Pod, now time.Time) (Job, bool) {
	if owner := metav1.GetControllerOf(pod); owner != nil && owner.Kind == "Job" {
		return Job{}, false
	}
	if pod.Spec.RestartPolicy == corev1.RestartPolicyAlways || pod.Spec.RestartPolicy == "" {
		return Job{}, false
	}
	job := describe(string(pod.UID), pod)
	if pod.Status.StartTime != nil {
		job.Started = pod.Status.StartTime.Time
	}
	switch pod.Status.Phase {
	case corev1.PodSucceeded:
		job.Result = Succeeded
	case corev1.PodFailed:
		job.Result = Failed
	default:
		return job, true
	}
	for i := range pod.Status.ContainerStatuses {
		if ended := pod.Status.ContainerStatuses[i].State.Terminated; ended != nil && ended.FinishedAt.After(job.Ended) {
			job.Ended = ended.FinishedAt.Time
		}
	}
	if job.Ended.IsZero() {
		// No container ever ran, or nobody said when it ended: now.
		job.Ended = now
	}
	return job, true
}

func describe(id string, pod *corev1.Pod) Job {
	job := Job{ID: id, Tenant: telemetry.Tenant(pod), Priority: telemetry.Priority(pod)}
	if pipeline := pod.Labels[names.LabelPipeline]; pipeline != "" {
		job.Pipeline = pod.Namespace + "/" + pipeline
	}
	return job
}
