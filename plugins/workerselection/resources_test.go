// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package workerselection

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"auriga.dev/auriga/pkg/score"
)

func TestClusterTotals(t *testing.T) {
	worker := func(cores string) fwk.NodeInfo {
		info := framework.NewNodeInfo()
		info.SetNode(st.MakeNode().Name("n").Capacity(map[v1.ResourceName]string{v1.ResourceCPU: cores}).Obj())
		return info
	}
	c := clusterTotals{resources: []schedconfig.ResourceSpec{{Name: "cpu", Weight: 1}}}
	expect := func(when string, nodes []fwk.NodeInfo, cores float64) {
		t.Helper()
		if diff := cmp.Diff([]score.Total{{Allocatable: 1000 * cores}}, c.over(nodes)); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", when, diff)
		}
	}
	expect("first pod", []fwk.NodeInfo{worker("4")}, 4)
	expect("another node", []fwk.NodeInfo{worker("4"), worker("4")}, 8)
	grown := []fwk.NodeInfo{worker("4"), worker("16")}
	for range totalsLife - 1 {
		expect("within the life of the totals", grown, 8)
	}
	expect("after it", grown, 20)
	expect("no nodes", nil, 0)
}
