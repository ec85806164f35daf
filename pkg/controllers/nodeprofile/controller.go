// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package nodeprofile

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"auriga.dev/auriga/pkg/apis/names"
)

const (
	// Name is the controller's name in logs, events and metrics.
	Name = "node-profile"
	// passTimeout bounds one pass over one worker.
	passTimeout = 30 * time.Second
	// conflictRetry is the pause after somebody else took a label in the moment
	// in which it was written. By then the cache has seen it.
	conflictRetry = 5 * time.Second
	// workers is how many Nodes are worked on at a time: the first pass over a
	// new cluster writes each of them once.
	workers = 4
)

// Reconciler brings the labels of one worker up to date.
type Reconciler struct {
	client    client.Client
	signals   func(node string) Signals
	recorder  events.EventRecorder
	writes    prometheus.Counter
	conflicts prometheus.Counter

	mu sync.Mutex
	// told are the foreign labels that an event has been written about:
	// worker -> label -> their value.
	told map[string]map[string]string
}

var _ reconcile.Reconciler = &Reconciler{}

// NewReconciler returns a Reconciler that starts nothing.
func NewReconciler(c client.Client, signals func(node string) Signals, recorder events.EventRecorder) *Reconciler {
	return &Reconciler{
		client: c, signals: signals, recorder: recorder, told: map[string]map[string]string{},
		writes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "auriga_node_profile_writes_total", Help: "Times that the labels of a worker were written."}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "auriga_node_profile_conflicts_total", Help: "Writes refused because somebody else had just set one of the labels."}),
	}
}

// Add registers the controller and its metrics.
func Add(mgr manager.Manager, config SourceConfig, registry prometheus.Registerer) error {
	prom, err := NewSource(config)
	if err != nil {
		return err
	}
	r := NewReconciler(mgr.GetClient(), prom.Signals, mgr.GetEventRecorder("auriga-"+Name))
	collectors := []prometheus.Collector{prom, r.writes, r.conflicts, NewCollector(mgr.GetCache(), prom.Signals, mgr.Elected())}
	for _, c := range collectors {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return builder.ControllerManagedBy(mgr).
		Named(Name).
		For(&corev1.Node{}, builder.WithPredicates(Relevant())).
		WatchesRawSource(refreshes(mgr.GetCache(), prom)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, ReconciliationTimeout: passTimeout}).
		Complete(r)
}

// refreshes puts all workers into the queue whenever Prometheus was asked.
func refreshes(nodes client.Reader, prom *Source) source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		// The queue is shut down with ctx, and adding to it is then nothing.
		go prom.Run(ctx,
			func(ctx context.Context) ([]corev1.Node, error) {
				var list corev1.NodeList
				if err := nodes.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
					return nil, err
				}
				return list.Items, nil
			},
			func(nodes []corev1.Node) {
				for i := range nodes {
					queue.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: nodes[i].Name}})
				}
			})
		return nil
	})
}

// Relevant passes what may change a profile. Heartbeats, conditions and
// addresses do not.
func Relevant() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*corev1.Node)
		after, ok2 := e.ObjectNew.(*corev1.Node)
		if !ok || !ok2 {
			return false
		}
		return !maps.Equal(before.Labels, after.Labels) ||
			before.Status.NodeInfo.Architecture != after.Status.NodeInfo.Architecture ||
			!equality.Semantic.DeepEqual(before.Status.Capacity, after.Status.Capacity) ||
			!ownedLabels(before).Equal(ownedLabels(after))
	}}
}

// Reconcile is one pass: observe, decide, apply.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var node corev1.Node
	if err := r.client.Get(ctx, request.NamespacedName, &node); apierrors.IsNotFound(err) {
		r.forget(request.Name)
		return reconcile.Result{}, nil
	} else if err != nil {
		return reconcile.Result{}, err
	}
	if node.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	decision := Decide(&node, Profile(&node, r.signals(node.Name)))
	r.tell(&node, decision.Foreign)
	if !decision.Change {
		return reconcile.Result{}, nil
	}

	// The UID keeps the request from creating a Node that is gone by now.
	labels := corev1ac.Node(node.Name).WithUID(node.UID).WithLabels(decision.Apply)
	switch err := r.client.Apply(ctx, labels, client.FieldOwner(names.FieldManagerNodeProfiler)); {
	case apierrors.IsConflict(err):
		r.conflicts.Inc()
		klog.FromContext(ctx).V(2).Info("Somebody else has just set a label; looking again", "err", err)
		return reconcile.Result{RequeueAfter: conflictRetry}, nil
	case apierrors.IsNotFound(err):
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("write the profile of worker %s: %w", node.Name, err)
	}
	r.writes.Inc()
	klog.FromContext(ctx).V(2).Info("Wrote the profile", "labels", decision.Apply)
	return reconcile.Result{}, nil
}

// tell writes an event about each foreign label, once per value.
func (r *Reconciler) tell(node *corev1.Node, foreign []Foreign) {
	r.mu.Lock()
	before := r.told[node.Name]
	now := make(map[string]string, len(foreign))
	for _, f := range foreign {
		now[f.Label] = f.Theirs
	}
	if len(now) == 0 {
		delete(r.told, node.Name)
	} else {
		r.told[node.Name] = now
	}
	r.mu.Unlock()

	for _, f := range foreign {
		if theirs, told := before[f.Label]; told && theirs == f.Theirs {
			continue
		}
		r.recorder.Eventf(node, nil, corev1.EventTypeNormal, "ProfileLabelKept", "Profile",
			"label %s=%s was set by somebody else and stays, though the worker looks like %q: remove it to have it kept up to date", f.Label, f.Theirs, f.Ours)
	}
}

func (r *Reconciler) forget(node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.told, node)
}
