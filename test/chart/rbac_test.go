// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/component-helpers/auth/rbac/validation"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"
	"sigs.k8s.io/yaml"

	"auriga.dev/auriga/pkg/apis/names"
	aurigaplugins "auriga.dev/auriga/plugins"
)

// permissions are what a role allows, one "verb group/resource" each; the
// group without a name is "core".
type permissions = sets.Set[string]

func expand(t *testing.T, rules []rbacv1.PolicyRule) permissions {
	t.Helper()
	all := permissions{}
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					if slices.Contains([]string{group, resource, verb}, "*") {
						t.Errorf("a wildcard: %+v", rule)
					}
					all.Insert(permission(verb, group, resource))
				}
			}
		}
	}
	return all
}

func permission(verb, group, resource string) string {
	if group == "" {
		group = "core"
	}
	return verb + " " + group + "/" + resource
}

// clusterRole returns what the chart's ClusterRole allows.
func clusterRole(t *testing.T, args ...string) permissions {
	t.Helper()
	return expand(t, one[rbacv1.ClusterRole](t, render(t, args...), "ClusterRole").Rules)
}

// TestKnownPlugins: the chart knows every plugin of the binary and which of
// them are on by default.
func TestKnownPlugins(t *testing.T) {
	data, err := os.ReadFile(chart + "/files/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type rules map[string][]string
	var known struct {
		Base         rules            `json:"base"`
		Controller   rules            `json:"controller"`
		Defaults     []string         `json:"defaults"`
		Plugins      map[string]rules `json:"plugins"`
		FeatureGates map[string]rules `json:"featureGates"`
	}
	if err := yaml.UnmarshalStrict(data, &known); err != nil {
		t.Fatal(err)
	}

	registry := plugins.NewInTreeRegistry()
	if err := registry.Merge(aurigaplugins.Registry()); err != nil {
		t.Fatal(err)
	}
	sorted := cmpopts.SortSlices(strings.Compare)
	if diff := gocmp.Diff(sets.KeySet(registry).UnsortedList(), sets.KeySet(known.Plugins).UnsortedList(), sorted); diff != "" {
		t.Errorf("the binary's plugins (-) and the chart's (+):\n%s", diff)
	}

	var defaults []string
	stock := decode(t, []byte("apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"))
	for _, plugin := range stock.Profiles[0].Plugins.MultiPoint.Enabled {
		defaults = append(defaults, plugin.Name)
	}
	if diff := gocmp.Diff(defaults, known.Defaults, sorted); diff != "" {
		t.Errorf("Kubernetes' default plugins (-) and the chart's (+):\n%s", diff)
	}
}

// TestDerivedPermissions: what changes in the ClusterRole with the plugins.
func TestDerivedPermissions(t *testing.T) {
	disable := func(plugins ...string) []string {
		return []string{"--set", "plugins.enabled={WorkerSelection},plugins.disabled={" + strings.Join(plugins, ",") + "}"}
	}
	base := clusterRole(t)
	for name, test := range map[string]struct {
		args          []string
		added, absent []string // compared with the default
	}{
		"default": {},
		"gang": {
			args: valueSets["gang"],
			added: []string{
				"list scheduling.x-k8s.io/elasticquotas", "watch scheduling.x-k8s.io/elasticquotas",
				"list scheduling.x-k8s.io/podgroups", "watch scheduling.x-k8s.io/podgroups",
			},
		},
		"no preemption": {
			args:   disable("DefaultPreemption"),
			absent: []string{"delete core/pods", "list policy/poddisruptionbudgets", "watch policy/poddisruptionbudgets"},
		},
		"no binding of volumes": {
			args: disable("VolumeBinding"),
			absent: []string{
				"update core/persistentvolumes", "update core/persistentvolumeclaims",
				"list storage.k8s.io/csistoragecapacities", "watch storage.k8s.io/csistoragecapacities",
			},
		},
		"no volumes at all": {
			args: disable("VolumeBinding", "VolumeZone", "VolumeRestrictions", "NodeVolumeLimits"),
			absent: []string{
				"list core/persistentvolumes", "watch core/persistentvolumes", "update core/persistentvolumes",
				"list core/persistentvolumeclaims", "watch core/persistentvolumeclaims", "update core/persistentvolumeclaims",
				"list storage.k8s.io/csistoragecapacities", "watch storage.k8s.io/csistoragecapacities",
				"list storage.k8s.io/csidrivers", "watch storage.k8s.io/csidrivers",
				"list storage.k8s.io/storageclasses", "watch storage.k8s.io/storageclasses",
				"list storage.k8s.io/volumeattachments", "watch storage.k8s.io/volumeattachments",
			},
		},
		"no devices": {
			args: disable("DynamicResources"),
			absent: []string{
				"get resource.k8s.io/resourceclaims", "update resource.k8s.io/resourceclaims",
				"update resource.k8s.io/resourceclaims/status", "patch resource.k8s.io/resourceclaims/status",
				"update resource.k8s.io/resourceclaims/binding", "patch resource.k8s.io/resourceclaims/binding",
			},
		},
		"no spreading": {
			args: disable("PodTopologySpread"),
			absent: []string{
				"list core/services", "watch core/services",
				"list core/replicationcontrollers", "watch core/replicationcontrollers",
				"list apps/replicasets", "watch apps/replicasets",
				"list apps/statefulsets", "watch apps/statefulsets",
			},
		},
		"disabled at one point only": {
			args: []string{"--set-json", `profiles=[{"schedulerName":"a","plugins":{"filter":{"disabled":[{"name":"VolumeBinding"}]}}}]`},
		},
		"disabled in one profile only": {
			args: []string{"--set-json", `profiles=[{"schedulerName":"a"},{"schedulerName":"b","plugins":{"multiPoint":{"disabled":[{"name":"*"}]}}}]`},
		},
		"enabled at one point": {
			args: []string{"--set-json", `profiles=[{"schedulerName":"a","plugins":{"permit":{"enabled":[{"name":"Coscheduling"}]}}}]`},
			added: []string{
				"list scheduling.x-k8s.io/podgroups", "watch scheduling.x-k8s.io/podgroups",
			},
		},
		"feature gate": {
			args: []string{"--set", "scheduler.featureGates.DRAExtendedResource=true,scheduler.featureGates.DRADeviceTaintRules=false"},
			added: []string{
				"create resource.k8s.io/resourceclaims", "delete resource.k8s.io/resourceclaims", "update core/pods/finalizers",
			},
		},
		"own plugin": {
			args: []string{
				"--set", "plugins.enabled={Mine}",
				"--set-json", `rbac.plugins={"Mine":[{"apiGroups":["example.com"],"resources":["things"],"verbs":["list"]}],"NotEnabled":[{"apiGroups":["example.com"],"resources":["others"],"verbs":["list"]}]}`,
			},
			added: []string{"list example.com/things"},
		},
		"controller": {
			args: valueSets["controller"],
			added: []string{
				"get apps/deployments/scale", "update apps/deployments/scale",
				// Its values switch on the feature gate, too.
				"create resource.k8s.io/resourceclaims", "delete resource.k8s.io/resourceclaims", "update core/pods/finalizers",
			},
		},
		"controller off": {
			args:   append(slices.Clone(valueSets["controller"]), "--set", "controller.enabled=false,scheduler.featureGates=null"),
			absent: []string{"patch core/nodes", "create core/pods/eviction", "list batch/jobs", "watch batch/jobs"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := base.Union(sets.New(test.added...)).Difference(sets.New(test.absent...))
			if missing := sets.New(test.absent...).Difference(base); len(missing) > 0 {
				t.Errorf("never there: %v", missing)
			}
			if diff := gocmp.Diff(sets.List(want), sets.List(clusterRole(t, test.args...))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}

	// One plugin of each kind that a scheduler cannot do without.
	bare := clusterRole(t, "--set", "controller.enabled=false", "--set-json", `profiles=[{"schedulerName":"a","plugins":{"multiPoint":{"disabled":[{"name":"*"}],"enabled":[{"name":"PrioritySort"},{"name":"DefaultBinder"}]}}}]`)
	if diff := gocmp.Diff([]string{
		"create authentication.k8s.io/tokenreviews",
		"create authorization.k8s.io/subjectaccessreviews",
		"create core/events",
		"create core/pods/binding",
		"create events.k8s.io/events",
		"list core/namespaces",
		"list core/nodes",
		"list core/pods",
		"list resource.k8s.io/deviceclasses",
		"list resource.k8s.io/resourceclaims",
		"list resource.k8s.io/resourceslices",
		"list storage.k8s.io/csinodes",
		"patch core/events",
		"patch core/pods/status",
		"patch events.k8s.io/events",
		"watch core/namespaces",
		"watch core/nodes",
		"watch core/pods",
		"watch resource.k8s.io/deviceclasses",
		"watch resource.k8s.io/resourceclaims",
		"watch resource.k8s.io/resourceslices",
		"watch storage.k8s.io/csinodes",
	}, sets.List(bare)); diff != "" {
		t.Errorf("least scheduler (-want +got):\n%s", diff)
	}
}

// TestNotWiderThanStock: Auriga's scheduler may do nothing that Kubernetes does
// not allow its own, but for one right that Kubernetes 1.36 asks for.
func TestNotWiderThanStock(t *testing.T) {
	var stock []rbacv1.PolicyRule
	for _, role := range bootstrappolicy.ClusterRoles() {
		if slices.Contains([]string{"system:kube-scheduler", "system:volume-scheduler"}, role.Name) {
			stock = append(stock, role.Rules...)
		}
	}
	_, wider := validation.Covers(stock, one[rbacv1.ClusterRole](t, render(t, "--set", "controller.enabled=false"), "ClusterRole").Rules)
	want := sets.New(permission("update", "resource.k8s.io", "resourceclaims/binding"), permission("patch", "resource.k8s.io", "resourceclaims/binding"))
	if diff := gocmp.Diff(sets.List(want), sets.List(expand(t, wider))); diff != "" {
		t.Errorf("beyond the stock scheduler (-want +got):\n%s", diff)
	}
}

// TestLeaseRole: the Leases by their names, in the release's namespace only.
func TestLeaseRole(t *testing.T) {
	for set, leases := range map[string][]string{
		"scheduler.leaderElection.resourceName=mine":                          {"mine", names.ControllerLease},
		"controller.leaderElection.resourceName=mine":                         {names.Lease, "mine"},
		"scheduler.leaderElection.resourceName=mine,controller.enabled=false": {"mine"},
	} {
		want := []rbacv1.PolicyRule{
			{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create"}},
			{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: leases, Verbs: []string{"get", "update"}},
		}
		role := one[rbacv1.Role](t, render(t, "--set", set), "Role")
		if diff := gocmp.Diff(want, role.Rules); diff != "" {
			t.Errorf("%s (-want +got):\n%s", set, diff)
		}
	}
	noElection := render(t, "--set", "scheduler.leaderElection.enabled=false,scheduler.replicas=1")
	if got := noElection.find("Role"); len(got) != 0 {
		t.Error("rights to a Lease that nobody uses")
	}
}
