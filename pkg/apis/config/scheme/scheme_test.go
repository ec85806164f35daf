// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package scheme_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	componentbaseconfig "k8s.io/component-base/config"
	"k8s.io/klog/v2"
	schedconfigv1 "k8s.io/kube-scheduler/config/v1"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"
	pluginsconfig "sigs.k8s.io/scheduler-plugins/apis/config"

	"auriga.dev/auriga/pkg/apis/config"
	"auriga.dev/auriga/pkg/apis/config/scheme"
)

const header = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"

// load decodes with Auriga's defaults.
func load(text string) (*schedconfig.KubeSchedulerConfiguration, error) {
	codecs := serializer.NewCodecFactory(scheme.New(), serializer.EnableStrict)
	cfg := &schedconfig.KubeSchedulerConfiguration{}
	return cfg, runtime.DecodeInto(codecs.UniversalDecoder(), []byte(header+text), cfg)
}

func TestDefaultsOfASecondScheduler(t *testing.T) {
	type result struct {
		LeaderElect    bool
		Lock, Lease    string
		QPS            float32
		Burst          int32
		SchedulerNames []string
	}
	own := result{LeaderElect: true, Lock: "leases", Lease: "auriga-system/auriga-scheduler",
		QPS: 500, Burst: 1000, SchedulerNames: []string{"auriga"}}

	for name, tc := range map[string]struct {
		text string
		want func(*result)
	}{
		"nothing stated":          {want: func(*result) {}},
		"profile without a name":  {text: "profiles: [{percentageOfNodesToScore: 50}]", want: func(*result) {}},
		"stated names stay":       {text: "profiles: [{schedulerName: a}, {schedulerName: b}]", want: func(r *result) { r.SchedulerNames = []string{"a", "b"} }},
		"two nameless profiles":   {text: "profiles: [{}, {schedulerName: b}]", want: func(r *result) { r.SchedulerNames = []string{"", "b"} }},
		"leader election off":     {text: "leaderElection: {leaderElect: false}", want: func(r *result) { r.LeaderElect = false }},
		"own lease":               {text: "leaderElection: {resourceName: x}", want: func(r *result) { r.Lease = "auriga-system/x" }},
		"own namespace":           {text: "leaderElection: {resourceNamespace: lab}", want: func(r *result) { r.Lease = "lab/auriga-scheduler" }},
		"client limits stay":      {text: "clientConnection: {qps: 7, burst: 9}", want: func(r *result) { r.QPS, r.Burst = 7, 9 }},
		"one client limit stated": {text: "clientConnection: {qps: 7}", want: func(r *result) { r.QPS = 7 }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, err := load(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			want := own
			tc.want(&want)
			if diff := cmp.Diff(want, result{
				LeaderElect:    cfg.LeaderElection.LeaderElect,
				Lock:           cfg.LeaderElection.ResourceLock,
				Lease:          cfg.LeaderElection.ResourceNamespace + "/" + cfg.LeaderElection.ResourceName,
				QPS:            cfg.ClientConnection.QPS,
				Burst:          cfg.ClientConnection.Burst,
				SchedulerNames: schedulerNames(cfg),
			}); diff != "" {
				t.Errorf("defaults (-want +got):\n%s", diff)
			}
		})
	}
}

func schedulerNames(cfg *schedconfig.KubeSchedulerConfiguration) []string {
	var names []string
	for _, p := range cfg.Profiles {
		names = append(names, p.SchedulerName)
	}
	return names
}

// A process that also contains the stock scheduler imports this package, too.
func TestImportKeepsStockDefaults(t *testing.T) {
	cfg, err := latest.Default()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"default-scheduler"}, schedulerNames(cfg)); diff != "" {
		t.Errorf("scheduler names (-want +got):\n%s", diff)
	}
	if lease := cfg.LeaderElection; lease.ResourceName != "kube-scheduler" || lease.ResourceNamespace != "kube-system" {
		t.Errorf("Lease %s/%s, want kube-system/kube-scheduler", lease.ResourceNamespace, lease.ResourceName)
	}
	if diff := cmp.Diff(componentbaseconfig.ClientConnectionConfiguration{
		QPS: 50, Burst: 100, ContentType: "application/vnd.kubernetes.protobuf"}, cfg.ClientConnection); diff != "" {
		t.Errorf("client connection (-want +got):\n%s", diff)
	}
}

