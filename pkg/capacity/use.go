// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"

	"auriga.dev/auriga/pkg/apis/names"
)

// Use is what a pod uses: cores and bytes.
type Use struct {
	CPU, Memory float64
}

// ParseUsage reads the annotation auriga.dev/usage: "cpu=2,memory=4Gi", in any
// order, amounts as Kubernetes writes them. Keys that it does not know are for
// others; cpu and memory must be there and not negative.
func ParseUsage(value string) (Use, error) {
	var use Use
	missing := map[string]*float64{"cpu": &use.CPU, "memory": &use.Memory}
	for item := range strings.SplitSeq(value, ",") {
		key, amount, ok := strings.Cut(strings.TrimSpace(item), "=")
		if !ok {
			return Use{}, fmt.Errorf("%q is not of the form key=amount: want for example cpu=2,memory=4Gi", item)
		}
		into, wanted := missing[strings.TrimSpace(key)]
		if !wanted {
			continue
		}
		quantity, err := resource.ParseQuantity(strings.TrimSpace(amount))
		if err != nil {
			return Use{}, fmt.Errorf("%s=%s: must be an amount such as 2, 500m or 4Gi", key, amount)
		}
		if quantity.Sign() < 0 {
			return Use{}, fmt.Errorf("%s=%s: must not be negative", key, amount)
		}
		*into = quantity.AsApproximateFloat64()
		delete(missing, strings.TrimSpace(key))
	}
	var errs []error
	for _, key := range []string{"cpu", "memory"} {
		if _, still := missing[key]; still {
			errs = append(errs, fmt.Errorf("%s is missing or given twice: want for example cpu=2,memory=4Gi", key))
		}
	}
	return use, errors.Join(errs...)
}

// Estimator says what a pod will use before that can be measured.
type Estimator struct {
	// CPUShare and MemoryShare are the shares of a request, 0 to 1, that a pod
	// uses of which nothing better is known.
	CPUShare, MemoryShare float64
	// History is what workloads used; may be nil, and may return nil.
	History func() *History
}

// Expected is what a pod is expected to use.
type Expected struct {
	Use
	// Reclaimed says that the pod lives on capacity that others have requested and
	// do not use: it is of class auriga-batch, requests nothing and declares its
	// use. It gives way as soon as there is less.
	Reclaimed bool
}

// Expect estimates a pod's use. The first of these that is known counts: the
// use that a reclaimed pod declares, the history of its workload, the use that
// another pod declares, a share of its request. The error says what is wrong
// with a declaration; what is known without it is returned all the same.
func (e Estimator) Expect(pod *corev1.Pod) (Expected, error) {
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	cpu, memory := requests[corev1.ResourceCPU], requests[corev1.ResourceMemory]
	byRequest := Expected{Use: Use{
		CPU:    e.CPUShare * cpu.AsApproximateFloat64(),
		Memory: e.MemoryShare * memory.AsApproximateFloat64(),
	}}

	declared, isDeclared := pod.Annotations[names.AnnotationUsage]
	var use Use
	var err error
	if isDeclared {
		if use, err = ParseUsage(declared); err != nil {
			err = fmt.Errorf("annotation %s: %w", names.AnnotationUsage, err)
		}
	}
	known := isDeclared && err == nil
	if known && pod.Spec.PriorityClassName == names.PriorityBatch && cpu.IsZero() && memory.IsZero() {
		return Expected{Use: use, Reclaimed: true}, nil
	}
	if e.History != nil {
		if past, ok := e.History().Of(pod); ok {
			return Expected{Use: past}, err
		}
	}
	if known {
		return Expected{Use: use}, nil
	}
	return byRequest, err
}
