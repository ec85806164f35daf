// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package schedulertrace

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/metrics"
	fwk "k8s.io/kube-scheduler/framework"

	"auriga.dev/auriga/pkg/telemetry"
)

// messageLimit bounds a status message in a span, in bytes: one of a pod that
// fits nowhere may list many reasons.
const messageLimit = 1024

// recorder knows the pods that were tried and are neither bound nor deleted.
type recorder struct {
	tracer    trace.Tracer // nil: no traces
	sampler   telemetry.Sampler
	maxOpen   int
	started   time.Time
	queueTime *telemetry.QueueTime
	untraced  *metrics.CounterVec

	mu      sync.RWMutex
	waiting map[types.UID]waiting
	open    int // entries of waiting with a trace; <= maxOpen
}

// waiting is a pod between its first attempt and its end.
type waiting struct {
	since time.Time // first enqueued
	trace *podTrace // nil if not sampled
}

func newRecorder(o Options, queueTime *telemetry.QueueTime) *recorder {
	r := &recorder{
		sampler: o.Sampler, maxOpen: o.MaxOpen, started: time.Now(), queueTime: queueTime,
		untraced: newUntraced(), waiting: map[types.UID]waiting{},
	}
	if r.maxOpen == 0 {
		r.maxOpen = DefaultMaxOpen
	}
	if o.Provider != nil {
		r.tracer = o.Provider.Tracer("auriga.dev/auriga/pkg/schedulertrace")
	}
	return r
}

// begin begins an attempt at a pod that entered the queue at enqueued. At the
// first, it decides whether the pod is traced.
func (r *recorder) begin(pod *corev1.Pod, enqueued, now time.Time) {
	r.mu.Lock()
	w, known := r.waiting[pod.UID]
	if !known {
		w.since = enqueued
		if created := pod.CreationTimestamp.Time; !created.IsZero() && created.Before(r.started) {
			w.since = created // it waited before this process did
		}
		w.trace = r.sample(pod, w.since)
		r.waiting[pod.UID] = w
	}
	r.mu.Unlock()
	if w.trace != nil {
		w.trace.beginAttempt(now)
	}
}

// sample opens a trace if the pod is to have one. r.mu is held.
func (r *recorder) sample(pod *corev1.Pod, since time.Time) *podTrace {
	if r.tracer == nil {
		return nil
	}
	parent, sampled := r.sampler.Sample(pod)
	if !sampled {
		return nil
	}
	if r.open >= r.maxOpen {
		r.untraced.WithLabelValues("too_many_open").Inc()
		return nil
	}
	r.open++
	return newPodTrace(r.tracer, parent, pod, since)
}

// find returns the pod's open trace, nil if it has none.
func (r *recorder) find(uid types.UID) *podTrace {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.waiting[uid].trace
}

// take removes a pod.
func (r *recorder) take(uid types.UID) (waiting, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w, ok := r.waiting[uid]
	delete(r.waiting, uid)
	if w.trace != nil {
		r.open--
	}
	return w, ok
}

// bound ends a pod's wait on a node.
func (r *recorder) bound(pod *corev1.Pod, node string, now time.Time) {
	w, ok := r.take(pod.UID)
	if !ok {
		return
	}
	r.queueTime.Observe(pod, now.Sub(w.since))
	if w.trace != nil {
		w.trace.end(now, "bound", attribute.String("k8s.node.name", node))
	}
}

// failed ends an attempt; the pod waits on.
func (r *recorder) failed(pod *corev1.Pod, status *fwk.Status, now time.Time) {
	if t := r.find(pod.UID); t != nil {
		t.failAttempt(status, now)
	}
}

// forget ends the wait of a pod that will not be bound.
func (r *recorder) forget(uid types.UID, now time.Time) {
	if w, _ := r.take(uid); w.trace != nil {
		w.trace.end(now, "deleted")
	}
}

// deleted is the informer's handler.
func (r *recorder) deleted(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	if pod, ok := obj.(*corev1.Pod); ok {
		r.forget(pod.UID, time.Now())
	}
}

// podTrace is the open part of a pod's tree.
type podTrace struct {
	tracer trace.Tracer
	uid    types.UID // the pod's

	mu       sync.Mutex
	root     trace.Span
	rootCtx  context.Context // it carries the span only
	waits    time.Time       // since when it waits for the next attempt
	attempts int
	attempt  trace.Span // nil between attempts
	tryCtx   context.Context
	filter   *phase // the open Filter phase, nil if there is none
	ended    bool
}

func newPodTrace(tracer trace.Tracer, parent trace.SpanContext, pod *corev1.Pod, since time.Time) *podTrace {
	ctx := context.Background()
	if parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	ctx, root := tracer.Start(ctx, "schedule pod", trace.WithTimestamp(since), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("k8s.namespace.name", pod.Namespace),
		attribute.String("k8s.pod.name", pod.Name),
		attribute.String("k8s.pod.uid", string(pod.UID)),
		attribute.String("auriga.tenant", telemetry.Tenant(pod)),
		attribute.String("auriga.priority_class", pod.Spec.PriorityClassName),
		attribute.String("auriga.scheduler", pod.Spec.SchedulerName),
	))
	return &podTrace{tracer: tracer, uid: pod.UID, root: root, rootCtx: ctx, waits: since}
}

func (t *podTrace) beginAttempt(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.attempt != nil {
		return
	}
	t.endQueue(now)
	t.attempts++
	t.tryCtx, t.attempt = t.tracer.Start(t.rootCtx, "attempt", trace.WithTimestamp(now),
		trace.WithAttributes(attribute.Int("auriga.attempt", t.attempts)))
}

// endQueue writes the span of the wait that ends now. t.mu is held.
func (t *podTrace) endQueue(now time.Time) {
	_, queue := t.tracer.Start(t.rootCtx, "queue", trace.WithTimestamp(t.waits))
	queue.End(trace.WithTimestamp(now))
}

func (t *podTrace) failAttempt(status *fwk.Status, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.attempt == nil {
		return
	}
	outcome := "unschedulable"
	if !status.IsRejected() {
		outcome = "error"
		t.attempt.SetStatus(codes.Error, short(status.Message()))
	}
	t.endAttempt(now, outcome, attribute.String("auriga.plugin", status.Plugin()), attribute.String("auriga.message", short(status.Message())))
}

// endAttempt ends the attempt and what is open below it. t.mu is held.
func (t *podTrace) endAttempt(now time.Time, outcome string, attributes ...attribute.KeyValue) {
	t.endFilter()
	t.attempt.SetAttributes(append(attributes, attribute.String("auriga.outcome", outcome))...)
	t.attempt.End(trace.WithTimestamp(now))
	t.attempt, t.tryCtx, t.waits = nil, nil, now
}

// end ends the tree.
func (t *podTrace) end(now time.Time, outcome string, attributes ...attribute.KeyValue) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return
	}
	if t.attempt != nil {
		t.endAttempt(now, outcome, attributes...)
	} else {
		t.endQueue(now)
	}
	t.ended = true
	t.root.SetAttributes(append(attributes, attribute.String("auriga.outcome", outcome), attribute.Int("auriga.attempts", t.attempts))...)
	t.root.End(trace.WithTimestamp(now))
}

func short(message string) string {
	if len(message) > messageLimit {
		return message[:messageLimit] + "..."
	}
	return message
}
