// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// source is the informer's ListerWatcher.
type source struct {
	*poller
	// undelivered is true while events of a poll are under way: a watch that ends
	// in the middle has lost some, and the next must begin with a list. Guarded by
	// poller.mu.
	undelivered bool
}

var _ cache.ListerWatcherWithContext = &source{}

// IsWatchListSemanticsUnSupported makes client-go's reflector list, then watch.
func (s *source) IsWatchListSemanticsUnSupported() bool { return true }

// List implements cache.Lister.
func (s *source) List(options metav1.ListOptions) (runtime.Object, error) {
	return s.ListWithContext(context.Background(), options)
}

// ListWithContext returns what is known. Only the first list polls. It never
// fails: without an answer nothing is known yet, and the caches that others wait
// for are in sync.
func (s *source) ListWithContext(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.polls == 0 {
		s.poll(ctx)
	}
	s.undelivered = false
	return s.list(), nil
}

// Watch implements cache.Watcher.
func (s *source) Watch(options metav1.ListOptions) (watch.Interface, error) {
	return s.WatchWithContext(context.Background(), options)
}

// WatchWithContext polls until ctx ends or the watch is stopped, whatever
// happens to the source. As of an API server, it is Gone if it cannot go on from
// the resource version.
func (s *source) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from := options.ResourceVersion; s.undelivered || (from != "" && from != strconv.FormatUint(s.version, 10)) {
		return nil, apierrors.NewResourceExpired("events were missed: list again")
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{events: make(chan watch.Event, 100), cancel: cancel, done: make(chan struct{})}
	go w.run(ctx, s)
	return w, nil
}

// watcher is a running watch.
type watcher struct {
	events chan watch.Event
	cancel context.CancelFunc
	done   chan struct{}
}

// ResultChan implements watch.Interface.
func (w *watcher) ResultChan() <-chan watch.Event { return w.events }

// Stop implements watch.Interface; it returns when nothing runs any more.
func (w *watcher) Stop() {
	w.cancel()
	<-w.done
}

func (w *watcher) run(ctx context.Context, s *source) {
	defer close(w.done)
	defer close(w.events)
	defer w.cancel()
	for {
		s.mu.Lock()
		timer := s.clock.NewTimer(s.wait())
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		}
		if !w.step(ctx, s) {
			return
		}
	}
}

// step polls once and delivers the events. It is false when the watch has ended.
func (w *watcher) step(ctx context.Context, s *source) bool {
	s.mu.Lock()
	events := s.poll(ctx)
	s.undelivered = len(events) > 0
	s.mu.Unlock()
	for _, event := range events {
		select {
		case w.events <- event:
		case <-ctx.Done():
			return false
		}
	}
	s.mu.Lock()
	s.undelivered = false
	s.mu.Unlock()
	return ctx.Err() == nil
}
