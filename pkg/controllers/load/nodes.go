// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// nodeLister lists the nodes of the manager's cache, which answers from memory.
// What it returns must not be changed.
type nodeLister struct{ cache client.Reader }

var _ corev1listers.NodeLister = nodeLister{}

// List implements corev1listers.NodeLister.
func (l nodeLister) List(selector labels.Selector) ([]*corev1.Node, error) {
	var list corev1.NodeList
	if err := l.cache.List(context.Background(), &list, client.MatchingLabelsSelector{Selector: selector}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	nodes := make([]*corev1.Node, len(list.Items))
	for i := range list.Items {
		nodes[i] = &list.Items[i]
	}
	return nodes, nil
}

// Get implements corev1listers.NodeLister.
func (l nodeLister) Get(name string) (*corev1.Node, error) {
	var node corev1.Node
	if err := l.cache.Get(context.Background(), client.ObjectKey{Name: name}, &node); err != nil {
		return nil, err
	}
	return &node, nil
}
