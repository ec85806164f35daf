// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const upstreamFile = `
- name: Other
  workloads: []
- name: Case
  defaultPodTemplatePath: ../templates/pod.yaml
  workloadTemplate:
  - opcode: createNodes
    countParam: $initNodes
    nodeTemplatePath: ../templates/node.yaml
  - opcode: churn
    templatePaths: [../templates/a.yaml, /b.yaml]
  workloads:
  - name: 5Nodes
    params: {initNodes: 5, initPods: 7, measurePods: 10}
  - name: 500Nodes
    threshold: 99
    featureGates: {SchedulerQueueingHints: false}
    params: {initNodes: 500, initPods: 200, measurePods: 1000}
  - name: 5000Nodes
    params: {initNodes: 5000, initPods: 1000, measurePods: 1000}
`

// writeUpstream makes a Kubernetes source tree that has one workload file.
func writeUpstream(t *testing.T, content string) string {
	t.Helper()
	root := t.TempDir()
	folder := filepath.Join(root, perfDir, "misc")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "performance-config.yaml"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestLoadWorkload(t *testing.T) {
	root := writeUpstream(t, upstreamFile)
	templates := filepath.Join(root, perfDir, "templates")
	w, err := loadWorkload(root, testCase{"misc", "Case"}, 1000, 3000)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := w.id(), "Case/1000Nodes_3000Pods"; got != want {
		t.Errorf("id %s, want %s", got, want)
	}
	data, err := w.config("/tmp/scheduler.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`[{
		"name": "Case",
		"schedulerConfigPath": "/tmp/scheduler.yaml",
		"defaultPodTemplatePath": "%[1]s/pod.yaml",
		"workloadTemplate": [
			{"opcode": "createNodes", "countParam": "$initNodes", "nodeTemplatePath": "%[1]s/node.yaml"},
			{"opcode": "churn", "templatePaths": ["%[1]s/a.yaml", "/b.yaml"]}],
		"metricsCollectorConfig": {"metrics": {
			"scheduler_scheduling_attempt_duration_seconds": [{"label": "result", "values": ["scheduled"]}],
			"scheduler_framework_extension_point_duration_seconds": [{"label": "extension_point", "values": ["Filter", "Score"]}]}},
		"workloads": [{
			"name": "1000Nodes_3000Pods",
			"labels": ["performance"],
			"featureGates": {"OpportunisticBatching": true},
			"params": {"initNodes": 1000, "initPods": 400, "measurePods": 3000}}]
	}]`, templates)
	if diff := cmp.Diff(parse(t, want), parse(t, string(data))); diff != "" {
		t.Errorf("workload (-want +got):\n%s", diff)
	}

	stock, err := w.config("")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(stock), "schedulerConfigPath") {
		t.Errorf("the stock side has a scheduler configuration: %s", stock)
	}
}

func parse(t *testing.T, data string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(data), &v); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return v
}

func TestSizedParams(t *testing.T) {
	var cases []map[string]any
	if err := yaml.Unmarshal([]byte(upstreamFile), &cases); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		nodes int
		want  map[string]any
	}{
		"smaller than upstream's":   {100, map[string]any{"initNodes": 100, "initPods": 40, "measurePods": 60}},
		"upstream's reference":      {500, map[string]any{"initNodes": 500, "initPods": 200, "measurePods": 60}},
		"upstream's own, unscaled":  {5000, map[string]any{"initNodes": 5000, "initPods": 1000, "measurePods": 60}},
		"between, from the 500 one": {2000, map[string]any{"initNodes": 2000, "initPods": 800, "measurePods": 60}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := sizedParams(cases[1], tc.nodes, 60)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("params (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadWorkloadErrors(t *testing.T) {
	tests := map[string]struct {
		content, want string
	}{
		"test case renamed": {"- name: Else", `no test case "Case"`},
		"workload renamed":  {"- name: Case\n  workloads: [{name: 7Nodes}]", "neither 1000Nodes nor 500Nodes"},
		"parameter renamed": {"- name: Case\n  workloads: [{name: 500Nodes, params: {initNodes: 500}}]", "params.measurePods is missing"},
		"parameter not a number": {"- name: Case\n  workloads: [{name: 500Nodes, params: {initNodes: many}}]",
			"params.initNodes: many is not a number"},
		"not YAML": {"{", "performance-config.yaml"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := loadWorkload(writeUpstream(t, tc.content), testCase{"misc", "Case"}, 1000, 1)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
	if _, err := loadWorkload(t.TempDir(), testCase{"misc", "Case"}, 1000, 1); err == nil {
		t.Error("no error without a source tree")
	}
}

// TestUpstreamWorkloads fails when a new Kubernetes release renames what the
// benchmark selects.
func TestUpstreamWorkloads(t *testing.T) {
	_, kubernetes, _, err := modules()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args, want []string
	}{
		"by default": {nil, []string{
			"SchedulingBasic/500Nodes_2000Pods",
			"SchedulingBasic/1000Nodes_2000Pods",
			"TopologySpreading/1000Nodes_2000Pods",
			"SchedulingPreferredPodAffinity/1000Nodes_2000Pods",
			"MixedSchedulingBasePod/1000Nodes_2000Pods",
			"SchedulingBasic/5000Nodes_2000Pods",
		}},
		"all of some sizes": {[]string{"-workloads=.", "-sizes=5000, 20", "-pods=7"}, []string{
			"SchedulingBasic/5000Nodes_7Pods", "TopologySpreading/5000Nodes_7Pods",
			"SchedulingPreferredPodAffinity/5000Nodes_7Pods", "MixedSchedulingBasePod/5000Nodes_7Pods",
			"SchedulingBasic/20Nodes_7Pods", "TopologySpreading/20Nodes_7Pods",
			"SchedulingPreferredPodAffinity/20Nodes_7Pods", "MixedSchedulingBasePod/20Nodes_7Pods",
		}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var o options
			fs := flag.NewFlagSet(name, flag.ContinueOnError)
			o.addFlags(fs)
			if err := fs.Parse(tc.args); err != nil {
				t.Fatal(err)
			}
			workloads, err := selectWorkloads(kubernetes, o)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range workloads {
				got = append(got, w.id())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("workloads (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSelectWorkloadsErrors(t *testing.T) {
	_, root, _, err := modules()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		o    options
		want string
	}{
		"bad expression": {options{workloads: "(", sizes: "1", pods: 1}, "-workloads"},
		"bad size":       {options{sizes: "1000,many", pods: 1}, `"many" is not a number of nodes`},
		"none selected":  {options{workloads: "Volcano", sizes: "1", pods: 1}, "selects nothing"},
		"zero size":      {options{sizes: "0", pods: 1}, `"0" is not a number of nodes`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := selectWorkloads(root, tc.o)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestDefaultProfile(t *testing.T) {
	const config = `
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
parallelism: 4
profiles:
- schedulerName: other
- schedulerName: auriga
  plugins: {score: {enabled: [{name: WorkerSelection, weight: 40}]}}
`
	tests := map[string]struct {
		config, name, want, wantErr string
	}{
		"the named profile alone": {config: config, name: "auriga", want: `
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
parallelism: 4
profiles:
- plugins:
    score:
      enabled:
      - name: WorkerSelection
        weight: 40
  schedulerName: default-scheduler
`},
		"no such profile": {config: config, name: "mars", wantErr: `none has schedulerName "mars", only [other auriga]`},
		"no profiles":     {config: "kind: X", name: "auriga", wantErr: "only []"},
		"not YAML":        {config: "{", name: "auriga", wantErr: "parse the scheduler configuration"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := defaultProfile([]byte(tc.config), tc.name)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error %v, want %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(tc.want, "\n"), string(got)); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}
