// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/component-base/metrics"
	tracingapi "k8s.io/component-base/tracing/api/v1"
	"k8s.io/klog/v2"
)

const (
	// spanQueue is how many ended spans wait for the collector, in spans; about
	// 1 KiB each. 4096 are some 300 traces.
	spanQueue = 4096
	// exportTimeout bounds one attempt to send a batch.
	exportTimeout = 5 * time.Second
	// batchDelay is how long a span waits for others to be sent with.
	batchDelay = time.Second
	// logInterval is the least time between two log records of failed exports.
	logInterval = time.Minute
)

// Why a span was dropped: values of the label reason.
const (
	droppedQueueFull = "queue_full"
	droppedExport    = "export_failed"
	droppedShutdown  = "shutdown"
)

// ReadTracingConfig reads and checks a TracingConfiguration (group
// apiserver.config.k8s.io), the format of kube-apiserver's
// --tracing-config-file. Unknown fields are errors.
func ReadTracingConfig(path string) (*tracingapi.TracingConfiguration, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the tracing configuration: %w", err)
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder()
	// Without a target: an empty file would be taken for one that leaves all out.
	object, _, err := decoder.Decode(data, nil, nil)
	if err == nil {
		if config, ok := object.(*apiserver.TracingConfiguration); ok {
			if errs := tracingapi.ValidateTracingConfiguration(&config.TracingConfiguration, nil, field.NewPath("TracingConfiguration")); len(errs) > 0 {
				return nil, fmt.Errorf("%s: %w", path, errs.ToAggregate())
			}
			return &config.TracingConfiguration, nil
		}
		err = fmt.Errorf("it is a %T", object)
	}
	return nil, fmt.Errorf("%s: %w; want apiVersion: apiserver.config.k8s.io/v1, kind: TracingConfiguration, and the fields endpoint and samplingRatePerMillion", path, err)
}

// Provider makes spans and sends them to a collector. Ending a span never
// waits for the collector.
type Provider struct {
	*sdktrace.TracerProvider
	out *exporter
}

// NewProvider returns a provider that sends to the configured endpoint
// (localhost:4317 if there is none), whether or not anything listens there.
// It samples every span that it is asked to start: who starts one decides,
// once a trace, with [Sampler].
func NewProvider(ctx context.Context, service string, config *tracingapi.TracingConfiguration, register Register) (*Provider, error) {
	options := []otlptracegrpc.Option{
		otlptracegrpc.WithInsecure(),
		otlptracegrpc.WithTimeout(exportTimeout),
		// A batch that failed is dropped: the next ones wait already.
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: false}),
	}
	if config.Endpoint != nil {
		options = append(options, otlptracegrpc.WithEndpoint(*config.Endpoint))
	}
	inner, err := otlptracegrpc.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("making the exporter of traces: %w", err)
	}
	res, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", service)), resource.WithHost())
	if err != nil {
		return nil, fmt.Errorf("describing this process in traces: %w", err)
	}
	return newProvider(inner, res, klog.FromContext(ctx), register)
}

func newProvider(inner sdktrace.SpanExporter, res *resource.Resource, logger klog.Logger, register Register) (*Provider, error) {
	out := &exporter{
		SpanExporter: inner, logger: logger,
		dropped: metrics.NewCounterVec(&metrics.CounterOpts{
			Name:           "auriga_trace_spans_dropped_total",
			Help:           "Spans that were not delivered to the collector of traces, by reason: queue_full, export_failed, shutdown.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"reason"}),
	}
	if err := register(out.dropped); err != nil {
		return nil, fmt.Errorf("registering auriga_trace_spans_dropped_total: %w", err)
	}
	for _, reason := range []string{droppedQueueFull, droppedExport, droppedShutdown} {
		out.dropped.WithLabelValues(reason).Add(0)
	}
	batches := sdktrace.NewBatchSpanProcessor(out,
		// Twice what is let in, so that the processor itself never drops, which
		// it would not count.
		sdktrace.WithMaxQueueSize(2*spanQueue), sdktrace.WithMaxExportBatchSize(512),
		sdktrace.WithBatchTimeout(batchDelay), sdktrace.WithExportTimeout(exportTimeout))
	return &Provider{out: out, TracerProvider: sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithResource(res),
		sdktrace.WithSpanProcessor(&entrance{SpanProcessor: batches, out: out}),
	)}, nil
}

// Shutdown sends what waits until ctx ends, counts the rest as dropped and
// returns.
func (p *Provider) Shutdown(ctx context.Context) error {
	err := p.TracerProvider.Shutdown(ctx)
	if left := p.out.waiting.Load(); err != nil && left > 0 {
		p.out.dropped.WithLabelValues(droppedShutdown).Add(float64(left))
	}
	return err
}

// entrance lets at most spanQueue spans wait.
type entrance struct {
	sdktrace.SpanProcessor
	out *exporter
}

func (e *entrance) OnEnd(s sdktrace.ReadOnlySpan) {
	if e.out.waiting.Add(1) > spanQueue {
		e.out.waiting.Add(-1)
		e.out.dropped.WithLabelValues(droppedQueueFull).Inc()
		return
	}
	e.SpanProcessor.OnEnd(s)
}

// exporter counts what it could not send, and says so at most once a minute.
// The batch processor calls it from one goroutine at a time.
type exporter struct {
	sdktrace.SpanExporter
	logger  klog.Logger
	dropped *metrics.CounterVec
	waiting atomic.Int64 // spans between entrance and the end of their export
	logged  time.Time
	silent  int // spans dropped since logged
}

func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	e.waiting.Add(-int64(len(spans)))
	if err == nil {
		return nil
	}
	e.dropped.WithLabelValues(droppedExport).Add(float64(len(spans)))
	e.silent += len(spans)
	if now := time.Now(); now.Sub(e.logged) >= logInterval {
		e.logger.Error(err, "Could not send traces; scheduling goes on without them. Is the collector of --tracing-config-file up?", "spansDropped", e.silent)
		e.logged, e.silent = now, 0
	}
	return nil // said here; else the SDK says it again for every batch
}
