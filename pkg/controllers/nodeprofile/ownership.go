// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package nodeprofile

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"auriga.dev/auriga/pkg/apis/names"
)

// Decision is what to do about one worker.
type Decision struct {
	// Apply is the complete set of labels to own.
	Apply map[string]string
	// Change says whether applying it would change anything.
	Change bool
	// Foreign are labels of the profile that somebody else set to another value.
	Foreign []Foreign
}

// Foreign is a label that somebody else owns.
type Foreign struct {
	Label, Theirs, Ours string
}

// Decide compares a worker with its profile.
func Decide(node *corev1.Node, profile map[string]string) Decision {
	owned := ownedLabels(node)
	decision := Decision{Apply: map[string]string{}}
	for _, label := range slices.Sorted(maps.Keys(profile)) {
		ours := profile[label]
		theirs, set := node.Labels[label]
		if set && !owned.Has(label) {
			if theirs != ours {
				decision.Foreign = append(decision.Foreign, Foreign{Label: label, Theirs: theirs, Ours: ours})
			}
			continue
		}
		decision.Apply[label] = ours
		if !set || theirs != ours {
			decision.Change = true
		}
	}
	if !owned.Equal(sets.KeySet(decision.Apply)) {
		decision.Change = true
	}
	return decision
}

// ownedLabels are the labels of which the node profiler is an owner, by the
// Node's own record.
func ownedLabels(node *corev1.Node) sets.Set[string] {
	owned := sets.New[string]()
	for i := range node.ManagedFields {
		entry := &node.ManagedFields[i]
		if !ours(entry) || entry.FieldsV1 == nil {
			continue
		}
		var fields struct {
			Metadata struct {
				Labels map[string]json.RawMessage `json:"f:labels"`
			} `json:"f:metadata"`
		}
		// The API server wrote it. If it were unreadable, everything would count
		// as somebody else's, which is the safe side.
		if err := json.Unmarshal(entry.FieldsV1.Raw, &fields); err != nil {
			continue
		}
		for key := range fields.Metadata.Labels {
			if label, ok := strings.CutPrefix(key, "f:"); ok {
				owned.Insert(label)
			}
		}
	}
	return owned
}

func ours(entry *metav1.ManagedFieldsEntry) bool {
	return entry.Manager == names.FieldManagerNodeProfiler && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == ""
}

// Trim removes from a Node what the profiler does not read, before it enters a
// cache: the images (kilobytes a node) and the other owners' records. It is a
// cache.TransformFunc.
func Trim(object any) (any, error) {
	node, ok := object.(*corev1.Node)
	if !ok {
		return object, nil
	}
	node.Status.Images = nil
	node.ManagedFields = slices.DeleteFunc(node.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool { return !ours(&entry) })
	return node, nil
}
