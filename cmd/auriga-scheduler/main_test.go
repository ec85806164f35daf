// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	schedscheme "k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"

	"auriga.dev/auriga/pkg/apis/config"
	"auriga.dev/auriga/pkg/apis/config/scheme"
)

// asScheduler makes this test binary behave as auriga-scheduler.
const asScheduler = "AURIGA_TEST_AS_SCHEDULER"

func TestMain(m *testing.M) {
	if os.Getenv(asScheduler) != "" {
		main()
	}
	scheme.AddDefaults(schedscheme.Scheme) // as newCommand does
	os.Exit(m.Run())
}

// scheduler runs auriga-scheduler to its end.
func scheduler(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asScheduler+"=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestHelpAndVersion(t *testing.T) {
	for name, tc := range map[string]struct {
		args    []string
		want    []string
		wantErr bool
	}{
		"help": {args: []string{"--help"}, want: []string{
			"auriga-scheduler", "spec.schedulerName", "auriga validate", "--tracing-config-file",
			`(default "auriga-scheduler")`, `(default "auriga-system")`, "(default 500)", "(default 1000)",
		}},
		"version":          {args: []string{"--version"}, want: []string{"Kubernetes v"}},
		"unknown flag":     {args: []string{"--confg", "x"}, want: []string{"unknown flag: --confg"}, wantErr: true},
		"unknown argument": {args: []string{"x"}, want: []string{`does not take any arguments, got ["x"]`}, wantErr: true},
		"missing config":   {args: []string{"--config", "/none.yaml"}, want: []string{"/none.yaml"}, wantErr: true},
		"missing tracing":  {args: []string{"--tracing-config-file", "/none.yaml"}, want: []string{"--tracing-config-file", "/none.yaml"}, wantErr: true},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := scheduler(t, tc.args...)
			if (err != nil) != tc.wantErr {
				t.Errorf("error %v, want one: %v", err, tc.wantErr)
			}
			for _, part := range tc.want {
				if !strings.Contains(out, part) {
					t.Errorf("output should contain %q:\n%s", part, out)
				}
			}
			if strings.Contains(out, `(default "kube-scheduler")`) {
				t.Errorf("output offers the default scheduler's Lease:\n%s", out)
			}
		})
	}
}

// The scheduler builds profiles with every plugin, and says what it runs with.
func TestStartsWithAllPlugins(t *testing.T) {
	dir := t.TempDir()
	server := apiServer(t)
	kubeconfig := filepath.Join(dir, "kubeconfig")
	writeFile(t, kubeconfig, fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q}}]
contexts: [{name: c, context: {cluster: c}}]
current-context: c
`, server.URL))

	configured := filepath.Join(dir, "configured.yaml")
	writeFile(t, configured, fmt.Sprintf(`apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: %q}
profiles:
- plugins:
    queueSort:
      enabled: [{name: Coscheduling}]
      disabled: [{name: "*"}]
    multiPoint:
      enabled: [{name: WorkerSelection, weight: 40}, {name: Coscheduling}, {name: CapacityScheduling}]
  pluginConfig:
  - name: WorkerSelection
    args: {strategy: Custom, custom: {expression: "100.0 * free.cpu"}}
  - name: Coscheduling
    args: {permitWaitingTimeSeconds: 10}
