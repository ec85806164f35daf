// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package nodeprofile

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"auriga.dev/auriga/pkg/apis/names"
)

// nodeWith is an amd64 worker of 100 CPUs with labels, some of them ours.
func nodeWith(labels map[string]string, ours ...string) *corev1.Node {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "u", Labels: labels},
		Status: corev1.NodeStatus{
			NodeInfo: corev1.NodeSystemInfo{Architecture: "amd64"},
			Capacity: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100")},
		},
	}
	if len(ours) > 0 {
		fields := map[string]any{}
		for _, label := range ours {
			fields["f:"+label] = map[string]any{}
		}
		raw, err := json.Marshal(map[string]any{"f:metadata": map[string]any{"f:labels": fields}})
		if err != nil {
			panic(err)
		}
		node.ManagedFields = []metav1.ManagedFieldsEntry{{
			Manager: names.FieldManagerNodeProfiler, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: &metav1.FieldsV1{Raw: raw},
		}}
	}
	return node
}

func watts(w float64) Signals { return Signals{PeakWatts: Signal[float64]{State: Known, Value: w}} }

func disk(kind string) Signals { return Signals{Storage: Signal[string]{State: Known, Value: kind}} }

func TestProfile(t *testing.T) {
	down := Signals{Storage: Signal[string]{State: Unavailable}, PeakWatts: Signal[float64]{State: Unavailable}}
	type labels = map[string]string
	for name, test := range map[string]struct {
		labels  labels
		ours    []string
		more    corev1.ResourceList
		signals Signals
		want    labels // beside cpu-arch=amd64
	}{
		"nothing known": {},
		"processor": {
			labels: labels{labelNFDCPUVendor: "Intel", labelNFDCPUFamily: "6", labelNFDCPUID: "143"},
			want:   labels{names.LabelCPUModel: "Intel-6-143"},
		},
		"numbers without a vendor": {labels: labels{labelNFDCPUFamily: "6"}},
		"zone and region": {
			labels: labels{corev1.LabelTopologyZone: "z", corev1.LabelTopologyRegion: "r", corev1.LabelFailureDomainBetaZone: "old"},
			want:   labels{names.LabelZone: "z", names.LabelRegion: "r"},
		},
		"legacy zone and region": {
			labels: labels{corev1.LabelFailureDomainBetaZone: "z", corev1.LabelFailureDomainBetaRegion: "r"},
			want:   labels{names.LabelZone: "z", names.LabelRegion: "r"},
		},
		"NVIDIA, shared by four": {
			labels: labels{labelNvidiaProduct: "NVIDIA-A100-SXM4-80GB-SHARED", labelNvidiaCount: "8", labelNvidiaMemory: "81920"},
			more:   corev1.ResourceList{resourceNvidia: resource.MustParse("32")},
			want:   labels{names.LabelGPUModel: "NVIDIA-A100-SXM4-80GB", names.LabelGPUCount: "8", names.LabelGPUMemoryMiB: "81920"},
		},
		"NVIDIA, by the resource alone": {
			more: corev1.ResourceList{resourceNvidia: resource.MustParse("4")},
			want: labels{names.LabelGPUCount: "4"},
		},
		"NVIDIA, all of them gone": {more: corev1.ResourceList{resourceNvidia: resource.MustParse("0")}},
		"NVIDIA, nonsense":         {labels: labels{labelNvidiaCount: "-1", labelNvidiaMemory: "much"}},
		"AMD": {
			labels: labels{labelAMDProduct: "AMD Instinct MI300X (OAM)", labelAMDMemory: "192G"},
			more:   corev1.ResourceList{resourceAMD: resource.MustParse("8")},
			want:   labels{names.LabelGPUModel: "AMD-Instinct-MI300X-OAM", names.LabelGPUCount: "8", names.LabelGPUMemoryMiB: "196608"},
		},
		"AMD, nonsense":    {labels: labels{labelAMDMemory: "9223372036854775807G"}},
		"disks do not say": {labels: labels{labelNFDNonrotational: "maybe"}},
		"some disk is ssd": {labels: labels{labelNFDNonrotational: "true"}, want: labels{names.LabelStorage: "ssd"}},
		"no disk is ssd":   {labels: labels{labelNFDNonrotational: "false"}, want: labels{names.LabelStorage: "hdd"}},
		"measured beats NFD": {
			labels: labels{labelNFDNonrotational: "true"}, signals: disk(StorageNVMe), want: labels{names.LabelStorage: "nvme"},
		},
		"down, nothing known yet": {signals: down},
		"down, NFD is there":      {labels: labels{labelNFDNonrotational: "true"}, signals: down, want: labels{names.LabelStorage: "ssd"}},
		"down, known before": {
			labels:  labels{names.LabelStorage: "nvme", names.LabelPowerProfile: "low", labelNFDNonrotational: "true"},
			ours:    []string{names.LabelStorage, names.LabelPowerProfile},
			signals: down, want: labels{names.LabelStorage: "nvme", names.LabelPowerProfile: "low"},
		},
		"down, somebody else's is not knowledge": {labels: labels{names.LabelStorage: "nvme"}, signals: down},
		"Prometheus knows nothing any more":      {labels: labels{names.LabelStorage: "nvme"}, ours: []string{names.LabelStorage}},
		"1.5 W":                                  {signals: watts(150), want: labels{names.LabelPowerProfile: "low"}},
		"3 W":                                    {signals: watts(300), want: labels{names.LabelPowerProfile: "standard"}},
		"5 W":                                    {signals: watts(500), want: labels{names.LabelPowerProfile: "high"}},
		"not a number":                           {signals: watts(math.NaN())},
		"0 W":                                    {signals: watts(0)},
		"infinite":                               {signals: watts(math.Inf(1))},
		"always at full clock":                   {labels: labels{labelNFDGovernor: "performance"}, want: labels{names.LabelPowerProfile: "high"}},
		"intel_pstate's ordinary governor":       {labels: labels{labelNFDGovernor: "powersave"}},
		"measured beats the governor":            {labels: labels{labelNFDGovernor: "performance"}, signals: watts(150), want: labels{names.LabelPowerProfile: "low"}},
	} {
		t.Run(name, func(t *testing.T) {
			node := nodeWith(test.labels, test.ours...)
			for resource, quantity := range test.more {
				node.Status.Capacity[resource] = quantity
			}
			want := labels{names.LabelCPUArch: "amd64"}
			for label, value := range test.want {
				want[label] = value
			}
			got := Profile(node, test.signals)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for label := range got {
				if !slices.Contains(names.ProfileLabels(), label) {
					t.Errorf("%s is not in names.ProfileLabels", label)
				}
			}
		})
	}
	if got := Profile(&corev1.Node{}, watts(100)); len(got) != 0 {
		t.Errorf("an empty Node has the profile %v", got)
	}
}

