// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"hash/fnv"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
	tracingapi "k8s.io/component-base/tracing/api/v1"

	"auriga.dev/auriga/pkg/apis/names"
)

// Sampler decides which pods are traced. The zero value traces those whose
// submitter does.
type Sampler struct {
	perMillion uint64
}

// NewSampler follows a configuration; without a rate it is the zero value.
func NewSampler(config *tracingapi.TracingConfiguration) Sampler {
	if config == nil || config.SamplingRatePerMillion == nil || *config.SamplingRatePerMillion < 0 {
		return Sampler{}
	}
	return Sampler{perMillion: uint64(*config.SamplingRatePerMillion)}
}

// Sample says whether to trace a pod and with which parent. A submitter who
// wrote a valid W3C traceparent into the annotation auriga.dev/traceparent
// decides by its sampled flag; for all others the pod's UID does, so that every
// replica of the scheduler and every attempt decide alike.
func (s Sampler) Sample(pod *corev1.Pod) (parent trace.SpanContext, sampled bool) {
	if header, ok := pod.Annotations[names.AnnotationTraceparent]; ok {
		carrier := propagation.MapCarrier{"traceparent": header}
		parent = trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
		if parent.IsValid() {
			return parent, parent.IsSampled()
		}
	}
	if s.perMillion == 0 {
		return trace.SpanContext{}, false
	}
	h := fnv.New64a()
	h.Write([]byte(pod.UID))
	// FNV mixes its low bits well only into the high ones; fold them.
	sum := h.Sum64()
	return trace.SpanContext{}, (sum^sum>>32)%1_000_000 < s.perMillion
}
