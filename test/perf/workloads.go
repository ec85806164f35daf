// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// perfDir is where scheduler_perf keeps its workload files, inside the module
// k8s.io/kubernetes.
const perfDir = "test/integration/scheduler_perf"

// reference is the upstream workload whose parameters are scaled when upstream
// has none for the number of nodes asked for.
const (
	reference      = "500Nodes"
	referenceNodes = 500
)

// testCase names one of upstream's test cases and its folder under perfDir.
type testCase struct {
	folder, name string
}

// testCases are the four that the comparison is about: plain pods, a hard
// topology spread, a preference for the company of other pods, and plain pods
// in a cluster full of pods with every kind of affinity.
func testCases() []testCase {
	return []testCase{
		{"misc", "SchedulingBasic"},
		{"topology_spreading", "TopologySpreading"},
		{"affinity", "SchedulingPreferredPodAffinity"},
		{"affinity", "MixedSchedulingBasePod"},
	}
}

// workload is one upstream test case at one size.
type workload struct {
	testCase string
	// name within the test case, such as 1000Nodes_3000Pods.
	name string
	// nodes in the cluster, pods measured.
	nodes, pods int
	// spec is the test case as scheduler_perf reads it, with this workload only
	// and with absolute paths.
	spec map[string]any
}

// featureGates are the gates that a workload must name for both sides to run
// with the release's defaults: where a workload is silent, scheduler_perf
// switches opportunistic batching off.
func featureGates() map[string]bool {
	return map[string]bool{"OpportunisticBatching": true}
}

// Histograms of the scheduler that a run reports, in scheduler_perf's terms.
const (
	attemptMetric = "scheduler_scheduling_attempt_duration_seconds"
	phaseMetric   = "scheduler_framework_extension_point_duration_seconds"
	// algorithmMetric is an attempt without the binding.
	algorithmMetric = "scheduler_scheduling_algorithm_duration_seconds"
)

// metricsConfig asks scheduler_perf for what readSample reads. Its default
// list is so long that gathering it takes longer than most runs.
func metricsConfig() map[string]any {
	label := func(name string, values ...string) []any {
		return []any{map[string]any{"label": name, "values": values}}
	}
	return map[string]any{"metrics": map[string]any{
		attemptMetric: label("result", "scheduled"),
		phaseMetric:   label("extension_point", "Filter", "Score"),
	}}
}

// id is the name under which a workload is selected and reported.
func (w workload) id() string { return w.testCase + "/" + w.name }

// loadWorkload reads a test case from the Kubernetes source tree at kubernetes
// and sizes it. The number of nodes decides upstream's parameters (initial
// pods); where upstream has no workload of that size, those of its 500-node
// workload are scaled. The number of measured pods is always the caller's:
// upstream's 1000 pass in three seconds, which are two samples.
func loadWorkload(kubernetes string, tc testCase, nodes, pods int) (workload, error) {
	folder := filepath.Join(kubernetes, perfDir, tc.folder)
	file := filepath.Join(folder, "performance-config.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		return workload{}, fmt.Errorf("read upstream's workloads: %w", err)
	}
	var cases []map[string]any
	if err := yaml.Unmarshal(data, &cases); err != nil {
		return workload{}, fmt.Errorf("%s: %w", file, err)
	}
	for _, spec := range cases {
		if spec["name"] != tc.name {
			continue
		}
		params, err := sizedParams(spec, nodes, pods)
		if err != nil {
			return workload{}, fmt.Errorf("%s: test case %s: %w", file, tc.name, err)
		}
		w := workload{testCase: tc.name, name: fmt.Sprintf("%dNodes_%dPods", nodes, pods), nodes: nodes, pods: pods}
		spec["workloads"] = []any{map[string]any{
			"name":   w.name,
			"params": params,
			// scheduler_perf runs the workloads that have this label.
			"labels":       []any{"performance"},
			"featureGates": featureGates(),
		}}
		spec["metricsCollectorConfig"] = metricsConfig()
		absolutePaths(spec, folder)
		w.spec = spec
		return w, nil
	}
	return workload{}, fmt.Errorf("%s: no test case %q; did upstream rename it?", file, tc.name)
}