// A class changes only beyond 10 % past the limit: 2 W and 4 W per CPU.
func TestPowerClass(t *testing.T) {
	for _, test := range []struct {
		watts          float64
		previous, want string
	}{
		{1.99, "", PowerLow}, {2, "", PowerStandard}, {4, "", PowerStandard}, {4.01, "", PowerHigh},
		{2.19, PowerLow, PowerLow}, {2.21, PowerLow, PowerStandard},
		{1.81, PowerStandard, PowerStandard}, {1.79, PowerStandard, PowerLow},
		{4.39, PowerStandard, PowerStandard}, {4.41, PowerStandard, PowerHigh},
		{3.61, PowerHigh, PowerHigh}, {3.59, PowerHigh, PowerStandard},
		{5, PowerLow, PowerHigh}, {1, PowerHigh, PowerLow},
		{-1, PowerLow, ""}, {math.NaN(), "", ""}, {math.Inf(1), "", ""},
	} {
		if got := powerClass(test.watts, test.previous); got != test.want {
			t.Errorf("%v W after %q: %q, want %q", test.watts, test.previous, got, test.want)
		}
	}
}

func TestLabelValue(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "  ": "", "--": "", "a": "a", "Tesla V100 (32 GB)": "Tesla-V100-32-GB",
		"-a_": "a", "zone/1": "zone-1", "é": "", "aéb": "a-b", "a - b": "a-b",
		strings.Repeat("a", 62) + "-b": strings.Repeat("a", 62), strings.Repeat("b", 99): strings.Repeat("b", 63),
	} {
		if got := LabelValue(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzLabelValue(f *testing.F) {
	f.Add("Tesla V100 (32 GB)")
	f.Add("\xff\x00日本")
	f.Fuzz(func(t *testing.T, text string) {
		value := LabelValue(text)
		if errs := validation.IsValidLabelValue(value); len(errs) > 0 {
			t.Errorf("%q: %q: %v", text, value, errs)
		}
		if again := LabelValue(value); again != value {
			t.Errorf("%q becomes %q and then %q", text, value, again)
		}
	})
}

func TestDecide(t *testing.T) {
	type labels = map[string]string
	const a, b, c = "auriga.dev/a", "auriga.dev/b", "auriga.dev/c"
	for name, test := range map[string]struct {
		node    *corev1.Node
		profile labels
		want    Decision
	}{
		"nothing":          {nodeWith(nil), labels{}, Decision{Apply: labels{}}},
		"new":              {nodeWith(nil), labels{a: "1"}, Decision{Apply: labels{a: "1"}, Change: true}},
		"as it is":         {nodeWith(labels{a: "1"}, a), labels{a: "1"}, Decision{Apply: labels{a: "1"}}},
		"another value":    {nodeWith(labels{a: "1"}, a), labels{a: "2"}, Decision{Apply: labels{a: "2"}, Change: true}},
		"no longer known":  {nodeWith(labels{a: "1", b: "2"}, a, b), labels{a: "1"}, Decision{Apply: labels{a: "1"}, Change: true}},
		"the last one":     {nodeWith(labels{a: "1"}, a), labels{}, Decision{Apply: labels{}, Change: true}},
		"somebody removed": {nodeWith(nil, a), labels{a: "1"}, Decision{Apply: labels{a: "1"}, Change: true}},
		"somebody else's": {nodeWith(labels{a: "x", b: "2"}, b), labels{a: "1", b: "2"},
			Decision{Apply: labels{b: "2"}, Foreign: []Foreign{{Label: a, Theirs: "x", Ours: "1"}}}},
		"somebody else's, who agrees":  {nodeWith(labels{a: "1"}), labels{a: "1"}, Decision{Apply: labels{}}},
		"somebody else's, and no idea": {nodeWith(labels{a: "x"}), labels{}, Decision{Apply: labels{}}},
		"an old label of ours":         {nodeWith(labels{c: "1"}, c), labels{a: "1"}, Decision{Apply: labels{a: "1"}, Change: true}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Decide(test.node, test.profile)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Only server-side apply by the profiler makes a label ours.
func TestOwnedLabels(t *testing.T) {
	raw := &metav1.FieldsV1{Raw: []byte(`{"f:metadata":{"f:labels":{".":{},"f:a":{},"f:b/c":{}}}}`)}
	entry := metav1.ManagedFieldsEntry{Manager: names.FieldManagerNodeProfiler, Operation: metav1.ManagedFieldsOperationApply, FieldsV1: raw}
	for name, test := range map[string]struct {
		change func(*metav1.ManagedFieldsEntry)
		want   int
	}{
		"ours":           {func(*metav1.ManagedFieldsEntry) {}, 2},
		"another":        {func(e *metav1.ManagedFieldsEntry) { e.Manager = "kubectl" }, 0},
		"by update":      {func(e *metav1.ManagedFieldsEntry) { e.Operation = metav1.ManagedFieldsOperationUpdate }, 0},
		"of the status":  {func(e *metav1.ManagedFieldsEntry) { e.Subresource = "status" }, 0},
		"without fields": {func(e *metav1.ManagedFieldsEntry) { e.FieldsV1 = nil }, 0},
		"unreadable":     {func(e *metav1.ManagedFieldsEntry) { e.FieldsV1 = &metav1.FieldsV1{Raw: []byte("{")} }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := entry
			test.change(&e)
			if got := ownedLabels(&corev1.Node{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{e}}}); len(got) != test.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestTrim(t *testing.T) {
	node := nodeWith(map[string]string{"a": "b"}, "a")
	node.Status.Images = []corev1.ContainerImage{{Names: []string{"x"}}}
	node.ManagedFields = append(node.ManagedFields, metav1.ManagedFieldsEntry{Manager: "kubelet"})
	if _, err := Trim(node); err != nil {
		t.Fatal(err)
	}
	if len(node.Status.Images) != 0 || len(node.ManagedFields) != 1 || !ownedLabels(node).Has("a") {
		t.Errorf("%+v", node)
	}
	if got, err := Trim("else"); got != "else" || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}
