// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPeakDemand(t *testing.T) {
	at := func(arrival, duration, cpu, memory, gpus int64) Job {
		return Job{
			Arrival: time.Duration(arrival) * time.Second, Duration: time.Duration(duration) * time.Second,
			CPUMilli: cpu, MemoryBytes: memory, GPUs: gpus,
		}
	}
	tests := map[string]struct {
		jobs []Job
		want Resources
	}{
		"none":                             {nil, Resources{}},
		"one":                              {[]Job{at(3, 1, 5, 6, 7)}, Resources{5, 6, 7}},
		"overlap":                          {[]Job{at(0, 10, 1, 10, 0), at(9, 5, 2, 20, 1)}, Resources{3, 30, 1}},
		"end is free for what starts then": {[]Job{at(0, 10, 1, 10, 0), at(10, 5, 2, 20, 1)}, Resources{2, 20, 1}},
		// CPU peaks in [0,2), memory in [4,6): each by itself.
		"peaks at different moments": {[]Job{at(0, 2, 9, 1, 0), at(4, 2, 1, 9, 0)}, Resources{9, 9, 0}},
		"order does not matter":      {[]Job{at(9, 5, 2, 20, 1), at(0, 10, 1, 10, 0)}, Resources{3, 30, 1}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, PeakDemand(tc.jobs)); diff != "" {
				t.Errorf("peak (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSums(t *testing.T) {
	nodes := []Node{{CPUMilli: 1, MemoryBytes: 2, GPUs: 3}, {CPUMilli: 10, MemoryBytes: 20}}
	if diff := cmp.Diff(Resources{11, 22, 3}, Capacity(nodes)); diff != "" {
		t.Errorf("capacity (-want +got):\n%s", diff)
	}
	jobs := []Job{{CPUMilli: 1, MemoryBytes: 2, GPUs: 1, GPUMilli: 300}, {CPUMilli: 4, GPUs: 2, GPUMilli: 1000}}
	if diff := cmp.Diff(Resources{5, 2, 3}, Total(jobs)); diff != "" {
		t.Errorf("total (-want +got):\n%s", diff)
	}
}

func TestMisfits(t *testing.T) {
	nodes := []Node{
		{Name: "cpu", CPUMilli: 8000, MemoryBytes: 100},
		{Name: "gpu", CPUMilli: 2000, MemoryBytes: 200, GPUs: 2, GPUModel: "T4"},
	}
	tests := map[string]struct {
		job   Job
		holds bool
	}{
		"all of one worker":           {Job{CPUMilli: 8000, MemoryBytes: 100}, true},
		"too many cores":              {Job{CPUMilli: 8001}, false},
		"too much memory":             {Job{MemoryBytes: 201}, false},
		"cores here, memory there":    {Job{CPUMilli: 3000, MemoryBytes: 150}, false},
		"GPUs":                        {Job{GPUs: 2}, true},
		"too many GPUs":               {Job{GPUs: 3}, false},
		"one of its models":           {Job{GPUs: 1, GPUModels: []string{"A10", "T4"}}, true},
		"none of its models":          {Job{GPUs: 1, GPUModels: []string{"A10"}}, false},
		"models matter with GPU only": {Job{GPUModels: []string{"A10"}}, true},
		"nothing":                     {Job{}, true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			misfits := Workload{Nodes: nodes, Jobs: []Job{tc.job}}.Misfits()
			if holds := len(misfits) == 0; holds != tc.holds {
				t.Errorf("some worker holds %+v: got %v, want %v", tc.job, holds, tc.holds)
			}
		})
	}
	if got := (Workload{Jobs: []Job{{Name: "a"}}}).Misfits(); len(got) != 1 {
		t.Errorf("without workers: got %d misfits, want 1", len(got))
	}
}

func TestInputError(t *testing.T) {
	tests := map[string]struct {
		err  InputError
		want string
	}{
		"cell": {
			InputError{File: "f.csv", Line: 3, Column: "cpu", Value: "-1", Problem: "not accepted", Want: "a whole number"},
			`f.csv:3: column "cpu": value "-1": not accepted; want a whole number`,
		},
		"line": {InputError{File: "f.csv", Line: 3, Problem: "bad", Want: "good"}, `f.csv:3: bad; want good`},
		"file": {InputError{File: "f.csv", Problem: "bad"}, `f.csv: bad`},
		"long value": {
			InputError{File: "f", Line: 1, Column: "c", Value: "0123456789012345678901234567890123456789012345678901234567890", Problem: "bad"},
			`f:1: column "c": value "012345678901234567890123456789012345678901234567890123456789"... (61 bytes): bad`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tc.err.Error(); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}
