// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package schedulertrace

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

func klogDiscard() klog.Logger { return klog.LoggerWithValues(logr.Discard()) }

func newState() fwk.CycleState { return framework.NewCycleState() }

// A log through the sink is the log without it, whatever its verbosity.
func TestSinkForwards(t *testing.T) {
	// what the framework and a plugin do with a logger
	use := func(logger logr.Logger) {
		logger.Info("phase")
		verbose := logger.V(4).Enabled()
		logger = logger.WithName("FilterWithNominatedPods")
		if verbose {
			logger = logger.WithName("Score").WithValues("node", "n")
		}
		plugin := logger
		if verbose {
			plugin = logger.WithName("Plugin")
		}
		plugin.Info("always", "k", 1)
		plugin.V(2).Info("two")
		plugin.V(4).Info("four")
		plugin.V(6).Info("six")
		plugin.Error(errors.New("e"), "error")
		plugin.WithName("own").WithValues("x", 1).V(1).Info("own name")
	}
	for _, verbosity := range []int{0, 3, 4, 5, 9} {
		var want, got []string
		logTo := func(lines *[]string) logr.Logger {
			return funcr.New(func(prefix, args string) { *lines = append(*lines, prefix+": "+args) }, funcr.Options{Verbosity: verbosity})
		}
		use(logTo(&want))
		inner := logTo(&got)
		p := &phase{plugins: map[string]usage{}}
		use(inner.WithSink(newSink(inner.GetSink(), &chain{phase: p}, map[string]bool{"Plugin": true})))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("verbosity %d (-without +with the sink):\n%s", verbosity, diff)
		}
	}
}

// The sink does not move the line that a record says it comes from.
func TestSinkKeepsTheCaller(t *testing.T) {
	var line string
	inner := funcr.New(func(_, args string) { line = args }, funcr.Options{LogCaller: funcr.All})
	p := &phase{plugins: map[string]usage{}}
	logger := inner.WithSink(newSink(inner.GetSink(), &chain{phase: p}, nil))
	logger.Info("here")
	if !strings.Contains(line, "sink_test.go") {
		t.Errorf("the record says it comes from elsewhere: %s", line)
	}
	logger.Error(nil, "here")
	if !strings.Contains(line, "sink_test.go") {
		t.Errorf("the error says it comes from elsewhere: %s", line)
	}
}

// Without any logger there is nothing to forward to.
func TestSinkOfNothing(t *testing.T) {
	p := &phase{plugins: map[string]usage{}}
	logger := logr.Discard().WithSink(newSink(nil, &chain{phase: p}, map[string]bool{"Plugin": true}))
	logger.WithName("Plugin").WithValues("a", 1).Info("x")
	logger.Error(nil, "x")
	logger.WithCallDepth(1).V(4).Info("x")
}
