// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package jobmetrics

import (
	"time"
)

// maxOutcomes bounds the memory of the window: 100,000 jobs are about 10 MB.
// With more in a window, the oldest are forgotten early.
const maxOutcomes = 100_000

// Result is how a job ended.
type Result string

// The results; a job that has not ended has none.
const (
	Unfinished Result = ""
	Succeeded  Result = "succeeded"
	Failed     Result = "failed"
)

// Job is a job as it was seen at a moment.
type Job struct {
	// ID is unique for ever: the UID.
	ID string
	// Tenant and Priority are label values, already bounded.
	Tenant, Priority string
	// Pipeline is unique in the cluster; "" if the job is its own.
	Pipeline string
	// Started is zero if it has not started, Ended if it has not ended.
	Started, Ended time.Time
	Result         Result
}

// Duration is from start to end, 0 if it never started.
func (j Job) Duration() time.Duration {
	if j.Started.IsZero() || j.Ended.Before(j.Started) {
		return 0
	}
	return j.Ended.Sub(j.Started)
}

// outcome is a job in the window.
type outcome struct {
	at               time.Time
	tenant, pipeline string
	failed           bool
}

// tracker knows which jobs have been counted and what ended lately. It is not
// safe for concurrent use.
//
//	unknown ── seen unfinished ──> open ── ended ──> counted
//	unknown ── seen ended ───────────────> counted (before `since`: silently)
type tracker struct {
	since  time.Time // jobs that ended before it are not ours to count
	window time.Duration
	// counted says of every job that exists whether it has been counted.
	counted map[string]bool
	// outcomes of the window, oldest first.
	outcomes []outcome
}

// newTracker counts jobs that end from since on. API times are whole seconds,
// rounded down: a job that was never seen unfinished and ended in the second of
// since is taken for an older one, so that nothing counts twice.
func newTracker(since time.Time, window time.Duration) *tracker {
	return &tracker{since: since, window: window, counted: map[string]bool{}}
}

// observe takes a look at a job and says whether it is to be counted now.
func (t *tracker) observe(job Job, now time.Time) bool {
	counted, known := t.counted[job.ID]
	if counted {
		return false
	}
	t.counted[job.ID] = job.Result != Unfinished
	if job.Result == Unfinished || !known && job.Ended.Before(t.since) {
		return false
	}
	pipeline := job.Pipeline
	if pipeline == "" {
		pipeline = job.ID
	}
	t.outcomes = append(t.outcomes, outcome{at: now, tenant: job.Tenant, pipeline: pipeline, failed: job.Result == Failed})
	t.prune(now)
	return true
}

// forget drops a job that no longer exists. Its outcome stays in the window.
func (t *tracker) forget(id string) { delete(t.counted, id) }

// prune drops what is older than the window.
func (t *tracker) prune(now time.Time) {
	drop := max(0, len(t.outcomes)-maxOutcomes)
	for drop < len(t.outcomes) && now.Sub(t.outcomes[drop].at) > t.window {
		drop++
	}
	t.outcomes = t.outcomes[drop:]
}

// rates is the share of the pipelines that did not fail, by tenant.
func (t *tracker) rates(now time.Time) map[string]float64 {
	t.prune(now)
	type key struct{ tenant, pipeline string }
	failed := map[key]bool{}
	for _, o := range t.outcomes {
		k := key{o.tenant, o.pipeline}
		failed[k] = failed[k] || o.failed
	}
	succeeded, all := map[string]int{}, map[string]int{}
	for k, f := range failed {
		all[k.tenant]++
		if !f {
			succeeded[k.tenant]++
		}
	}
	rates := make(map[string]float64, len(all))
	for tenant, n := range all {
		rates[tenant] = float64(succeeded[tenant]) / float64(n)
	}
	return rates
}
