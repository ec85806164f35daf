// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package jobmetrics

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"auriga.dev/auriga/pkg/apis/names"
)

func stamp(second int) *metav1.Time { return ptr.To(metav1.NewTime(at(second))) }

func batchJob(uid string, conditions ...batchv1.JobCondition) *batchv1.Job {
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", UID: types.UID(uid), Labels: map[string]string{names.LabelPipeline: "p"}},
		Status:     batchv1.JobStatus{StartTime: stamp(10), Conditions: conditions},
	}
	job.Spec.Template.Labels = map[string]string{names.LabelTenant: "blue", names.LabelPipeline: "template"}
	job.Spec.Template.Spec.SchedulerName = names.Scheduler
	job.Spec.Template.Spec.PriorityClassName = names.PriorityHigh
	return job
}

func condition(kind batchv1.JobConditionType, status corev1.ConditionStatus, second int) batchv1.JobCondition {
	return batchv1.JobCondition{Type: kind, Status: status, LastTransitionTime: *stamp(second)}
}

func TestFromJob(t *testing.T) {
	want := Job{ID: "u", Tenant: "blue", Priority: names.PriorityHigh, Pipeline: "ns/p", Started: at(10)}
	for name, test := range map[string]struct {
		job    *batchv1.Job
		result Result
		end    int
	}{
		"running":           {batchJob("u"), Unfinished, 0},
		"about to complete": {batchJob("u", condition(batchv1.JobSuccessCriteriaMet, corev1.ConditionTrue, 20)), Unfinished, 0},
		"not failed":        {batchJob("u", condition(batchv1.JobFailed, corev1.ConditionFalse, 20)), Unfinished, 0},
		"complete":          {batchJob("u", condition(batchv1.JobComplete, corev1.ConditionTrue, 20)), Succeeded, 20},
		"failed":            {batchJob("u", condition(batchv1.JobFailed, corev1.ConditionTrue, 20)), Failed, 20},
	} {
		t.Run(name, func(t *testing.T) {
			want := want
			want.Result = test.result
			if test.end > 0 {
				want.Ended = at(test.end)
			}
			if diff := cmp.Diff(want, fromJob(test.job)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	job := batchJob("u", condition(batchv1.JobComplete, corev1.ConditionTrue, 30))
	job.Status.CompletionTime, job.Status.StartTime = stamp(25), nil
	job.Labels, job.Spec.Template.Labels = nil, nil
	want = Job{ID: "u", Tenant: "ns", Priority: names.PriorityHigh, Result: Succeeded, Ended: at(25)}
	if diff := cmp.Diff(want, fromJob(job)); diff != "" {
		t.Errorf("no labels, no start (-want +got):\n%s", diff)
	}
}

func barePod(phase corev1.PodPhase) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", UID: "u"},
		Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, SchedulerName: names.Scheduler},
		Status:     corev1.PodStatus{Phase: phase, StartTime: stamp(10)},
	}
}

func TestFromPod(t *testing.T) {
	terminated := func(pod *corev1.Pod) {
		for _, second := range []int{20, 30, 25} {
			pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{
				State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: *stamp(second)}}})
		}
	}
	owner := func(kind string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Controller: ptr.To(true)}}
		}
	}
	for name, test := range map[string]struct {
		phase  corev1.PodPhase
		change func(*corev1.Pod)
		result Result
		end    int
		no     bool
	}{
		"running":          {phase: corev1.PodRunning, change: terminated},
		"succeeded":        {phase: corev1.PodSucceeded, change: terminated, result: Succeeded, end: 30},
		"failed":           {phase: corev1.PodFailed, change: terminated, result: Failed, end: 30},
		"never ran":        {phase: corev1.PodFailed, result: Failed, end: 99},
		"of a workflow":    {phase: corev1.PodSucceeded, change: owner("Workflow"), result: Succeeded, end: 99},
		"of a Job":         {phase: corev1.PodSucceeded, change: owner("Job"), no: true},
		"a service":        {phase: corev1.PodFailed, change: func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyAlways }, no: true},
		"without a policy": {phase: corev1.PodFailed, change: func(p *corev1.Pod) { p.Spec.RestartPolicy = "" }, no: true},
	} {
		t.Run(name, func(t *testing.T) {
			pod := barePod(test.phase)
			if test.change != nil {
				test.change(pod)
			}
			got, ok := fromPod(pod, at(99))
			want := Job{}
			if !test.no {
				want = Job{ID: "u", Tenant: "ns", Priority: "other", Started: at(10), Result: test.result}
			}
			if test.end > 0 {
				want.Ended = at(test.end)
			}
			if diff := cmp.Diff(want, got); diff != "" || ok == test.no {
				t.Errorf("is a job: %v (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestMeter(t *testing.T) {
	clk := testingclock.NewFakePassiveClock(at(15))
	m, err := New(nil, Config{Schedulers: []string{names.Scheduler}, Window: time.Hour}, clk)
	if err != nil {
		t.Fatal(err)
	}
	if got := testutil.CollectAndCount(m); got != 0 {
		t.Errorf("%d series before the start", got)
	}
	m.tracker = newTracker(clk.Now(), m.window)
	complete := condition(batchv1.JobComplete, corev1.ConditionTrue, 20)
	foreign := batchJob("foreign", complete)
	foreign.Spec.Template.Spec.SchedulerName = corev1.DefaultSchedulerName

	m.see(batchJob("1"), false)
	m.see(batchJob("1", complete), false)
	m.see(batchJob("1", complete), false)                                                   // a resync
	m.see(toolscache.DeletedFinalStateUnknown{Obj: batchJob("2", complete)}, true)          // deleted as soon as it ended
	m.see(batchJob("3"), true)                                                              // deleted before it ended
	m.see(batchJob("old", condition(batchv1.JobComplete, corev1.ConditionTrue, 12)), false) // before the start
	m.see(foreign, false)                                                                   // another scheduler's
	m.see(toolscache.DeletedFinalStateUnknown{}, true)                                      // nothing
	m.see(batchJob("4", condition(batchv1.JobFailed, corev1.ConditionTrue, 40)), false)     // same pipeline
	if got := len(m.tracker.counted); got != 3 {
		t.Errorf("%d jobs are remembered, want 3 that exist", got)
	}
	if err := testutil.CollectAndCompare(m, strings.NewReader(`
# HELP cicd_pipeline_success_rate Of the pipelines with a job that ended within the window, the share without a failed one, 0 to 1.
# TYPE cicd_pipeline_success_rate gauge
cicd_pipeline_success_rate{tenant="blue"} 0
`), "cicd_pipeline_success_rate"); err != nil {
		t.Error(err)
	}
	for result, want := range map[Result]struct {
		jobs    uint64
		seconds float64
	}{Succeeded: {2, 20}, Failed: {1, 30}} {
		var got dto.Metric
		histogram, err := m.duration.MetricVec.GetMetricWithLabelValues("blue", names.PriorityHigh, string(result))
		if err != nil {
			t.Fatal(err)
		}
		if err := histogram.Write(&got); err != nil {
			t.Fatal(err)
		}
		if h := got.GetHistogram(); h.GetSampleCount() != want.jobs || h.GetSampleSum() != want.seconds {
			t.Errorf("%s: %v, want %v", result, h, want)
		}
	}
	if got := testutil.CollectAndCount(m, "cicd_job_duration_seconds"); got != 2 {
		t.Errorf("%d series", got)
	}
}

func TestNew(t *testing.T) {
	for name, c := range map[string]Config{
		"no scheduler": {Window: time.Hour}, "no window": {Schedulers: []string{"a"}}, "negative window": {Schedulers: []string{"a"}, Window: -1},
	} {
		if _, err := New(nil, c, testingclock.NewFakePassiveClock(at(0))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
