// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"testing"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/trace"
)

// Jobs use 20 to 60 % of what they request, 40 % on average, by the seed.
func TestUsage(t *testing.T) {
	const jobs, mebi = 2000, 1 << 20
	var cpuSum, memorySum float64
	different := map[string]bool{}
	for i := range jobs {
		j := trace.Job{Name: fmt.Sprintf("ci-%06d", i), CPUMilli: 10_000, MemoryBytes: 10_000 * mebi}
		declared := workloadJob(j, 1).Spec.Template.Annotations[names.AnnotationUsage]
		var cpu, memory int
		if _, err := fmt.Sscanf(declared, "cpu=%dm,memory=%dMi", &cpu, &memory); err != nil {
			t.Fatalf("usage %q: %v", declared, err)
		}
		for _, used := range []int{cpu, memory} {
			if used < 2000 || used > 6000 {
				t.Errorf("job %d declares %s, want 20 to 60 %% of its request", i, declared)
			}
		}
		cpuSum += float64(cpu) / 10_000
		memorySum += float64(memory) / 10_000
		different[declared] = true
		if again := usage(j, 1); again != declared {
			t.Errorf("usage of the same job is %s and %s", declared, again)
		}
	}
	for resource, sum := range map[string]float64{"cpu": cpuSum, "memory": memorySum} {
		if mean := sum / jobs; mean < 0.39 || mean > 0.41 {
			t.Errorf("%s: %v of the request on average, want about 0.4", resource, mean)
		}
	}
	if len(different) < jobs*9/10 {
		t.Errorf("%d different usages of %d jobs", len(different), jobs)
	}
	j := trace.Job{Name: "ci-000000", CPUMilli: 10_000, MemoryBytes: 10_000 * mebi}
	if usage(j, 1) == usage(j, 2) {
		t.Errorf("usage does not depend on the seed: %s", usage(j, 1))
	}
}
