// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"fmt"
	"math"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Resource is something of a node that is measured.
type Resource int

// What is measured, and in which unit.
const (
	CPU       Resource = iota // cores in use
	Memory                    // bytes in use
	Disk                      // share of time in which the busiest disk was busy, 0 to 1
	Network                   // bytes a second, received and sent
	GPU                       // devices in use: the sum of their utilizations
	GPUMemory                 // bytes of the devices' memory in use
	Power                     // watts
	NumResources
)

// String is the resource's name in configurations and metrics.
func (r Resource) String() string {
	if name, ok := resourceNames()[r]; ok {
		return name
	}
	return fmt.Sprintf("Resource(%d)", int(r))
}

func resourceNames() map[Resource]string {
	return map[Resource]string{
		CPU: "cpu", Memory: "memory", Disk: "disk", Network: "network",
		GPU: "gpu", GPUMemory: "gpuMemory", Power: "power",
	}
}

// ParseResource is the opposite of String.
func ParseResource(name string) (Resource, bool) {
	for r, n := range resourceNames() {
		if n == name {
			return r, true
		}
	}
	return 0, false
}

// Reading is one measured value. The zero Reading is none.
type Reading struct {
	// Value is in the unit of its Resource; finite and not negative.
	Value float64
	// Sampled is when it was measured, on this process' clock.
	Sampled time.Time
}

// NewReading makes a reading of a value that was sampled at a time. It is none
// (ok is false) if the value is NaN, infinite or negative, or the time is zero.
func NewReading(value float64, sampled time.Time) (r Reading, ok bool) {
	if math.IsNaN(value) || math.IsInf(value, 0) || value < 0 || sampled.IsZero() {
		return Reading{}, false
	}
	return Reading{Value: value, Sampled: sampled}, true
}

// OK says whether there is a reading.
func (r Reading) OK() bool { return !r.Sampled.IsZero() }

// Fresh says whether there is a reading not older than maxAge.
func (r Reading) Fresh(now time.Time, maxAge time.Duration) bool {
	return r.OK() && now.Sub(r.Sampled) <= maxAge
}

// Age is how old the reading is; 0 for none.
func (r Reading) Age(now time.Time) time.Duration {
	if !r.OK() {
		return 0
	}
	return now.Sub(r.Sampled)
}

// Measure is what is known of one resource.
type Measure struct {
	// Mean is over the source's rate window.
	Mean Reading
	// Burst is the 95th percentile of the means of the last minutes.
	Burst Reading
}

// Measured has a Measure for each Resource.
type Measured [NumResources]Measure

// Amounts are an amount of each Resource, in its unit.
type Amounts [NumResources]float64

// NodeCapacity is what one poll of a source found out about one node: the
// object of the capacity informer. Its name and UID are the node's, its
// resourceVersion is the number of the poll. It is never changed after it was
// handed out.
type NodeCapacity struct {
	metav1.TypeMeta
	metav1.ObjectMeta

	// Capacity is the node's own statement: cores and bytes of memory, GPUs. What
	// a node does not state is 0.
	Capacity Amounts
	// Measured is what the poll found; what it did not find keeps the reading of
	// an earlier poll, which grows old.
	Measured Measured
	// Last marks the last object of a poll: when it arrives, all have.
	Last bool
}

// DeepCopyObject implements runtime.Object.
func (n *NodeCapacity) DeepCopyObject() runtime.Object {
	out := *n
	n.DeepCopyInto(&out.ObjectMeta)
	return &out
}

// NodeCapacityList is a list of NodeCapacity.
type NodeCapacityList struct {
	metav1.TypeMeta
	metav1.ListMeta
	Items []NodeCapacity
}

// DeepCopyObject implements runtime.Object.
func (l *NodeCapacityList) DeepCopyObject() runtime.Object {
	out := *l
	l.DeepCopyInto(&out.ListMeta)
	out.Items = make([]NodeCapacity, len(l.Items))
	for i := range l.Items {
		out.Items[i] = *l.Items[i].DeepCopyObject().(*NodeCapacity)
	}
	return &out
}

var (
	_ runtime.Object = &NodeCapacity{}
	_ runtime.Object = &NodeCapacityList{}
)
