// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package reclaim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	resourcehelper "k8s.io/component-helpers/resource"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"auriga.dev/auriga/pkg/capacity"
	"auriga.dev/auriga/pkg/controllers/load"
)

const (
	// Name is the controller's name in logs, events and metrics.
	Name = "reclaim"
	// passTimeout bounds one pass over one worker, evictTimeout one eviction.
	passTimeout  = time.Minute
	evictTimeout = 10 * time.Second
	// retry is after how long a worker is looked at again whose pods could not be
	// evicted, if nothing happens before.
	retry = 15 * time.Second
	// workers is how many workers are worked on at a time.
	workers = 4
	// nodeIndex finds the pods of a worker in the manager's cache.
	nodeIndex = "spec.nodeName"
)

// Config says what may be evicted, and when.
type Config struct {
	// Schedulers are the schedulerNames whose pods may be evicted; at least one.
	Schedulers []string
	// CPUCeiling and MemoryCeiling are shares of a worker's capacity, 0 to 1.
	CPUCeiling, MemoryCeiling float64
}

// Reconciler keeps one worker at its ceilings.
type Reconciler struct {
	client   client.Client
	ledger   *ledger
	snapshot func() *capacity.Snapshot
	policy   Policy
	recorder events.EventRecorder
	clock    clock.PassiveClock
	// patience is until when a worker without a fresh reading is left alone: its
	// first may be under way.
	patience time.Time
	metrics  metrics
}

var _ reconcile.Reconciler = &Reconciler{}

// Add registers the controller and its metrics.
func Add(mgr manager.Manager, c Config, known *load.Source, registry prometheus.Registerer) error {
	if len(c.Schedulers) == 0 {
		return errors.New("no scheduler name: name at least one")
	}
	for _, ceiling := range []float64{c.CPUCeiling, c.MemoryCeiling} {
		if !(ceiling > 0 && ceiling <= 1) {
			return fmt.Errorf("ceiling %v: must be more than 0 and at most 1", ceiling)
		}
	}
	if err := mgr.GetFieldIndexer().IndexField(context.Background(), &corev1.Pod{}, nodeIndex, func(object client.Object) []string {
		if pod, ok := object.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
			return []string{pod.Spec.NodeName}
		}
		return nil
	}); err != nil {
		return fmt.Errorf("index pods: %w", err)
	}
	r := newReconciler(mgr.GetClient(), c, known, mgr.GetEventRecorder("auriga-"+Name), clock.RealClock{})
	for _, collector := range []prometheus.Collector{r.metrics.evictions, r.metrics.blocked, newGauge(r.ledger.count, mgr.Elected())} {
		if err := registry.Register(collector); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	known.Follow(r.ledger)
	known.Tracker().OnPublish(func(*capacity.Snapshot) { r.ledger.lookAtAll() })
	return builder.ControllerManagedBy(mgr).
		Named(Name).
		WatchesRawSource(news(r.ledger, known)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers, ReconciliationTimeout: passTimeout,
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](100*time.Millisecond, retry),
		}).
		Complete(r)
}

func newReconciler(c client.Client, config Config, known *load.Source, recorder events.EventRecorder, clk clock.PassiveClock) *Reconciler {
	r := &Reconciler{
		client: c, snapshot: known.Tracker().Snapshot, recorder: recorder, clock: clk, metrics: newMetrics(),
		policy: Policy{
			Ceilings: [numLevels]float64{capacity.CPU: config.CPUCeiling, capacity.Memory: config.MemoryCeiling},
			MaxAge:   known.MaxAge(), Ramp: known.Ramp(),
			// From the first to the last sample in the window of a rate is one scrape
			// less than the window, which should hold four.
			CPUWindow: known.CPUWindow() * 3 / 4,
		},
		ledger: &ledger{
			expect: known.Expect, schedulers: sets.New(config.Schedulers...), clock: clk, ramp: known.Ramp(),
			nodes: map[string]map[types.UID]*Pod{},
		},
	}
	if known.Measures() {
		r.patience = clk.Now().Add(known.MaxAge())
		r.ledger.keep = known.CPUWindow() + known.MaxAge()
	}
	return r
}

// news puts workers into the queue while this replica leads.
func news(l *ledger, known *load.Source) source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		go func() {
			if !known.WaitForSync(ctx) {
				return
			}
			// The queue is shut down with ctx, and adding to it is then nothing.
			l.watch(func(node string) { queue.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: node}}) })
		}()
		return nil
	})
}

// Reconcile is one pass: observe, decide, apply.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var node corev1.Node
	if err := r.client.Get(ctx, request.NamespacedName, &node); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !r.ledger.lent(node.Name) {
		return reconcile.Result{}, nil
	}
	blocked := sets.New[types.UID]()
	for {
		levels, candidates, err := r.observe(ctx, &node, blocked)
		if err != nil {
			return reconcile.Result{}, err
		}
		victims := Decide(levels, candidates)
		if len(victims) == 0 {
			return reconcile.Result{RequeueAfter: r.again(&levels, blocked.Len() > 0)}, nil
		}
		for _, victim := range victims {
			evicted, err := r.evict(ctx, &node, victim, levels[victim.Resource])
			if err != nil {
				return reconcile.Result{}, err
			}
			if !evicted {
				// The others were chosen to make up the rest: choose again.
				blocked.Insert(victim.UID)
				break
			}
		}
	}
}

