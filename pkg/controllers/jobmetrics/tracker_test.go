// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package jobmetrics

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func at(seconds int) time.Time { return time.Unix(int64(seconds), 0) }

func ended(id, tenant, pipeline string, result Result, second int) Job {
	return Job{ID: id, Tenant: tenant, Pipeline: pipeline, Result: result, Started: at(second - 1), Ended: at(second)}
}

func TestOnce(t *testing.T) {
	tracker := newTracker(at(100), time.Hour)
	for i, step := range []struct {
		job  Job
		want bool
	}{
		{Job{ID: "a"}, false},
		{Job{ID: "a"}, false},
		{ended("a", "t", "", Succeeded, 110), true},
		{ended("a", "t", "", Succeeded, 110), false},
		{ended("a", "t", "", Failed, 111), false},
		// First seen when it had ended: before the start, in its second, after it.
		{ended("old", "t", "", Succeeded, 99), false},
		{ended("old", "t", "", Succeeded, 99), false},
		{ended("quick", "t", "", Failed, 100), true},
		// Seen running, and ended by a clock that is behind.
		{Job{ID: "skewed"}, false},
		{ended("skewed", "t", "", Succeeded, 50), true},
	} {
		if got := tracker.observe(step.job, at(120)); got != step.want {
			t.Errorf("step %d: counted %v, want %v", i, got, step.want)
		}
	}
	tracker.forget("a")
	if len(tracker.counted) != 3 {
		t.Errorf("remembered: %v", tracker.counted)
	}
}

// A start in the middle of a second does not count again what ended in it.
func TestSecondOfTheStart(t *testing.T) {
	tracker := newTracker(at(100).Add(time.Millisecond), time.Hour)
	if tracker.observe(ended("a", "t", "", Succeeded, 100), at(101)) {
		t.Error("counted")
	}
}

func TestRates(t *testing.T) {
	tracker := newTracker(at(0), 100*time.Second)
	tracker.observe(ended("1", "a", "", Failed, 1), at(1))
	for i, job := range []Job{
		ended("2", "a", "ns/p", Succeeded, 50), ended("3", "a", "ns/p", Failed, 50), // one pipeline, failed
		ended("4", "a", "ns/q", Succeeded, 50), ended("5", "a", "ns/q", Succeeded, 50), // one, succeeded
		ended("6", "a", "", Succeeded, 50), ended("7", "a", "", Succeeded, 50), // two, succeeded
		ended("8", "b", "ns/p", Succeeded, 50), // the same name of another tenant
	} {
		if !tracker.observe(job, at(50)) {
			t.Errorf("job %d is not counted", i)
		}
	}
	for _, step := range []struct {
		now  int
		want map[string]float64
	}{
		{101, map[string]float64{"a": 3.0 / 5, "b": 1}}, // the lone failure is 100 s old
		{102, map[string]float64{"a": 3.0 / 4, "b": 1}}, // and out
		{150, map[string]float64{"a": 3.0 / 4, "b": 1}},
		{151, map[string]float64{}}, // nothing is not a rate of 0
	} {
		if diff := cmp.Diff(step.want, tracker.rates(at(step.now))); diff != "" {
			t.Errorf("after %d s (-want +got):\n%s", step.now, diff)
		}
	}
}

func TestWindowIsBounded(t *testing.T) {
	tracker := newTracker(at(0), time.Hour)
	for i := range maxOutcomes + 10 {
		id := fmt.Sprint(i)
		tracker.observe(ended(id, "t", "", Succeeded, 1), at(1))
		tracker.forget(id)
	}
	if len(tracker.outcomes) != maxOutcomes || len(tracker.counted) != 0 {
		t.Errorf("%d outcomes, %d jobs", len(tracker.outcomes), len(tracker.counted))
	}
}

func TestDuration(t *testing.T) {
	for name, test := range map[string]struct {
		job  Job
		want time.Duration
	}{
		"usual":         {Job{Started: at(1), Ended: at(3)}, 2 * time.Second},
		"never started": {Job{Ended: at(3)}, 0},
		"backwards":     {Job{Started: at(3), Ended: at(1)}, 0},
	} {
		if got := test.job.Duration(); got != test.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
