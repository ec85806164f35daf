// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	schedconfigv1 "k8s.io/kube-scheduler/config/v1"
)

// A newer Kubernetes may have more extension points.
func TestPointsAreThoseOfAProfile(t *testing.T) {
	var want []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[schedconfigv1.Plugins]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		want = append(want, name)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, sortedKeys(points)); diff != "" {
		t.Errorf("extension points (-want +got):\n%s", diff)
	}
}
