// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package reclaim

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"auriga.dev/auriga/pkg/capacity"
)

const gi = 1 << 30

// epoch is when the tests begin.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// at is some seconds after the beginning.
func at(seconds float64) time.Time { return epoch.Add(time.Duration(seconds * float64(time.Second))) }

// candidate started some seconds after the beginning; before 0 it has not.
func candidate(name string, cores, gib, started float64) Candidate {
	c := Candidate{
		NamespacedName: types.NamespacedName{Namespace: "ns", Name: name}, UID: types.UID(name),
		Use: capacity.Use{CPU: cores, Memory: gib * gi},
	}
	if started >= 0 {
		c.Started = at(started)
	}
	return c
}

// levels of a worker of 16 cores and 64 GiB with ceilings of 90 and 85 %: 14.4
// cores and 54.4 GiB.
func levels(cores, gib float64) Levels {
	return Levels{
		capacity.CPU:    {Use: cores, Full: 16, Ceiling: 0.9, Measured: true},
		capacity.Memory: {Use: gib * gi, Full: 64 * gi, Ceiling: 0.85, Measured: true},
	}
}

func TestDecide(t *testing.T) {
	old, mid, young := candidate("old", 2, 4, 10), candidate("mid", 2, 4, 20), candidate("young", 2, 4, 30)
	for name, test := range map[string]struct {
		levels     Levels
		candidates []Candidate
		want       []string // name and resource
	}{
		"at the ceiling":                {levels(14.4, 54.4), []Candidate{old, mid, young}, nil},
		"sums that do not come out":     {levels(0.1*3+14.1, 0), []Candidate{old}, nil},
		"just above":                    {levels(14.41, 0), []Candidate{old, mid, young}, []string{"young cpu"}},
		"exactly one":                   {levels(16.4, 0), []Candidate{old, mid, young}, []string{"young cpu"}},
		"a little more than one":        {levels(16.5, 0), []Candidate{old, mid, young}, []string{"young cpu", "mid cpu"}},
		"memory":                        {levels(0, 59), []Candidate{old, mid, young}, []string{"young memory", "mid memory"}},
		"both, by the same":             {levels(16, 58), []Candidate{old, mid, young}, []string{"young cpu"}},
		"both, memory takes one more":   {levels(16, 62), []Candidate{old, mid, young}, []string{"young cpu", "mid memory"}},
		"all are not enough":            {levels(30, 0), []Candidate{old, mid, young}, []string{"young cpu", "mid cpu", "old cpu"}},
		"nobody":                        {levels(30, 0), nil, nil},
		"capacity unknown":              {Levels{capacity.CPU: {Use: 30, Ceiling: 0.9}}, []Candidate{old}, nil},
		"not started before youngest":   {levels(15, 0), []Candidate{young, candidate("waits", 2, 4, -1)}, []string{"waits cpu"}},
		"same age, by name":             {levels(15, 0), []Candidate{candidate("b", 2, 0, 5), candidate("a", 2, 0, 5)}, []string{"a cpu"}},
		"no CPU does not help CPU":      {levels(15, 0), []Candidate{candidate("memory-only", 0, 8, 90), old}, []string{"old cpu"}},
		"no use does not help anything": {levels(30, 90), []Candidate{candidate("nothing", 0, 0, 90)}, nil},
		// 1.6 over: 0.5 and 1 are younger, but with the 2 neither is needed.
		"spared since an older one is enough": {levels(16, 0),
			[]Candidate{candidate("half", 0.5, 0, 90), candidate("one", 1, 0, 80), candidate("two", 2, 0, 10)}, []string{"two cpu"}},
		// 2.6 over: 2 is not enough, 2 + 0.5 neither; of the rest only the half is spared.
		"spared, the oldest first": {levels(17, 0),
			[]Candidate{candidate("half", 0.5, 0, 90), candidate("one", 1, 0, 80), candidate("two", 2, 0, 10)}, []string{"one cpu", "two cpu"}},
		// CPU is 0.6 over, memory 3.6 GiB: the first helps CPU only, the second both.
		"one for both makes up for one for one": {levels(15, 58),
			[]Candidate{candidate("cpu", 1, 0, 90), candidate("both", 1, 4, 10)}, []string{"both memory"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, v := range Decide(test.levels, test.candidates) {
				got = append(got, v.Name+" "+v.Resource.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("victims (-want +got):\n%s", diff)
			}
		})
	}
}

// estimate is what a tracker knows of a worker n of 16 cores and 64 GiB of which
// 40 are in use, with a sample of 300 s, and pods that it has in flight.
func estimate(t *testing.T, cores float64, inFlight ...Pod) *capacity.Estimate {
	t.Helper()
	tracker := capacity.NewTracker(time.Minute)
	for _, p := range inFlight {
		tracker.Place(capacity.Placement{Pod: p.UID, Node: "n", Expected: capacity.Expected{Use: p.Use, Reclaimed: p.Reclaimed}})
	}
	tracker.Set(measured("n", cores, 40, 300))
	tracker.Publish(at(300))
	e := tracker.Snapshot().Node("n", "uid")
	if e == nil {
		t.Fatal("no estimate")
	}
	return e
}

func measured(name string, cores, gib, sampled float64) *capacity.NodeCapacity {
	n := &capacity.NodeCapacity{Capacity: capacity.Amounts{capacity.CPU: 16, capacity.Memory: 64 * gi}}
	n.Name, n.UID = name, "uid"
	n.Measured[capacity.CPU].Mean, _ = capacity.NewReading(cores, at(sampled))
	n.Measured[capacity.Memory].Mean, _ = capacity.NewReading(gib*gi, at(sampled))
	return n
}

func TestMeasure(t *testing.T) {
	policy := Policy{Ceilings: [numLevels]float64{0.9, 0.85}, MaxAge: time.Minute, Ramp: time.Minute, CPUWindow: time.Minute}
	// All of 2 cores and 4 GiB; sampled at 300 s.
	pod := func(started float64) Pod { return Pod{Candidate: candidate("p", 2, 4, started), Reclaimed: true} }
	ordinary := Pod{Candidate: candidate("o", 1, 1, -1)}
	told := func(p Pod, until float64) Pod { p.Told, p.Until = true, at(until); return p }
	ended := func(p Pod, end float64) Pod { p.Ended = at(end); return p }
	for name, test := range map[string]struct {
		pods     []Pod
		inFlight []Pod
		now      float64
		cores    float64
		gib      float64
	}{
		"measured alone": {now: 305, cores: 10, gib: 40},
		"settled":        {pods: []Pod{pod(100)}, now: 305, cores: 10, gib: 40},
		// The scheduler has seen to it that what it lends stays below the ceiling.
		"not started":              {pods: []Pod{pod(-1)}, inFlight: []Pod{pod(-1)}, now: 305, cores: 10, gib: 40},
		"started after the sample": {pods: []Pod{pod(301)}, inFlight: []Pod{pod(301)}, now: 305, cores: 10, gib: 40},
		"a quarter is measured":    {pods: []Pod{pod(285)}, inFlight: []Pod{pod(285)}, now: 305, cores: 10, gib: 40},
		// It has not, once an ordinary pod comes.
		"beside an ordinary one, not started":              {pods: []Pod{pod(-1), ordinary}, inFlight: []Pod{pod(-1), ordinary}, now: 305, cores: 13, gib: 45},
		"beside an ordinary one, started after the sample": {pods: []Pod{pod(301), ordinary}, inFlight: []Pod{pod(301), ordinary}, now: 305, cores: 13, gib: 45},
		"beside an ordinary one, a quarter is measured":    {pods: []Pod{pod(285), ordinary}, inFlight: []Pod{pod(285), ordinary}, now: 305, cores: 12.5, gib: 41},
		"told to end, settled":                             {pods: []Pod{told(pod(100), 330)}, now: 305, cores: 8, gib: 36},
		"told to end, not started":                         {pods: []Pod{told(pod(-1), 330)}, inFlight: []Pod{pod(-1)}, now: 305, cores: 10, gib: 40},
		"told to end, a quarter":                           {pods: []Pod{told(pod(285), 330)}, inFlight: []Pod{pod(285)}, now: 305, cores: 9.5, gib: 36},
		"told to end, and does not":                        {pods: []Pod{told(pod(100), 270)}, now: 305, cores: 10, gib: 40},
		"ended after the sample":                           {pods: []Pod{ended(pod(100), 303)}, now: 305, cores: 8, gib: 36},
		"ended 15 s before the sample":                     {pods: []Pod{ended(pod(100), 285)}, now: 305, cores: 8.5, gib: 40},
		"ended 60 s before the sample":                     {pods: []Pod{ended(pod(100), 240)}, now: 305, cores: 10, gib: 40},
		"ran for 30 s, ended 15 s ago":                     {pods: []Pod{ended(pod(255), 285)}, now: 305, cores: 9, gib: 40},
		"started and ended since":                          {pods: []Pod{ended(pod(301), 303)}, now: 305, cores: 10, gib: 40},
		"two ended: more than there is":                    {pods: []Pod{ended(Pod{Candidate: candidate("q", 20, 4, 100)}, 303)}, now: 305, cores: 0, gib: 36},
	} {
		t.Run(name, func(t *testing.T) {
			got := policy.Measure(estimate(t, 10, test.inFlight...), test.pods, at(test.now))
			if !got.measured() || math.Abs(got[capacity.CPU].Use-test.cores) > 1e-9 || math.Abs(got[capacity.Memory].Use-test.gib*gi) > 1 {
				t.Errorf("%+v, want %v cores, %v GiB", got, test.cores, test.gib)
			}
			if got[capacity.CPU].Full != 16 || got[capacity.CPU].Ceiling != 0.9 || got[capacity.Memory].Full != 64*gi || got[capacity.Memory].Ceiling != 0.85 {
				t.Errorf("limits: %+v", got)
			}
		})
	}
	t.Run("stale", func(t *testing.T) {
		if got := policy.Measure(estimate(t, 15), nil, at(361)); got[capacity.CPU].Measured || got[capacity.CPU].excess() != 0 {
			t.Errorf("%+v", got)
		}
	})
	t.Run("never measured", func(t *testing.T) {
		if got := policy.Measure(nil, nil, at(0)); got[capacity.Memory].Measured || got[capacity.Memory].Full != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestByRequests(t *testing.T) {
	node := &corev1.Node{Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("15"), corev1.ResourceMemory: resource.MustParse("60Gi"),
	}}}
	pods := []Pod{
		{Candidate: candidate("lent", 2, 4, 0), Reclaimed: true},
		{Candidate: candidate("ordinary", 9, 9, 0)},
		{Candidate: candidate("leaves", 2, 4, 0), Reclaimed: true, Told: true},
		{Candidate: candidate("ended", 2, 4, 0), Reclaimed: true, Ended: at(1)},
	}
	// Memory is measured, CPU is not.
	got := Levels{capacity.CPU: {Ceiling: 0.9}, capacity.Memory: {Use: 1, Full: 2, Ceiling: 0.85, Measured: true}}
	got.ByRequests(node, capacity.Use{CPU: 10, Memory: 50 * gi}, pods, at(5))
	want := Levels{capacity.CPU: {Use: 12, Full: 15, Ceiling: 0.9}, capacity.Memory: {Use: 1, Full: 2, Ceiling: 0.85, Measured: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("levels (-want +got):\n%s", diff)
	}
	// A worker that has not yet said what it has evicts nobody.
	got = Levels{}
	got.ByRequests(&corev1.Node{}, capacity.Use{CPU: 10}, pods, at(5))
	if victims := Decide(got, []Candidate{pods[0].Candidate}); victims != nil {
		t.Errorf("victims: %v", victims)
	}
}
