// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	psaapi "k8s.io/pod-security-admission/api"
	psa "k8s.io/pod-security-admission/policy"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"auriga.dev/auriga/pkg/apis/config/scheme"
	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/telemetry"
	aurigaplugins "auriga.dev/auriga/plugins"
	"auriga.dev/auriga/test/fixtures"
)

const (
	configKey     = "scheduler.yaml"
	defaultConfig = root + "/config/scheduler.yaml"
)

func TestLint(t *testing.T) {
	for name, args := range valueSets {
		t.Run(name, func(t *testing.T) {
			out, err := command(t, nil, fixtures.Binary(t, "tools/helm"), append([]string{
				"lint", "--strict", "--kube-version", "1.35.8", chart}, args...)...)
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestBadValues checks that a mistake is refused and that the message says
// where it is and what would be accepted.
func TestBadValues(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"unknown value":      {[]string{"--set", "schedular.replicas=1"}, []string{"'schedular' not allowed"}},
		"unknown inner":      {[]string{"--set", "scheduler.leaderElect=true"}, []string{"/scheduler", "'leaderElect' not allowed"}},
		"type":               {[]string{"--set", "scheduler.replicas=two"}, []string{"/scheduler/replicas", "got string, want integer"}},
		"weight 0":           {[]string{"--set", "plugins.enabled[0].name=WorkerSelection,plugins.enabled[0].weight=0"}, []string{"/plugins/enabled/0/weight", "got 0, want 1"}},
		"weight 101":         {[]string{"--set", "plugins.enabled[0].name=WorkerSelection,plugins.enabled[0].weight=101"}, []string{"/plugins/enabled/0/weight", "got 101, want 100"}},
		"weight for nothing": {[]string{"--set-json", `plugins.enabled=[{"weight":5}]`}, []string{"/plugins/enabled/0", "missing property 'name'"}},
		"plugin":             {[]string{"--set", "plugins.enabled={WorkerSelektion}"}, []string{`unknown plugin "WorkerSelektion"`, "WorkerSelection", "rbac.plugins"}},
		"plugin in profile":  {[]string{"--set-json", `profiles=[{"schedulerName":"a","plugins":{"score":{"enabled":[{"name":"X"}]}}}]`}, []string{`unknown plugin "X"`}},
		"later profile field": {[]string{"--set-json", `profiles=[{"schedulerName":"a","plugins":{"placementScore":{"enabled":[]}}}]`},
			[]string{"/profiles/0/plugins", "'placementScore' not allowed"}},
		"args without name":     {[]string{"--set-json", `pluginConfig=[{"args":{}}]`}, []string{"/pluginConfig/0", "missing property 'name'"}},
		"two queue orders":      {[]string{"--set", "plugins.enabled={Coscheduling}"}, []string{"add PrioritySort to plugins.disabled"}},
		"enabled and disabled":  {[]string{"--set", "plugins.disabled={WorkerSelection}"}, []string{"both name WorkerSelection"}},
		"all points at a point": {[]string{"--set-json", `plugins.points={"multiPoint":{"enabled":[]}}`}, []string{"/plugins/points/multiPoint"}},
		"qps 0":                 {[]string{"--set", "scheduler.clientConnection.qps=0"}, []string{"/scheduler/clientConnection/qps"}},
		"percentage":            {[]string{"--set", "scheduler.percentageOfNodesToScore=101"}, []string{"/scheduler/percentageOfNodesToScore", "got 101, want 100"}},
		"no election":           {[]string{"--set", "scheduler.leaderElection.enabled=false"}, []string{"scheduler.replicas is 2", "set replicas to 1"}},
		"stolen lease":          {[]string{"--set", "scheduler.leaderElection.resourceName=kube-scheduler"}, []string{"default scheduler's Lease", "auriga-scheduler"}},
		"one lease for two":     {[]string{"--set", "controller.leaderElection.resourceName=auriga-scheduler"}, []string{"both auriga-scheduler", "different names"}},
		"prometheus":            {[]string{"--set", "prometheus.address=prometheus:9090"}, []string{"/prometheus/address"}},
		"secret for nothing":    {[]string{"--set", "prometheus.httpConfigSecret.name=s"}, []string{"prometheus.address is not"}},
		"sampling":              {[]string{"--set", "tracing.samplingRatePerMillion=1000001"}, []string{"/tracing/samplingRatePerMillion", "maximum: got 1.000001"}},
		"controller flag":       {[]string{"--set", "controller.args={x}"}, []string{"/controller/args/0"}},
		"no account":            {[]string{"--set", "serviceAccount.create=false"}, []string{"serviceAccount.name is required"}},
		"priority class":        {[]string{"--set", "priorityClasses.classes.auriga-huge.value=5"}, []string{"/priorityClasses/classes", "'auriga-huge' not allowed"}},
		"reserved priority":     {[]string{"--set", "priorityClasses.classes.auriga-high.value=2000000000"}, []string{"/priorityClasses/classes/auriga-high/value"}},
		"digest":                {[]string{"--set", "image.digest=latest"}, []string{"/image/digest"}},
		"old cluster":           {[]string{"--kube-version", "1.34.9"}, []string{"requires kubeVersion: >=1.35.0-0 <1.37.0-0"}},
		"new cluster":           {[]string{"--kube-version", "1.37.0"}, []string{"requires kubeVersion: >=1.35.0-0 <1.37.0-0"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := template(t, test.args...)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the message does not say %q:\n%v", want, err)
				}
			}
		})
	}
}

// decode reads a KubeSchedulerConfiguration as the scheduler does.
func decode(t *testing.T, data []byte) *schedconfig.KubeSchedulerConfiguration {
	t.Helper()
	codecs := serializer.NewCodecFactory(scheme.New(), serializer.EnableStrict)
	object, _, err := codecs.UniversalDecoder().Decode(data, nil, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	config, ok := object.(*schedconfig.KubeSchedulerConfiguration)
	if !ok {
		t.Fatalf("a %T", object)
	}
	return config
}

func renderedConfig(t *testing.T, args ...string) *schedconfig.KubeSchedulerConfiguration {
	t.Helper()
	return decode(t, []byte(one[corev1.ConfigMap](t, render(t, args...), "ConfigMap").Data[configKey]))
}

// TestDefaultConfiguration: the chart's default profile and config/scheduler.yaml
// mean the same.
func TestDefaultConfiguration(t *testing.T) {
	data, err := os.ReadFile(defaultConfig)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(decode(t, data), renderedConfig(t)); diff != "" {
		t.Errorf("%s (-) and the chart's default (+) differ:\n%s", defaultConfig, diff)
	}
}

func TestConfiguration(t *testing.T) {
	config := renderedConfig(t,
		"--set-json", "scheduler.clientConnection={\"qps\":12.5,\"burst\":20}", "--set", "scheduler.name=other",
		"--set", "scheduler.percentageOfNodesToScore=70,scheduler.leaderElection.resourceName=mine")
	if got := config.ClientConnection; got.QPS != 12.5 || got.Burst != 20 || got.Kubeconfig != "" {
		t.Errorf("clientConnection: %+v", got)
	}
	if got := config.LeaderElection; !got.LeaderElect || got.ResourceName != "mine" || got.ResourceNamespace != names.Namespace {
		t.Errorf("leaderElection: %+v", got)
	}
	if got := ptr.Deref(config.PercentageOfNodesToScore, -1); got != 70 {
		t.Errorf("percentageOfNodesToScore: %d", got)
	}
	if len(config.Profiles) != 1 || config.Profiles[0].SchedulerName != "other" {
		t.Errorf("profiles: %+v", config.Profiles)
	}

	config = renderedConfig(t, valueSets["profiles"]...)
	var got []string
	for _, profile := range config.Profiles {
		got = append(got, profile.SchedulerName)
	}
	if diff := gocmp.Diff([]string{"spread", "bare"}, got); diff != "" {
		t.Errorf("profiles (-want +got):\n%s", diff)
	}
	if got := renderedConfig(t, valueSets["single"]...).LeaderElection.LeaderElect; got {
		t.Error("leader election is on")
	}

	// Nothing enabled, nothing disabled: Kubernetes' own profile.
	stock := decode(t, []byte("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"))
	config = renderedConfig(t, "--set-json", `plugins={"enabled":[],"disabled":[],"points":null}`, "--set-json", "pluginConfig=[]")
	if diff := gocmp.Diff(stock.Profiles, config.Profiles); diff != "" {
		t.Errorf("no plugins given (-stock +got):\n%s", diff)
	}
}

// TestValidate: the CLI finds nothing to complain about, which also shows that
// `helm test` would pass.
func TestValidate(t *testing.T) {
	for name, args := range valueSets {
		t.Run(name, func(t *testing.T) {
			rendered := render(t, args...)
			pod := one[corev1.Pod](t, rendered, "Pod").Spec
			path := filepath.Join(t.TempDir(), configKey)
			if err := os.WriteFile(path, []byte(one[corev1.ConfigMap](t, rendered, "ConfigMap").Data[configKey]), 0o600); err != nil {
				t.Fatal(err)
			}
			// As the test pod does it, with the file of this machine.
			call := slices.Clone(pod.Containers[0].Command)
			last := len(call) - 1
			if got := filepath.Base(call[0]) + " " + call[last]; got != "auriga "+pod.Containers[0].VolumeMounts[0].MountPath+"/"+configKey {
				t.Fatalf("the test pod runs %v", call)
			}
			call[last] = path
			out, err := command(t, nil, fixtures.Binary(t, "auriga"), call[1:]...)
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestDeployment(t *testing.T) {
	evaluator, err := psa.NewEvaluator(psa.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := psaapi.LevelVersion{Level: psaapi.LevelRestricted, Version: psaapi.LatestVersion()}
	for name, args := range valueSets {
		t.Run(name, func(t *testing.T) {
			rendered := render(t, args...)
			deployment := one[appsv1.Deployment](t, rendered, "Deployment")
			pods := []corev1.PodSpec{deployment.Spec.Template.Spec, one[corev1.Pod](t, rendered, "Pod").Spec}
			for _, pod := range pods {
				for _, result := range evaluator.EvaluatePod(restricted, &metav1.ObjectMeta{}, &pod) {
					if !result.Allowed {
						t.Errorf("not restricted: %s: %s", result.ForbiddenReason, result.ForbiddenDetail)
					}
				}
				for _, container := range pod.Containers {
					if !*container.SecurityContext.ReadOnlyRootFilesystem {
						t.Errorf("container %s may write its root", container.Name)
					}
					if container.Resources.Requests.Cpu().IsZero() || container.Resources.Limits.Memory().IsZero() {
						t.Errorf("container %s states no resources", container.Name)
					}
				}
			}
			if got := deployment.Spec.Template.Spec.SchedulerName; got != "default-scheduler" {
				t.Errorf("placed by %s", got)
			}
			budgets := rendered.find("PodDisruptionBudget")
			if want := *deployment.Spec.Replicas > 1; want != (len(budgets) == 1) {
				t.Errorf("%d replicas and %d disruption budgets", *deployment.Spec.Replicas, len(budgets))
			}
			selector := deployment.Spec.Selector
			for _, budget := range budgets {
				if diff := gocmp.Diff(selector, as[policyv1.PodDisruptionBudget](t, budget).Spec.Selector); diff != "" {
					t.Errorf("the budget is for other pods (-deployment +budget):\n%s", diff)
				}
			}
			for _, service := range rendered.find("Service") {
				if diff := gocmp.Diff(selector.MatchLabels, as[corev1.Service](t, service).Spec.Selector); diff != "" {
					t.Errorf("the Service is for other pods (-deployment +service):\n%s", diff)
				}
			}
		})
	}

	scheduler := one[appsv1.Deployment](t, render(t), "Deployment")
	container := scheduler.Spec.Template.Spec.Containers[0]
	for path, probe := range map[string]*corev1.Probe{
		"/livez": container.LivenessProbe, "/readyz": container.ReadinessProbe,
	} {
		if get := probe.HTTPGet; get.Path != path || get.Scheme != corev1.URISchemeHTTPS || get.Port.StrVal != "https" {
			t.Errorf("probe %s: %+v", path, get)
		}
	}
	if port := container.Ports[0]; port.ContainerPort != 10259 || port.Name != "https" {
		t.Errorf("port: %+v", port)
	}
	if got := *scheduler.Spec.Replicas; got != 2 {
		t.Errorf("%d replicas", got)
	}
	affinity := scheduler.Spec.Template.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution
	if len(affinity) != 1 || affinity[0].PodAffinityTerm.TopologyKey != corev1.LabelHostname {
		t.Errorf("anti-affinity: %+v", affinity)
	}
}

// TestRestart: a new configuration starts new pods, the same one does not.
func TestRestart(t *testing.T) {
	const annotation = "checksum/config"
	sum := func(args ...string) string {
		return one[appsv1.Deployment](t, render(t, args...), "Deployment").Spec.Template.Annotations[annotation]
	}
	if sum() == "" || sum() != sum("--set", "scheduler.logLevel=4") {
		t.Error("the sum changes with something else than the configuration")
	}
	if sum() == sum("--set", "scheduler.percentageOfNodesToScore=50") {
		t.Error("the sum does not change with the configuration")
	}
}

// TestController: where it runs, what it is told, where it is asked.
func TestController(t *testing.T) {
	containers := func(args ...string) map[string]corev1.Container {
		found := map[string]corev1.Container{}
		for _, c := range one[appsv1.Deployment](t, render(t, args...), "Deployment").Spec.Template.Spec.Containers {
			found[c.Name] = c
		}
		return found
	}
	byDefault := containers()["controller"]
	if diff := gocmp.Diff([]string{
		"--leader-elect=true", "--leader-elect-resource-name=" + names.ControllerLease, "--leader-elect-resource-namespace=" + names.Namespace,
		"--kube-api-qps=100", "--kube-api-burst=200", "--metrics-bind-address=:10260", "--health-probe-bind-address=:10261",
		"--scheduler-name=" + names.Scheduler, "--pool-label=" + names.LabelPool, "--v=2",
	}, byDefault.Args); diff != "" {
		t.Errorf("default (-want +got):\n%s", diff)
	}
	if len(byDefault.VolumeMounts) != 0 {
		t.Errorf("default: mounts %v", byDefault.VolumeMounts)
	}
	for path, probe := range map[string]*corev1.Probe{"/livez": byDefault.LivenessProbe, "/readyz": byDefault.ReadinessProbe} {
		if get := probe.HTTPGet; get.Path != path || get.Port.StrVal != "probes" {
			t.Errorf("probe %s: %+v", path, get)
		}
	}

	const image = "registry.example.com/ci/auriga@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	full := containers(valueSets["controller"]...)
	if diff := gocmp.Diff([]string{image, image}, []string{full["scheduler"].Image, full["controller"].Image}); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff([]string{
		"--leader-elect=true", "--leader-elect-resource-name=ci-controller", "--leader-elect-resource-namespace=" + names.Namespace,
		"--kube-api-qps=12.5", "--kube-api-burst=20", "--metrics-bind-address=:10260", "--health-probe-bind-address=:10261",
		"--scheduler-name=" + names.Scheduler, "--pool-label=example.com/pool",
		"--prometheus-address=https://prometheus.monitoring:9090/path", "--prometheus-http-config-file=/etc/auriga-prometheus/http_config.yaml",
		"--v=4", "--profile-interval=10m",
	}, full["controller"].Args); diff != "" {
		t.Errorf("everything set (-want +got):\n%s", diff)
	}
	if got := containers("--set", "controller.enabled=false"); len(got) != 1 {
		t.Errorf("disabled: containers %v", slices.Collect(maps.Keys(got)))
	}
	several := containers(valueSets["profiles"]...)["controller"].Args
	for _, want := range []string{"--scheduler-name=spread", "--scheduler-name=bare"} {
		if !slices.Contains(several, want) {
			t.Errorf("no %s among %v", want, several)
		}
	}

	// The metrics of both are found by their ports' names.
	for args, want := range map[string][]string{"controller.enabled=true": {"https", "controller"}, "controller.enabled=false": {"https"}} {
		rendered := render(t, "--set", "metrics.serviceMonitor.enabled=true,"+args)
		var ports []string
		for _, port := range one[corev1.Service](t, rendered, "Service").Spec.Ports {
			ports = append(ports, port.Name)
		}
		if diff := gocmp.Diff(want, ports); diff != "" {
			t.Errorf("%s: ports of the Service (-want +got):\n%s", args, diff)
		}
		endpoints, _, err := unstructured.NestedSlice(rendered.find("ServiceMonitor")[0].Object, "spec", "endpoints")
		if err != nil || len(endpoints) != len(want) {
			t.Errorf("%s: %d endpoints, want %d: %v", args, len(endpoints), len(want), err)
		}
	}
}

// TestPrometheus: RealCapacity is told about it where it is on and says nothing
// itself; the Secret is a file in all containers that may read it.
func TestPrometheus(t *testing.T) {
	const given = `[
		{"schedulerName":"silent","plugins":{"multiPoint":{"enabled":[{"name":"RealCapacity"}]}}},
		{"schedulerName":"args","plugins":{"score":{"enabled":[{"name":"RealCapacity"}]}},"pluginConfig":[{"name":"RealCapacity","args":{"x":1}}]},
		{"schedulerName":"own","plugins":{"score":{"enabled":[{"name":"RealCapacity"}]}},"pluginConfig":[{"name":"RealCapacity","args":{"prometheus":{"address":"http://own"}}}]},
		{"schedulerName":"off"}]`
	args := []string{"--set-json", "profiles=" + given}
	if !slices.Contains(slices.Collect(maps.Keys(aurigaplugins.Registry())), "RealCapacity") {
		args = append(args, "--set-json", `rbac.plugins={"RealCapacity":[]}`)
	}
	prometheus := func(args ...string) map[string]any {
		var config struct {
			Profiles []struct {
				SchedulerName string
				PluginConfig  []struct {
					Name string
					Args map[string]any
				}
			}
		}
		if err := yaml.Unmarshal([]byte(one[corev1.ConfigMap](t, render(t, args...), "ConfigMap").Data[configKey]), &config); err != nil {
			t.Fatal(err)
		}
		got := map[string]any{}
		for _, profile := range config.Profiles {
			for _, entry := range profile.PluginConfig {
				got[profile.SchedulerName] = entry.Args["prometheus"]
			}
		}
		return got
	}
	own := map[string]any{"address": "http://own"}
	if diff := gocmp.Diff(map[string]any{"args": nil, "own": own}, prometheus(args...)); diff != "" {
		t.Errorf("no address (-want +got):\n%s", diff)
	}
	args = append(args, "--set", "prometheus.address=http://p:9090")
	told := map[string]any{"address": "http://p:9090"}
	if diff := gocmp.Diff(map[string]any{"silent": told, "args": told, "own": own}, prometheus(args...)); diff != "" {
		t.Errorf("address (-want +got):\n%s", diff)
	}
	args = append(args, "--set", "prometheus.httpConfigSecret.name=s,prometheus.httpConfigSecret.key=k")
	told["httpConfigFile"] = "/etc/auriga-prometheus/http_config.yaml"
	if diff := gocmp.Diff(map[string]any{"silent": told, "args": told, "own": own}, prometheus(args...)); diff != "" {
		t.Errorf("with a Secret (-want +got):\n%s", diff)
	}
	rendered := render(t, args...)
	for _, pod := range []corev1.PodSpec{one[appsv1.Deployment](t, rendered, "Deployment").Spec.Template.Spec, one[corev1.Pod](t, rendered, "Pod").Spec} {
		volume := pod.Volumes[1]
		if volume.Secret == nil || volume.Secret.SecretName != "s" || volume.Secret.Items[0].Key != "k" || volume.Secret.Items[0].Path != "http_config.yaml" {
			t.Errorf("volume: %+v", volume)
		}
		for _, container := range pod.Containers {
			if !slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool {
				return m.Name == volume.Name && m.MountPath == "/etc/auriga-prometheus" && m.ReadOnly
			}) {
				t.Errorf("container %s does not get the file", container.Name)
			}
		}
	}
}

// TestTracing: the scheduler reads what the chart writes.
func TestTracing(t *testing.T) {
	const key, flag = "tracing.yaml", "--tracing-config-file=/etc/auriga/tracing.yaml"
	flags := func(o objects) []string {
		return one[appsv1.Deployment](t, o, "Deployment").Spec.Template.Spec.Containers[0].Args
	}
	rendered := render(t)
	if _, written := one[corev1.ConfigMap](t, rendered, "ConfigMap").Data[key]; written || slices.Contains(flags(rendered), flag) {
		t.Error("traces are on by default")
	}
	rendered = render(t, "--set", "tracing.endpoint=collector:4317,tracing.samplingRatePerMillion=500000")
	if !slices.Contains(flags(rendered), flag) {
		t.Errorf("no %s among %v", flag, flags(rendered))
	}
	path := filepath.Join(t.TempDir(), key)
	if err := os.WriteFile(path, []byte(one[corev1.ConfigMap](t, rendered, "ConfigMap").Data[key]), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := telemetry.ReadTracingConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := ptr.Deref(config.Endpoint, "") + " " + fmt.Sprint(ptr.Deref(config.SamplingRatePerMillion, -1)); got != "collector:4317 500000" {
		t.Errorf("the scheduler reads %s", got)
	}
}

func TestPriorityClasses(t *testing.T) {
	var classes []*schedulingv1.PriorityClass
	for _, object := range render(t).find("PriorityClass") {
		classes = append(classes, as[schedulingv1.PriorityClass](t, object))
	}
	slices.SortFunc(classes, func(a, b *schedulingv1.PriorityClass) int { return cmp.Compare(b.Value, a.Value) })
	var got []string
	for _, class := range classes {
		got = append(got, class.Name)
		if class.GlobalDefault {
			t.Errorf("%s would be the priority of all pods of the cluster", class.Name)
		}
		if class.Description == "" {
			t.Errorf("%s does not say what it is for", class.Name)
		}
	}
	if diff := gocmp.Diff(names.PriorityClasses(), got); diff != "" {
		t.Errorf("highest first (-want +got):\n%s", diff)
	}
	batch := classes[len(classes)-1]
	// Cluster Autoscaler adds no node for a pod below -10.
	if *batch.PreemptionPolicy != corev1.PreemptNever || batch.Value >= 0 || batch.Value < -10 {
		t.Errorf("batch: %d, %s", batch.Value, *batch.PreemptionPolicy)
	}
	if got := render(t, valueSets["single"]...).find("PriorityClass"); len(got) != 0 {
		t.Errorf("priorityClasses.create=false creates %d", len(got))
	}
}

// TestCRDs: those that the enabled plugins read, no others.
func TestCRDs(t *testing.T) {
	gang := valueSets["gang"]
	const policy = "helm.sh/resource-policy"
	for name, test := range map[string]struct {
		args []string
		want map[string]string // CRD -> resource policy
	}{
		"default": {nil, map[string]string{}},
		"gang": {gang, map[string]string{
			"podgroups.scheduling.x-k8s.io": "keep", "elasticquotas.scheduling.x-k8s.io": "keep"}},
		"not kept": {append(slices.Clone(gang), "--set", "crds.keep=false"), map[string]string{
			"podgroups.scheduling.x-k8s.io": "", "elasticquotas.scheduling.x-k8s.io": ""}},
		"not installed": {append(slices.Clone(gang), "--set", "crds.install=false"), map[string]string{}},
		"one of them": {[]string{"--set", "plugins.enabled={Coscheduling},plugins.disabled={PrioritySort}"},
			map[string]string{"podgroups.scheduling.x-k8s.io": "keep"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]string{}
			for _, crd := range render(t, test.args...).find("CustomResourceDefinition") {
				got[crd.GetName()] = crd.GetAnnotations()[policy]
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestNames: two releases do not share objects of the cluster.
func TestNames(t *testing.T) {
	for name, test := range map[string]struct{ args, want []string }{
		"default":  {nil, []string{"auriga-scheduler"}},
		"override": {[]string{"--set", "fullnameOverride=ci"}, []string{"ci-scheduler"}},
		"release":  {[]string{"--name-template", "team"}, []string{"team-auriga-scheduler"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"template", chart, "--namespace", names.Namespace, "--kube-version", "1.35.8"}, test.args...)
			if !slices.Contains(args, "--name-template") {
				args = append(args, "--name-template", release)
			}
			out, err := command(t, nil, fixtures.Binary(t, "tools/helm"), args...)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, role := range parse(t, out).find("ClusterRole") {
				got = append(got, role.GetName())
			}
			if diff := gocmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
