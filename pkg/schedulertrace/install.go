// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package schedulertrace

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/framework"

	"auriga.dev/auriga/pkg/telemetry"
)

// DefaultMaxOpen is how many traces may be open, that is, sampled pods waiting;
// each takes about 4 KiB.
const DefaultMaxOpen = 10_000

// Options are what Install needs.
type Options struct {
	// Provider makes the spans; nil for no traces.
	Provider trace.TracerProvider
	// Sampler decides which pods are traced.
	Sampler telemetry.Sampler
	// MaxOpen bounds the open traces; 0 means DefaultMaxOpen.
	MaxOpen int
	// Pods tells of deleted pods. Required; not started here.
	Pods coreinformers.PodInformer
	// Register adds metrics to a registry. Required.
	Register telemetry.Register
}

// Install decorates a scheduler that does not run yet. Without a Provider it
// only observes the queue time.
func Install(sched *scheduler.Scheduler, o Options) error {
	if o.Pods == nil || o.Register == nil {
		return errors.New("schedulertrace.Install: Options.Pods and Options.Register are required")
	}
	queueTime, err := telemetry.NewQueueTime(o.Register)
	if err != nil {
		return err
	}
	r := newRecorder(o, queueTime)
	if o.Provider != nil {
		if err := o.Register(r.untraced); err != nil {
			return fmt.Errorf("registering auriga_traces_dropped_total: %w", err)
		}
	}
	if _, err := o.Pods.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: r.deleted}); err != nil {
		return fmt.Errorf("watching for deleted pods: %w", err)
	}
	pods := o.Pods.Lister()

	for name, inner := range sched.Profiles {
		if o.Provider == nil {
			sched.Profiles[name] = &timed{Framework: inner, recorder: r}
		} else {
			sched.Profiles[name] = newTraced(inner, r)
		}
	}

	nextPod := sched.NextPod
	sched.NextPod = func(logger klog.Logger) (*framework.QueuedPodInfo, error) {
		info, err := nextPod(logger)
		if err != nil || info == nil || info.PodInfo == nil || info.Pod == nil {
			return info, err
		}
		// Those that the scheduler skips make no attempt.
		if assumed, err := sched.Cache.IsAssumedPod(info.Pod); info.Pod.DeletionTimestamp == nil && (err != nil || !assumed) {
			r.begin(info.Pod, info.Timestamp, time.Now())
		}
		return info, err
	}
	fail := sched.FailureHandler
	sched.FailureHandler = func(ctx context.Context, fw framework.Framework, info *framework.QueuedPodInfo, status *fwk.Status, nominating *fwk.NominatingInfo, start time.Time) {
		pod := info.Pod
		// Before the pod is back in the queue and may be popped again.
		r.failed(pod, status, time.Now())
		fail(ctx, fw, info, status, nominating, start)
		if !exists(pods, pod) {
			// Deleted while it was tried; the event may have come before the
			// attempt began.
			r.forget(pod.UID, time.Now())
		}
	}
	return nil
}

func exists(pods corelisters.PodLister, pod *corev1.Pod) bool {
	now, err := pods.Pods(pod.Namespace).Get(pod.Name)
	return err == nil && now.UID == pod.UID
}

func newUntraced() *metrics.CounterVec {
	return metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "auriga_traces_dropped_total",
		Help:           "Sampled pods of which no trace was taken, by reason: too_many_open.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"reason"})
}
