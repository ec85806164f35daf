// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const ramp = 30 * time.Second

// at is a moment so many seconds into the test.
func at(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 0) }

// measured is what a poll says of a node of 10 cores and 100 bytes: use of CPU
// and memory, sampled at a moment.
func measured(name string, cpu, memory float64, sampled time.Time) *NodeCapacity {
	n := &NodeCapacity{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}}
	n.Capacity[CPU], n.Capacity[Memory] = 10, 100
	n.Measured[CPU].Mean, _ = NewReading(cpu, sampled)
	n.Measured[Memory].Mean, _ = NewReading(memory, sampled)
	return n
}

func place(pod, node string, cpu, memory float64, reclaimed bool) Placement {
	return Placement{Pod: types.UID(pod), Node: node, Expected: Expected{Use{cpu, memory}, reclaimed}}
}

func TestReadings(t *testing.T) {
	for name, tc := range map[string]struct {
		value   float64
		sampled time.Time
		ok      bool
	}{
		"a value":  {1.5, at(0), true},
		"zero":     {0, at(0), true},
		"NaN":      {math.NaN(), at(0), false},
		"infinite": {math.Inf(1), at(0), false},
		"negative": {-0.1, at(0), false},
		"no time":  {1, time.Time{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r, ok := NewReading(tc.value, tc.sampled)
			if ok != tc.ok || r.OK() != tc.ok {
				t.Errorf("NewReading = %v, %v; OK() = %v, want %v", r, ok, r.OK(), tc.ok)
			}
		})
	}
	r, _ := NewReading(1, at(0))
	if !r.Fresh(at(60), time.Minute) || r.Fresh(at(61), time.Minute) || (Reading{}).Fresh(at(0), time.Hour) {
		t.Error("a reading is fresh up to its greatest age, and none is never")
	}
}

// A pod counts from its placement until a sample that is newer than its start
// plus the ramp, for each resource apart.
func TestInFlight(t *testing.T) {
	tracker := NewTracker(ramp)
	tracker.Set(measured("a", 1, 10, at(0)))
	tracker.Publish(at(0))
	e := tracker.Snapshot().Node("a", "uid-a")
	want := func(when string, cpu, memory float64) {
		t.Helper()
		if c, m := e.InFlight(CPU), e.InFlight(Memory); c != cpu || m != memory {
			t.Errorf("%s: in flight are %v cores and %v bytes, want %v and %v", when, c, m, cpu, memory)
		}
	}
	want("nothing placed", 0, 0)
	tracker.Place(place("p", "a", 0.5, 20, false))
	want("placed, the old snapshot shows it", 0.5, 20)
	if use, ok := e.Predicted(CPU, at(1), time.Minute); !ok || use != 1.5 {
		t.Errorf("predicted CPU = %v, %v; want 1 measured + 0.5 in flight", use, ok)
	}
	tracker.Place(place("p", "a", 0.5, 20, false))
	want("placed again", 0.5, 20)
	tracker.Set(measured("a", 1, 10, at(100)))
	want("a sample, but it has not started", 0.5, 20)
	tracker.Started("p", at(80))
	want("started 20 s before the sample, ramp 30 s", 0.5, 20)
	n := measured("a", 1.5, 30, at(110))
	n.Measured[Memory].Mean = Reading{Value: 10, Sampled: at(109)}
	tracker.Set(n)
	want("the CPU's sample is 30 s after its start, the memory's is not", 0, 20)
	tracker.Set(measured("a", 1.5, 30, at(111)))
	want("both are", 0, 0)
	tracker.Remove("p")
	want("gone when it was settled", 0, 0)

	tracker.Place(place("q", "a", 1, 1, false))
	tracker.Remove("q")
	want("gone in flight", 0, 0)
	if !tracker.LeftInFlight("q") || tracker.LeftInFlight("p") {
		t.Error("q went in flight, p did not")
	}
	tracker.Publish(at(112))
	if tracker.LeftInFlight("q") {
		t.Error("a new snapshot knows that q is gone")
	}
}

func TestReclaimedIsNotFirm(t *testing.T) {
	tracker := NewTracker(ramp)
	tracker.Set(measured("a", 6, 60, at(0)))
	tracker.Publish(at(0))
	tracker.Place(place("batch", "a", 2, 20, true))
	tracker.Place(place("ordinary", "a", 1, 5, false))
	e := tracker.Snapshot().Node("a", "uid-a")
	if use, _ := e.Predicted(CPU, at(0), time.Minute); use != 9 {
		t.Errorf("predicted = %v, want 6 measured + 2 + 1", use)
	}
	if use, _ := e.Firm(CPU, at(0), time.Minute); use != 7 {
		t.Errorf("firm = %v, want 9 predicted - 2 reclaimed", use)
	}
	tracker.Started("batch", at(0))
	tracker.Set(measured("a", 6, 60, at(40)))
	tracker.Publish(at(40))
	e = tracker.Snapshot().Node("a", "uid-a")
	if use, _ := e.Firm(CPU, at(40), time.Minute); use != 5 {
		t.Errorf("firm = %v, want 6 measured + 1 in flight - 2 reclaimed", use)
	}
	if got := tracker.ReclaimedOn("a"); len(got) != 1 || got[0].Pod != "batch" {
		t.Errorf("reclaimed on a: %v", got)
	}
}

