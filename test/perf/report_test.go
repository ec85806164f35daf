// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadSample(t *testing.T) {
	tests := map[string]struct {
		data    string
		want    sample
		wantErr string
	}{
		"throughput and attempts of placed pods": {
			data: `{"dataItems": [
				{"data": {"Average": 321.5, "Perc50": 300}, "labels": {"Metric": "SchedulingThroughput"}},
				{"data": {"Perc50": 2, "Perc99": 8}, "labels": {"Metric": "scheduler_scheduling_attempt_duration_seconds", "result": "scheduled"}},
				{"data": {"Perc50": 50, "Perc99": 90}, "labels": {"Metric": "scheduler_scheduling_attempt_duration_seconds", "result": "unschedulable"}},
				{"data": {"Perc50": 1, "Perc99": 6}, "labels": {"Metric": "scheduler_scheduling_algorithm_duration_seconds"}},
				{"data": {"Perc50": 1, "Perc99": 4}, "labels": {"Metric": "scheduler_framework_extension_point_duration_seconds", "extension_point": "Filter"}},
				{"data": {"Perc50": 3, "Perc99": 5}, "labels": {"Metric": "scheduler_framework_extension_point_duration_seconds", "extension_point": "Score"}},
				{"data": {"Average": 7}, "labels": {"Metric": "heap_memory_usage"}}]}`,
			want: sample{
				podsPerSecond: 321.5,
				attempt:       Quantiles{P50: 0.002, P99: 0.008},
				algorithm:     Quantiles{P50: 0.001, P99: 0.006},
				filter:        Quantiles{P50: 0.001, P99: 0.004},
				score:         Quantiles{P50: 0.003, P99: 0.005},
			},
		},
		"too short a run": {
			data:    `{"dataItems": [{"data": null, "labels": {"Metric": "not applicable"}}]}`,
			wantErr: "no throughput sample",
		},
		"a failed run":  {data: `{"dataItems": []}`, wantErr: "no throughput sample"},
		"not a results": {data: `{`, wantErr: "parse scheduler_perf's results"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := readSample([]byte(tc.data))
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error %v, want %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(sample{})); diff != "" {
				t.Errorf("sample (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewRow(t *testing.T) {
	run := func(rate, p50, p99 float64) sample {
		q := func(part float64) Quantiles { return Quantiles{P50: p50 * part, P99: p99 * part} }
		return sample{podsPerSecond: rate, attempt: q(1), filter: q(0.5), score: q(0.25)}
	}
	got := newRow("Case/1Nodes", 1, 10,
		[]sample{run(200, 12, 36), run(400, 4, 20), run(100, 8, 28)},
		[]sample{run(100, 4, 16), run(300, 4, 16), run(150, 4, 16)})
	want := Row{
		Name: "Case/1Nodes", Nodes: 1, Pods: 10,
		StockPodsPerSecond: 200, AurigaPodsPerSecond: 150,
		Ratio: 0.75, // of the medians; the pairs are 100/200, 300/400, 150/100
		Stock: Side{
			PodsPerSecond:  Spread{Median: 200, Min: 100, Max: 400, Runs: []float64{200, 400, 100}},
			AttemptSeconds: Quantiles{P50: 8, P99: 28},
			PhaseSeconds:   PhaseSeconds{Filter: Quantiles{P50: 4, P99: 14}, Score: Quantiles{P50: 2, P99: 7}},
		},
		Auriga: Side{
			PodsPerSecond:  Spread{Median: 150, Min: 100, Max: 300, Runs: []float64{100, 300, 150}},
			AttemptSeconds: Quantiles{P50: 4, P99: 16},
			PhaseSeconds:   PhaseSeconds{Filter: Quantiles{P50: 2, P99: 8}, Score: Quantiles{P50: 1, P99: 4}},
		},
		RatioOfPairs: Spread{Median: 0.75, Min: 0.5, Max: 1.5, Runs: []float64{0.5, 0.75, 1.5}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

func TestNewSpread(t *testing.T) {
	tests := map[string]struct {
		runs []float64
		want Spread
	}{
		"one":  {[]float64{3}, Spread{Median: 3, Min: 3, Max: 3, Runs: []float64{3}}},
		"even": {[]float64{4, 1, 2, 10}, Spread{Median: 3, Min: 1, Max: 10, Runs: []float64{4, 1, 2, 10}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, newSpread(tc.runs)); diff != "" {
				t.Errorf("spread (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAccept(t *testing.T) {
	row := func(name string, nodes int, rate float64) Row {
		return Row{Name: name, Nodes: nodes, AurigaPodsPerSecond: rate}
	}
	tests := map[string]struct {
		rows []Row
		want *Acceptance
	}{
		"not run": {rows: []Row{row("SchedulingBasic/500", 500, 300), row("TopologySpreading/1000", 1000, 300)}},
		"just fast enough": {
			rows: []Row{row("SchedulingBasic/500", 500, 1), row("TopologySpreading/1000", 1000, 1), row("SchedulingBasic/1000", 1000, 167)},
			want: &Acceptance{Workload: "SchedulingBasic/1000", MinPodsPerSecond: 167, AurigaPodsPerSecond: 167, Met: true},
		},
		"too slow": {
			rows: []Row{row("SchedulingBasic/1000", 1000, 166.9)},
			want: &Acceptance{Workload: "SchedulingBasic/1000", MinPodsPerSecond: 167, AurigaPodsPerSecond: 166.9},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, accept(tc.rows)); diff != "" {
				t.Errorf("acceptance (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTable(t *testing.T) {
	row := newRow("SchedulingBasic/1000Nodes", 1000, 10,
		[]sample{{podsPerSecond: 200}, {podsPerSecond: 100}},
		[]sample{{podsPerSecond: 100}, {podsPerSecond: 200}})
	report := Report{
		Machine:    Machine{Cores: 2},
		Versions:   Versions{Go: "go1", Kubernetes: "v1", Etcd: "v3"},
		Method:     Method{ClientQPS: 5000, Repetitions: 2},
		Workloads:  []Row{row},
		Acceptance: accept([]Row{row}),
	}
	want := `WORKLOAD                   STOCK pods/s     min-max  AURIGA pods/s     min-max  RATIO     min-max
SchedulingBasic/1000Nodes           150     100-200            150     100-200   1.00   0.50-2.00

Medians of 2 runs a side, alternating. 2 cores, go1, Kubernetes v1, etcd v3;
client limit 5000 requests/s on both sides; the API server and etcd share the cores.
Auriga promises 167 pods/s on 2 cores in SchedulingBasic/1000Nodes; it had 150: NOT MET.
`
	if diff := cmp.Diff(want, report.table()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}
