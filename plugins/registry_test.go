// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package plugins

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	fwk "k8s.io/kube-scheduler/framework"
	"sigs.k8s.io/scheduler-plugins/pkg/capacityscheduling"
	"sigs.k8s.io/scheduler-plugins/pkg/coscheduling"

	"auriga.dev/auriga/plugins/realcapacity"
	"auriga.dev/auriga/plugins/workerselection"
)

// A plugin that filters or scores and cannot sign pods turns off the
// scheduler's batching for its whole profile.
func TestPluginsSignPods(t *testing.T) {
	prototypes := map[string]fwk.Plugin{
		realcapacity.Name:       &realcapacity.RealCapacity{},
		workerselection.Name:    &workerselection.WorkerSelection{},
		coscheduling.Name:       &coscheduling.Coscheduling{},
		capacityscheduling.Name: &capacityscheduling.CapacityScheduling{},
	}
	unsigned := map[string]string{
		coscheduling.Name:       "upstream's PreFilter looks at the pods of the gang, and it has no SignPod",
		capacityscheduling.Name: "upstream's PreFilter looks at the quotas in use, and it has no SignPod",
	}

	var registered, known []string
	for name := range Registry() {
		registered = append(registered, name)
	}
	for name, p := range prototypes {
		known = append(known, name)
		if p.Name() != name {
			t.Errorf("registered as %q, but calls itself %q", name, p.Name())
		}
		_, preFilters := p.(fwk.PreFilterPlugin)
		_, filters := p.(fwk.FilterPlugin)
		_, preScores := p.(fwk.PreScorePlugin)
		_, scores := p.(fwk.ScorePlugin)
		_, signs := p.(fwk.SignPlugin)
		reason := unsigned[name]
		if needs := preFilters || filters || preScores || scores; needs && !signs && reason == "" {
			t.Errorf("%s filters or scores, but implements no SignPlugin", name)
		}
		if signs && reason != "" {
			t.Errorf("%s implements SignPlugin now; remove the excuse %q", name, reason)
		}
	}
	slices.Sort(registered)
	slices.Sort(known)
	if diff := cmp.Diff(registered, known); diff != "" {
		t.Errorf("this test does not know the same plugins as the registry (-registry +test):\n%s", diff)
	}
}

func TestRegistryIsFresh(t *testing.T) {
	changed := Registry()
	delete(changed, workerselection.Name)
	if _, ok := Registry()[workerselection.Name]; !ok {
		t.Error("a change of the returned map changed the registry")
	}
}