// What is measured of a node is not what is known of another of its name.
func TestNodeCreatedAgain(t *testing.T) {
	tracker := NewTracker(ramp)
	tracker.Set(measured("a", 1, 1, at(0)))
	tracker.Publish(at(0))
	if tracker.Snapshot().Node("a", "another") != nil {
		t.Error("a node of another UID has readings")
	}
	tracker.Delete("a")
	tracker.Publish(at(1))
	if tracker.Snapshot().Node("a", "uid-a") != nil || tracker.Snapshot().Len() != 0 {
		t.Error("a deleted node has readings")
	}
	var none *Snapshot
	if none.Node("a", "uid-a") != nil || none.Len() != 0 || none.IDs() != 0 {
		t.Error("the nil snapshot knows something")
	}
}

func TestSnapshotsDoNotChange(t *testing.T) {
	tracker := NewTracker(ramp)
	tracker.Set(measured("a", 1, 1, at(0)))
	tracker.Publish(at(0))
	pinned := tracker.Snapshot()
	tracker.Set(measured("a", 5, 5, at(10)))
	tracker.Set(measured("b", 5, 5, at(10)))
	tracker.Publish(at(10))
	if got := pinned.Node("a", "uid-a").Measured[CPU].Mean.Value; got != 1 || pinned.Len() != 1 || pinned.Generation != 1 {
		t.Errorf("the pinned snapshot shows %v cores, %d nodes, generation %d", got, pinned.Len(), pinned.Generation)
	}
	if now := tracker.Snapshot(); now.Len() != 2 || now.Generation != 2 || !now.TakenAt.Equal(at(10)) {
		t.Errorf("the new snapshot has %d nodes, generation %d, was taken at %v", now.Len(), now.Generation, now.TakenAt)
	}
}

// The sums that are kept up to date are those that adding everything up gives.
func TestSumsAgainstDumbTwin(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	tracker := NewTracker(ramp)
	type twin struct {
		Placement
		started time.Time
		settled bool
	}
	pods := map[types.UID]*twin{}
	nodes := []string{"a", "b", "c"}
	for _, n := range nodes {
		tracker.Set(measured(n, 1, 1, at(0)))
	}
	tracker.Publish(at(0))
	for step := range 5000 {
		now := at(step)
		uid := types.UID(fmt.Sprint("p", random.IntN(40)))
		switch random.IntN(4) {
		case 0:
			p := place(string(uid), nodes[random.IntN(3)], float64(random.IntN(2000))/1000, float64(random.IntN(50)), random.IntN(3) == 0)
			tracker.Place(p)
			if old, ok := pods[uid]; !ok || old.Node != p.Node {
				pods[uid] = &twin{Placement: p}
			}
		case 1:
			tracker.Started(uid, now)
			if p, ok := pods[uid]; ok && p.started.IsZero() {
				p.started = now
			}
		case 2:
			tracker.Remove(uid)
			delete(pods, uid)
		case 3:
			node := nodes[random.IntN(3)]
			tracker.Set(measured(node, 1, 1, now))
			for _, p := range pods {
				if p.Node == node && !p.started.IsZero() && !now.Before(p.started.Add(ramp)) {
					p.settled = true
				}
			}
		}
		for _, n := range nodes {
			var inFlight, reclaimed float64
			for _, p := range pods {
				if p.Node == n && !p.settled {
					inFlight += p.CPU
				}
				if p.Node == n && p.Reclaimed {
					reclaimed += p.CPU
				}
			}
			e := tracker.Snapshot().Node(n, types.UID("uid-"+n))
			if math.Abs(e.InFlight(CPU)-inFlight) > 1e-9 || math.Abs(e.Reclaimed(CPU)-reclaimed) > 1e-9 {
				t.Fatalf("step %d, node %s: in flight %v, reclaimed %v; adding up gives %v and %v",
					step, n, e.InFlight(CPU), e.Reclaimed(CPU), inFlight, reclaimed)
			}
		}
	}
}

// A burst of 200 pods onto 50 nodes of which one is idle: whoever always takes
// the node with the lowest predicted use spreads them, although no new
// measurement arrives meanwhile. Without what is in flight all 200 would go to
// the idle node.
func TestBurstDoesNotHerd(t *testing.T) {
	tracker := NewTracker(ramp)
	for i := range 50 {
		use := 5.0
		if i == 0 {
			use = 0
		}
		tracker.Set(measured(fmt.Sprint("n", i), use, 10, at(0)))
	}
	tracker.Publish(at(0))
	on := map[string]int{}
	for i := range 200 {
		var best *Estimate
		least := math.Inf(1)
		for e := range tracker.Snapshot().Nodes {
			if use, _ := e.Predicted(CPU, at(1), time.Minute); use < least || (use == least && e.Name < best.Name) {
				best, least = e, use
			}
		}
		tracker.Place(place(fmt.Sprint("p", i), best.Name, 0.5, 1, false))
		on[best.Name]++
	}
	// 200 pods of half a core: the idle node takes 10 to reach 5 cores like the
	// others, then all 50 share the other 190: 3.8 each.
	if on["n0"] < 13 || on["n0"] > 14 {
		t.Errorf("the idle node got %d pods, want 10 + 3 or 4", on["n0"])
	}
	for node, n := range on {
		if node != "n0" && (n < 3 || n > 4) {
			t.Errorf("%s got %d pods, want 3 or 4", node, n)
		}
	}
}

func BenchmarkPublish5000(b *testing.B) {
	tracker := NewTracker(ramp)
	for i := range 5000 {
		tracker.Set(measured(fmt.Sprint("n", i), 1, 1, at(0)))
	}
	b.ReportAllocs()
	for b.Loop() {
		tracker.Publish(at(0))
	}
}
