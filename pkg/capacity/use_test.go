// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"auriga.dev/auriga/pkg/apis/names"
)

func TestParseUsage(t *testing.T) {
	for value, want := range map[string]struct {
		use Use
		err string
	}{
		"cpu=2,memory=4Gi":              {Use{2, 4 << 30}, ""},
		" memory = 1M , cpu = 500m ":    {Use{0.5, 1e6}, ""},
		"cpu=1,memory=1Gi,disk=0.2":     {Use{1, 1 << 30}, ""},
		"cpu=0,memory=0":                {Use{}, ""},
		"":                              {Use{}, "not of the form"},
		"cpu=2":                         {Use{2, 0}, "memory is missing"},
		"cpu":                           {Use{}, "not of the form"},
		"cpu=x,memory=1":                {Use{}, "cpu=x: must be an amount"},
		"cpu=-1,memory=1":               {Use{}, "must not be negative"},
		"cpu=NaN,memory=1":              {Use{}, "must be an amount"},
		"cpu=1,memory=1Gi,cpu=2":        {Use{1, 1 << 30}, ""},
		"cpu=1000000000000,memory=1e30": {Use{1e12, 1e30}, ""},
	} {
		t.Run(value, func(t *testing.T) {
			use, err := ParseUsage(value)
			switch {
			case want.err == "" && (err != nil || use != want.use):
				t.Errorf("ParseUsage = %v, %v; want %v", use, err, want.use)
			case want.err != "" && (err == nil || !strings.Contains(err.Error(), want.err)):
				t.Errorf("ParseUsage = %v, %v; want an error with %q", use, err, want.err)
			}
		})
	}
}

func TestExpect(t *testing.T) {
	pod := func(class, usage, cpu string, owner *metav1.OwnerReference, labels map[string]string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Labels: labels}}
		p.Spec.PriorityClassName = class
		if usage != "" {
			p.Annotations = map[string]string{names.AnnotationUsage: usage}
		}
		p.Spec.Containers = []corev1.Container{{}}
		if cpu != "" {
			p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("10Gi"),
			}
		}
		if owner != nil {
			owner.Controller = ptr.To(true)
			p.OwnerReferences = []metav1.OwnerReference{*owner}
		}
		return p
	}
	history := NewHistory(map[Workload]Use{
		{Namespace: "ci", Kind: "Job", Name: "nightly"}: {3, 300},
		{Namespace: "ci", Name: "web"}:                  {4, 400},
		{Namespace: "other", Name: "api"}:               {5, 500},
	})
	e := Estimator{CPUShare: 0.7, MemoryShare: 0.8, History: func() *History { return history }}
	byRequest := Use{CPU: 0.7 * 2, Memory: 0.8 * 10 * (1 << 30)}
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want Expected
		err  bool
	}{
		"a share of the request":       {pod("", "", "2", nil, nil), Expected{Use: byRequest}, false},
		"no request":                   {pod("", "", "", nil, nil), Expected{}, false},
		"declared":                     {pod("", "cpu=1,memory=1Gi", "2", nil, nil), Expected{Use: Use{1, 1 << 30}}, false},
		"reclaimed":                    {pod(names.PriorityBatch, "cpu=1,memory=1Gi", "", nil, nil), Expected{Use{1, 1 << 30}, true}, false},
		"batch, but it requests":       {pod(names.PriorityBatch, "cpu=1,memory=1Gi", "2", nil, nil), Expected{Use: Use{1, 1 << 30}}, false},
		"no request of another class":  {pod(names.PriorityLow, "cpu=1,memory=1Gi", "", nil, nil), Expected{Use: Use{1, 1 << 30}}, false},
		"declared wrong":               {pod("", "cpu=one", "2", nil, nil), Expected{Use: byRequest}, true},
		"declared wrong, reclaimed":    {pod(names.PriorityBatch, "cpu=one", "", nil, nil), Expected{}, true},
		"history of a CronJob's runs":  {pod("", "", "2", &metav1.OwnerReference{Kind: "Job", Name: "nightly-28000000"}, nil), Expected{Use: Use{3, 300}}, false},
		"history of a label":           {pod("", "cpu=1,memory=1", "2", nil, map[string]string{LabelWorkload: "web"}), Expected{Use: Use{4, 400}}, false},
		"the label before the owner":   {pod("", "", "2", &metav1.OwnerReference{Kind: "Job", Name: "nightly-28000000"}, map[string]string{LabelWorkload: "web"}), Expected{Use: Use{4, 400}}, false},
		"history of another namespace": {pod("", "", "2", nil, map[string]string{LabelWorkload: "api"}), Expected{Use: byRequest}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := e.Expect(tc.pod)
			if got != tc.want || (err != nil) != tc.err {
				t.Errorf("Expect = %+v, %v; want %+v, error %v", got, err, tc.want, tc.err)
			}
		})
	}
	var none *History
	if _, ok := none.Of(pod("", "", "", nil, nil)); ok || none.Len() != 0 {
		t.Error("the nil history knows something")
	}
}

func TestOwnerWorkload(t *testing.T) {
	for in, want := range map[[2]string]string{
		{"Job", "nightly-28000000"}:      "nightly",
		{"Job", "build-1234"}:            "build-1234",
		{"ReplicaSet", "web-7d4b9c6f5c"}: "web",
		{"StatefulSet", "db-12345678"}:   "db-12345678",
		{"ReplicaSet", "plain"}:          "plain",
	} {
		if got := OwnerWorkload("ns", in[0], in[1]).Name; got != want {
			t.Errorf("OwnerWorkload(%s %s) = %s, want %s", in[0], in[1], got, want)
		}
	}
}