`, kubeconfig))

	for name, args := range map[string][]string{
		"by file":  {"--config", configured},
		"by flags": {"--kubeconfig", kubeconfig},
	} {
		t.Run(name, func(t *testing.T) {
			written := filepath.Join(t.TempDir(), "written.yaml")
			out, err := scheduler(t, append(args, "--write-config-to", written,
				"--secure-port=0", "--authentication-skip-lookup")...)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			cfg, err := options.LoadConfigFromFile(klog.Background(), written)
			if err != nil {
				t.Fatalf("loading what the scheduler wrote: %v", err)
			}
			got := []string{cfg.LeaderElection.ResourceNamespace, cfg.LeaderElection.ResourceName,
				cfg.Profiles[0].SchedulerName, fmt.Sprint(cfg.ClientConnection.QPS), fmt.Sprint(cfg.ClientConnection.Burst)}
			if diff := cmp.Diff([]string{"auriga-system", "auriga-scheduler", "auriga", "500", "1000"}, got); diff != "" {
				t.Errorf("Lease, name and client limits (-want +got):\n%s", diff)
			}
			if name == "by file" {
				args := workerSelection(cfg)
				if args == nil || args.Custom == nil || args.Custom.Expression != "100.0 * free.cpu" {
					t.Errorf("arguments of WorkerSelection: %+v", args)
				}
			}
		})
	}
}

// apiServer answers as much as the plugins of scheduler-plugins ask for when
// they are built: that ElasticQuota exists, and that there is none.
func apiServer(t *testing.T) *httptest.Server {
	t.Helper()
	group := metav1.GroupVersionForDiscovery{GroupVersion: "scheduling.x-k8s.io/v1alpha1", Version: "v1alpha1"}
	answers := map[string]any{
		"/api":                      metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}},
		"/apis":                     metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{scheduling(group)}},
		"/apis/scheduling.x-k8s.io": scheduling(group),
		"/apis/" + group.GroupVersion: metav1.APIResourceList{
			TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: group.GroupVersion,
			APIResources: []metav1.APIResource{{Name: "elasticquotas", Kind: "ElasticQuota", Namespaced: true, Verbs: metav1.Verbs{"list", "watch"}}},
		},
		"/apis/" + group.GroupVersion + "/elasticquotas": metav1.PartialObjectMetadataList{
			TypeMeta: metav1.TypeMeta{Kind: "ElasticQuotaList", APIVersion: group.GroupVersion},
			ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: []metav1.PartialObjectMetadata{},
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.Path]
		if !ok || r.URL.Query().Get("watch") != "" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Errorf("answering %s: %v", r.URL, err)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func scheduling(v metav1.GroupVersionForDiscovery) metav1.APIGroup {
	return metav1.APIGroup{TypeMeta: metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}, Name: "scheduling.x-k8s.io",
		Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v}
}

// The default configuration's weights are parts of 100.
func TestDefaultWeights(t *testing.T) {
	cfg, err := options.LoadConfigFromFile(klog.Background(), "../../config/scheduler.yaml")
	if err != nil {
		t.Fatal(err)
	}
	silent := sets.New[string]() // plugins that are on, but do not score
	for _, plugin := range cfg.Profiles[0].Plugins.Score.Disabled {
		silent.Insert(plugin.Name)
	}
	got := map[string]int32{}
	sum := int32(0)
	for _, plugin := range cfg.Profiles[0].Plugins.MultiPoint.Enabled {
		if plugin.Weight > 0 && !silent.Has(plugin.Name) {
			got[plugin.Name] = plugin.Weight
			sum += plugin.Weight
		}
	}
	if diff := cmp.Diff(map[string]int32{
		"WorkerSelection": 40, "RealCapacity": 30,
		"NodeAffinity": 5, "InterPodAffinity": 5, "PodTopologySpread": 4, "TaintToleration": 4, "DynamicResources": 2,
		"ImageLocality": 10,
	}, got); diff != "" {
		t.Errorf("weights (-want +got):\n%s", diff)
	}
	if sum != 100 {
		t.Errorf("the weights add up to %d, want 100", sum)
	}
}

// There is an example for each strategy. (That all files are valid is pkg/validate's test.)
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../config/examples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	missing := sets.New(config.LeastLoaded, config.MostFree, config.ResourceBalance, config.BinPacking,
		config.RoundRobin, config.LocalityAware, config.Custom)
	for _, file := range files {
		cfg, err := options.LoadConfigFromFile(klog.Background(), file)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if args := workerSelection(cfg); args != nil {
			missing.Delete(args.Strategy)
		}
	}
	if len(missing) > 0 {
		t.Errorf("no example for %v", sets.List(missing))
	}
}

func workerSelection(cfg *schedconfig.KubeSchedulerConfiguration) *config.WorkerSelectionArgs {
	for _, pc := range cfg.Profiles[0].PluginConfig {
		if args, ok := pc.Args.(*config.WorkerSelectionArgs); ok {
			return args
		}
	}
	return nil
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