// again is after how long to look at a worker again of which there is no news; 0
// is never. A Prometheus that is silent brings no news.
func (r *Reconciler) again(levels *Levels, blocked bool) time.Duration {
	now := r.clock.Now()
	if blocked {
		return retry
	}
	if patience := r.patience.Sub(now); patience > 0 && !levels.measured() {
		return patience
	}
	if stale := levels.stale(); !stale.IsZero() {
		return max(stale.Sub(now), 0) + time.Millisecond
	}
	return 0
}

// observe is what is known of a worker now.
func (r *Reconciler) observe(ctx context.Context, node *corev1.Node, blocked sets.Set[types.UID]) (Levels, []Candidate, error) {
	now := r.clock.Now()
	pods := r.ledger.on(node.Name)
	levels := r.policy.Measure(r.snapshot().Node(node.Name, node.UID), pods, now)
	if !levels.measured() && !now.Before(r.patience) {
		requested, err := r.requested(ctx, node.Name)
		if err != nil {
			return Levels{}, nil, err
		}
		levels.ByRequests(node, requested, pods, now)
	}
	var candidates []Candidate
	for i := range pods {
		if p := &pods[i]; p.Reclaimed && p.Ours && !p.Told && p.Ended.IsZero() && !blocked.Has(p.UID) {
			candidates = append(candidates, p.Candidate)
		}
	}
	return levels, candidates, nil
}

// requested is what the pods on a worker request that have not ended: reclaimed
// ones request nothing.
func (r *Reconciler) requested(ctx context.Context, node string) (capacity.Use, error) {
	var list corev1.PodList
	if err := r.client.List(ctx, &list, client.MatchingFields{nodeIndex: node}, client.UnsafeDisableDeepCopy); err != nil {
		return capacity.Use{}, fmt.Errorf("list the pods of worker %s: %w", node, err)
	}
	var sum capacity.Use
	for i := range list.Items {
		if hasEnded(&list.Items[i]) {
			continue
		}
		requests := resourcehelper.PodRequests(&list.Items[i], resourcehelper.PodResourcesOptions{})
		sum.CPU += requests.Cpu().AsApproximateFloat64()
		sum.Memory += requests.Memory().AsApproximateFloat64()
	}
	return sum, nil
}

// evict has a pod give way. evicted is false if the API server refuses. An error
// means that nobody knows what happened: then nothing more is evicted until the
// pods tell.
func (r *Reconciler) evict(ctx context.Context, node *corev1.Node, victim Victim, level Level) (evicted bool, err error) {
	log := klog.FromContext(ctx).WithValues("pod", victim.NamespacedName)
	ctx, cancel := context.WithTimeout(ctx, evictTimeout)
	defer cancel()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: victim.Namespace, Name: victim.Name, UID: victim.UID}}
	err = r.client.SubResource("eviction").Create(ctx, pod, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: victim.Namespace, Name: victim.Name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: ptr.To(victim.UID)}},
	})
	var answer apierrors.APIStatus
	switch {
	case err == nil:
		r.ledger.told(node.Name, victim.UID)
		r.metrics.evictions.WithLabelValues(victim.Resource.String()).Inc()
		note := note(node.Name, victim, level)
		log.Info("Evicted", "why", note)
		r.recorder.Eventf(pod, node, corev1.EventTypeNormal, "Reclaimed", "Evict", "%s", note)
		return true, nil
	case apierrors.IsNotFound(err), apierrors.IsConflict(err): // It is gone, or another has its name.
		r.ledger.told(node.Name, victim.UID)
		return true, nil
	case apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause):
		log.V(2).Info("A PodDisruptionBudget keeps the pod", "err", err)
		r.metrics.blocked.WithLabelValues(blockedByBudget).Inc()
		return false, nil
	case errors.As(err, &answer) && !apierrors.IsTimeout(err):
		log.Error(err, "Cannot evict the pod; another has to give way")
		r.metrics.blocked.WithLabelValues(blockedByError).Inc()
		return false, nil
	}
	r.metrics.blocked.WithLabelValues(blockedByError).Inc()
	return false, fmt.Errorf("evict pod %s: %w", victim.NamespacedName, err)
}

// note says why a pod is evicted.
func note(node string, victim Victim, level Level) string {
	unit, scale := "cores", 1.0
	if victim.Resource == capacity.Memory {
		unit, scale = "GiB", 1<<30
	}
	basis := "predicted"
	if !level.Measured {
		basis = "requested (nothing is measured)"
	}
	amount := func(v float64) string { return fmt.Sprintf("%.4g", v/scale) }
	return fmt.Sprintf("Reclaimed: node %s %s %s %s of %s %s, ceiling %.3g %%: the pod gives back %s %s",
		node, basis, victim.Resource, amount(level.Use), amount(level.Full), unit, 100*level.Ceiling,
		amount(of(victim.Use, victim.Resource)), unit)
}
