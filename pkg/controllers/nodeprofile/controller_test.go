// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package nodeprofile

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"auriga.dev/auriga/pkg/apis/names"
)

func silent(string) Signals { return Signals{} }

// world is a Reconciler over a fake API server that counts writes and fails them
// with err.
type world struct {
	client   client.Client
	r        *Reconciler
	recorder *events.FakeRecorder
	writes   int
	err      error
}

func newWorld(objects ...client.Object) *world {
	w := &world{recorder: events.NewFakeRecorder(10)}
	w.client = fake.NewClientBuilder().WithObjects(objects...).WithReturnManagedFields().WithInterceptorFuncs(interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			w.writes++
			if w.err != nil {
				return w.err
			}
			return c.Apply(ctx, o, options...)
		},
	}).Build()
	w.r = NewReconciler(w.client, silent, w.recorder)
	return w
}

func (w *world) pass(t *testing.T) (reconcile.Result, error) {
	t.Helper()
	return w.r.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: "n"}})
}

func (w *world) mustPass(t *testing.T) {
	t.Helper()
	if result, err := w.pass(t); err != nil || result != (reconcile.Result{}) {
		t.Fatalf("%v, %v", result, err)
	}
}

func (w *world) node(t *testing.T) *corev1.Node {
	t.Helper()
	var node corev1.Node
	if err := w.client.Get(t.Context(), types.NamespacedName{Name: "n"}, &node); err != nil {
		t.Fatal(err)
	}
	return &node
}

func worker(labels map[string]string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: labels},
		Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{Architecture: "arm64"}}}
}

func TestReconcile(t *testing.T) {
	w := newWorld(worker(map[string]string{labelNFDNonrotational: "true", labelNvidiaProduct: "A100", names.LabelGPUModel: "mine"}))
	w.mustPass(t)
	w.mustPass(t)
	if w.writes != 1 {
		t.Errorf("%d writes for one change", w.writes)
	}
	labels := w.node(t).Labels
	if labels[names.LabelCPUArch] != "arm64" || labels[names.LabelStorage] != "ssd" || labels[names.LabelGPUModel] != "mine" {
		t.Errorf("labels %v", labels)
	}
	if got := <-w.recorder.Events; !strings.Contains(got, "ProfileLabelKept") || !strings.Contains(got, `auriga.dev/gpu-model=mine`) || !strings.Contains(got, `"A100"`) {
		t.Errorf("event %q", got)
	}
	if len(w.recorder.Events) != 0 {
		t.Errorf("the same event again: %s", <-w.recorder.Events)
	}

	// The source goes, and with it the label.
	node := w.node(t)
	delete(node.Labels, labelNFDNonrotational)
	if err := w.client.Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	w.mustPass(t)
	labels = w.node(t).Labels
	if _, ok := labels[names.LabelStorage]; ok || labels[names.LabelCPUArch] != "arm64" {
		t.Errorf("labels %v", labels)
	}
}

func TestReconcileErrors(t *testing.T) {
	nodes := schema.GroupResource{Resource: "nodes"}
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		err       error
		want      reconcile.Result
		wantErr   bool
		conflicts float64
	}{
		"conflict": {err: apierrors.NewConflict(nodes, "n", broken), want: reconcile.Result{RequeueAfter: 5 * time.Second}, conflicts: 1},
		"gone":     {err: apierrors.NewNotFound(nodes, "n")},
		"other":    {err: broken, wantErr: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(worker(nil))
			w.err = test.err
			result, err := w.pass(t)
			if result != test.want || (err != nil) != test.wantErr {
				t.Errorf("%v, %v", result, err)
			}
			if got := testutil.ToFloat64(w.r.conflicts); got != test.conflicts {
				t.Errorf("%v conflicts counted", got)
			}
		})
	}

	t.Run("no such worker", func(t *testing.T) {
		w := newWorld()
		w.r.told["n"] = map[string]string{"a": "b"}
		w.mustPass(t)
		if w.writes != 0 || len(w.r.told) != 0 {
			t.Errorf("%d writes, remembered %v", w.writes, w.r.told)
		}
	})
}

func TestRelevant(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*corev1.Node)
		want   bool
	}{
		"heartbeat":    {func(n *corev1.Node) { n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady}} }, false},
		"annotation":   {func(n *corev1.Node) { n.Annotations = map[string]string{"a": "b"} }, false},
		"label":        {func(n *corev1.Node) { n.Labels = map[string]string{"a": "b"} }, true},
		"architecture": {func(n *corev1.Node) { n.Status.NodeInfo.Architecture = "amd64" }, true},
		"capacity": {func(n *corev1.Node) {
			n.Status.Capacity = corev1.ResourceList{resourceNvidia: resource.MustParse("1")}
		}, true},
		"ownership": {func(n *corev1.Node) { n.ManagedFields = nodeWith(nil, "a").ManagedFields }, true},
	} {
		t.Run(name, func(t *testing.T) {
			changed := worker(nil)
			test.change(changed)
			if got := Relevant().Update(event.UpdateEvent{ObjectOld: worker(nil), ObjectNew: changed}); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestCollector(t *testing.T) {
	w := newWorld(worker(map[string]string{
		names.LabelCPUArch: "arm64", names.LabelGPUModel: "mine", labelNvidiaProduct: "A100", names.LabelZone: "z"}))
	elected := make(chan struct{})
	c := NewCollector(w.client, silent, elected)
	if got := testutil.CollectAndCount(c); got != 0 {
		t.Errorf("a standby exports %d series", got)
	}
	close(elected)
	if err := testutil.CollectAndCompare(c, strings.NewReader(`
# HELP auriga_node_profile_info What a worker is made of, by its labels; the value is 1. An empty label is unknown.
# TYPE auriga_node_profile_info gauge
auriga_node_profile_info{arch="arm64",gpu_count="",gpu_model="mine",node="n",power_profile="",region="",storage="",zone="z"} 1
`), "auriga_node_profile_info"); err != nil {
		t.Error(err)
	}
	if got, want := testutil.CollectAndCount(c, "auriga_node_profile_foreign_labels"), len(names.ProfileLabels()); got != want {
		t.Errorf("%d labels, want %d", got, want)
	}
	if err := w.client.Delete(t.Context(), w.node(t)); err != nil {
		t.Fatal(err)
	}
	if got := testutil.CollectAndCount(c, "auriga_node_profile_info"); got != 0 {
		t.Errorf("%d series of a worker that is gone", got)
	}
}
