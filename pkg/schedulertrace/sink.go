// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package schedulertrace

import "github.com/go-logr/logr"

// pluginVerbosity is the verbosity at which the framework names its logger
// after each plugin that it calls.
const pluginVerbosity = 4

// alwaysNamed is the one name that the framework gives at any verbosity.
const alwaysNamed = "FilterWithNominatedPods"

// sink is a log sink that hears whose turn it is. It claims to be as verbose as
// makes the framework name its logger, and forwards what the sink below it
// would have logged.
type sink struct {
	inner    logr.LogSink // nil: logs nothing
	chain    *chain       // nil within a plugin's turn: what it names is its own affair
	isPlugin map[string]bool
}

var (
	_ logr.LogSink                = sink{}
	_ logr.CallDepthLogSink       = sink{}
	_ logr.CallStackHelperLogSink = sink{}
)

func newSink(inner logr.LogSink, c *chain, isPlugin map[string]bool) logr.LogSink {
	if deep, ok := inner.(logr.CallDepthLogSink); ok {
		inner = deep.WithCallDepth(1) // this sink's own frame
	}
	return sink{inner, c, isPlugin}
}

// Init does nothing: the inner sink is initialized.
func (s sink) Init(logr.RuntimeInfo) {}

// Enabled is true for what the framework asks before it names plugins.
func (s sink) Enabled(level int) bool {
	return s.chain != nil && level <= pluginVerbosity || s.shown(level)
}

func (s sink) shown(level int) bool { return s.inner != nil && s.inner.Enabled(level) }

// keeps says whether a name or value is for the inner sink. The framework gives
// its own only to a logger that is verbose; those of plugins are always for it.
func (s sink) keeps(always bool) bool {
	return s.inner != nil && (always || s.chain == nil || s.shown(pluginVerbosity))
}

func (s sink) Info(level int, msg string, keysAndValues ...any) {
	if s.shown(level) {
		s.inner.Info(level, msg, keysAndValues...)
	}
}

func (s sink) Error(err error, msg string, keysAndValues ...any) {
	if s.inner != nil {
		s.inner.Error(err, msg, keysAndValues...)
	}
}

// WithName begins a plugin's turn if it is a plugin's name.
func (s sink) WithName(name string) logr.LogSink {
	if s.keeps(name == alwaysNamed) {
		s.inner = s.inner.WithName(name)
	}
	if s.chain != nil && s.isPlugin[name] {
		s.chain.turn(name)
		s.chain = nil
	}
	return s
}

// WithValues begins another chain, as the framework does for each node in Score.
func (s sink) WithValues(keysAndValues ...any) logr.LogSink {
	if s.keeps(false) {
		s.inner = s.inner.WithValues(keysAndValues...)
	}
	if s.chain != nil {
		s.chain = s.chain.fork()
	}
	return s
}

func (s sink) WithCallDepth(depth int) logr.LogSink {
	if deep, ok := s.inner.(logr.CallDepthLogSink); ok {
		s.inner = deep.WithCallDepth(depth)
	}
	return s
}

func (s sink) GetCallStackHelper() func() {
	if helper, ok := s.inner.(logr.CallStackHelperLogSink); ok {
		return helper.GetCallStackHelper()
	}
	return func() {}
}