// The scheduler's own loader, as the binary calls it.
func TestPluginArgs(t *testing.T) {
	const profile = "profiles:\n- schedulerName: x\n  pluginConfig:\n"
	args := func(cfg *schedconfig.KubeSchedulerConfiguration, plugin string) runtime.Object {
		for _, pc := range cfg.Profiles[0].PluginConfig {
			if pc.Name == plugin {
				return pc.Args
			}
		}
		return nil
	}
	cpuAndMemory := []schedconfig.ResourceSpec{{Name: "cpu", Weight: 1}, {Name: "memory", Weight: 1}}

	for name, tc := range map[string]struct {
		text    string
		plugin  string
		want    runtime.Object
		wantErr []string
	}{
		"defaulted and converted": {
			text:   "  - {name: WorkerSelection, args: {strategy: Custom, custom: {expression: \"1\"}}}",
			plugin: "WorkerSelection",
			want: &config.WorkerSelectionArgs{Strategy: config.Custom, Resources: cpuAndMemory,
				Custom: &config.CustomOptions{Expression: "1", CostLimit: 10000}},
		},
		"no args": {
			text:   "  - {name: WorkerSelection}",
			plugin: "WorkerSelection",
			want:   &config.WorkerSelectionArgs{Strategy: config.LeastLoaded, Resources: cpuAndMemory},
		},
		"enabled without pluginConfig": {
			text:   "  - {name: Other}\n  plugins: {multiPoint: {enabled: [{name: WorkerSelection}]}}",
			plugin: "WorkerSelection",
			want:   &config.WorkerSelectionArgs{Strategy: config.LeastLoaded, Resources: cpuAndMemory},
		},
		"named kind": {
			text:   "  - {name: WorkerSelection, args: {apiVersion: kubescheduler.config.k8s.io/v1, kind: WorkerSelectionArgs, strategy: RoundRobin}}",
			plugin: "WorkerSelection",
			want:   &config.WorkerSelectionArgs{Strategy: config.RoundRobin, Resources: cpuAndMemory},
		},
		"of scheduler-plugins": {
			text:   "  - {name: Coscheduling, args: {permitWaitingTimeSeconds: 10}}",
			plugin: "Coscheduling",
			want:   &pluginsconfig.CoschedulingArgs{PermitWaitingTimeSeconds: 10, PodGroupRejectPercentage: 10},
		},
		"unknown field": {
			text:    "  - {name: Other}\n  - {name: WorkerSelection, args: {custom: {expresion: \"1\"}}}",
			wantErr: []string{".profiles[0].pluginConfig[1]", "plugin WorkerSelection", `unknown field "custom.expresion"`},
		},
		"wrong type": {
			text:    "  - {name: WorkerSelection, args: {resources: [{name: cpu, weight: heavy}]}}",
			wantErr: []string{".profiles[0].pluginConfig[0]", "plugin WorkerSelection", "resources.weight of type int64"},
		},
		"wrong kind": {
			text:    "  - {name: WorkerSelection, args: {apiVersion: kubescheduler.config.k8s.io/v1, kind: NodeAffinityArgs}}",
			wantErr: []string{".profiles[0].pluginConfig[0]", "were not of type WorkerSelectionArgs"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(file, []byte(header+profile+tc.text), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := options.LoadConfigFromFile(klog.Background(), file)
			if len(tc.wantErr) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				got := args(cfg, tc.plugin)
				if got == nil {
					t.Fatalf("no arguments for %s", tc.plugin)
				}
				got.GetObjectKind().SetGroupVersionKind(tc.want.GetObjectKind().GroupVersionKind())
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("arguments (-want +got):\n%s", diff)
				}
				return
			}
			if err == nil {
				t.Fatal("loaded, want an error")
			}
			for _, part := range tc.wantErr {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q should contain %q", err, part)
				}
			}
		})
	}
}

func TestRoundTrip(t *testing.T) {
	s := scheme.New()
	codecs := serializer.NewCodecFactory(s, serializer.EnableStrict)
	yaml, ok := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), runtime.ContentTypeYAML)
	if !ok {
		t.Fatal("no YAML serializer")
	}
	encoder := codecs.EncoderForVersion(yaml.Serializer, schedconfigv1.SchemeGroupVersion)

	resources := []schedconfig.ResourceSpec{{Name: "cpu", Weight: 3}, {Name: "nvidia.com/gpu", Weight: 100}}
	for name, args := range map[string]*config.WorkerSelectionArgs{
		"resources": {Strategy: config.MostFree, Resources: resources},
		"locality":  {Strategy: config.LocalityAware, Resources: resources, Locality: &config.LocalityOptions{ImageWeight: 0, ZoneWeight: 7}},
		"custom":    {Strategy: config.Custom, Resources: resources, Custom: &config.CustomOptions{Expression: "a < b\n&& 'c'", CostLimit: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := runtime.Encode(encoder, args.DeepCopyObject())
			if err != nil {
				t.Fatal(err)
			}
			got := &config.WorkerSelectionArgs{}
			if err := runtime.DecodeInto(codecs.UniversalDecoder(), data, got); err != nil {
				t.Fatalf("decoding %s: %v", data, err)
			}
			if diff := cmp.Diff(args, got); diff != "" {
				t.Errorf("after encoding and decoding (-want +got):\n%s\nencoded: %s", diff, data)
			}
		})
	}
}