// sizedParams chooses and scales the parameters of one test case.
func sizedParams(spec map[string]any, nodes, pods int) (map[string]any, error) {
	workloads, _ := spec["workloads"].([]any)
	exact := fmt.Sprintf("%dNodes", nodes)
	var found map[string]any
	for _, item := range workloads {
		w, _ := item.(map[string]any)
		if name := w["name"]; name == exact || (name == reference && found == nil) {
			found = w
		}
	}
	if found == nil {
		return nil, fmt.Errorf("workloads: neither %s nor %s is there; did upstream rename them?", exact, reference)
	}
	upstream, _ := found["params"].(map[string]any)
	params := map[string]any{}
	for key, value := range upstream {
		number, ok := value.(float64)
		if !ok {
			return nil, fmt.Errorf("workload %v: params.%s: %v is not a number", found["name"], key, value)
		}
		scaled := int(number)
		if found["name"] != exact {
			scaled = scaled * nodes / referenceNodes
		}
		params[key] = scaled
	}
	for _, key := range []string{"initNodes", "measurePods"} {
		if _, ok := params[key]; !ok {
			return nil, fmt.Errorf("workload %v: params.%s is missing; did upstream rename it?", found["name"], key)
		}
	}
	params["initNodes"], params["measurePods"] = nodes, pods
	return params, nil
}

// absolutePaths rewrites the template paths in node, which upstream writes
// relative to folder. Lists of paths have the key templatePaths.
func absolutePaths(node any, folder string) {
	join := func(value any) any {
		if path, ok := value.(string); ok && !filepath.IsAbs(path) {
			return filepath.Join(folder, path)
		}
		return value
	}
	switch n := node.(type) {
	case []any:
		for _, value := range n {
			absolutePaths(value, folder)
		}
	case map[string]any:
		for key, value := range n {
			switch lower := strings.ToLower(key); {
			case strings.HasSuffix(lower, "templatepath"):
				n[key] = join(value)
			case strings.HasSuffix(lower, "templatepaths"):
				if list, ok := value.([]any); ok {
					for i := range list {
						list[i] = join(list[i])
					}
				}
			default:
				absolutePaths(value, folder)
			}
		}
	}
}

// config is the workload as a scheduler_perf file. An empty schedulerConfig
// stands for the stock profile.
func (w workload) config(schedulerConfig string) ([]byte, error) {
	spec := make(map[string]any, len(w.spec)+1)
	for key, value := range w.spec {
		spec[key] = value
	}
	if schedulerConfig != "" {
		spec["schedulerConfigPath"] = schedulerConfig
	}
	// JSON is YAML, and keeps whole numbers whole.
	return json.Marshal([]any{spec})
}

// defaultProfile rewrites a KubeSchedulerConfiguration so that the profile
// called name serves the pods of upstream's workloads, which ask for
// default-scheduler. Other profiles are dropped.
func defaultProfile(config []byte, name string) ([]byte, error) {
	var root map[string]any
	if err := yaml.UnmarshalStrict(config, &root); err != nil {
		return nil, fmt.Errorf("parse the scheduler configuration: %w", err)
	}
	profiles, _ := root["profiles"].([]any)
	var names []string
	for _, item := range profiles {
		profile, _ := item.(map[string]any)
		if profile["schedulerName"] == name {
			profile["schedulerName"] = "default-scheduler"
			root["profiles"] = []any{profile}
			return yaml.Marshal(root)
		}
		names = append(names, fmt.Sprint(profile["schedulerName"]))
	}
	return nil, fmt.Errorf("profiles: none has schedulerName %q, only %v", name, names)
}
