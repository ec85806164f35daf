// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"

	"auriga.dev/auriga/pkg/apis/names"
)

// The workers have 32 cores and 64 GiB; their ceilings are at 28.8 cores and
// 54.4 GiB.
const (
	pollInterval = 2 * time.Second
	rateWindow   = 6 * time.Second
)

func measureEvery() []string {
	return []string{
		"--poll-interval=" + pollInterval.String(), "--rate-window=" + rateWindow.String(), "--in-flight-ramp=" + rateWindow.String(),
		"--max-age=30s",
	}
}

// put creates a pod on a worker that uses and, if it is not reclaimed, requests
// so many cores and GiB.
func (b *bench) put(t *testing.T, name, node string, cores, gib int, change ...func(*corev1.Pod)) *corev1.Pod {
	t.Helper()
	amount := corev1.ResourceList{
		corev1.ResourceCPU: *resource.NewQuantity(int64(cores), resource.DecimalSI), corev1.ResourceMemory: *resource.NewQuantity(int64(gib)<<30, resource.BinarySI),
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{names.AnnotationUsage: fmt.Sprintf("cpu=%d,memory=%dGi", cores, gib)}},
		Spec: corev1.PodSpec{
			NodeName: node, SchedulerName: names.Scheduler,
			Containers: []corev1.Container{{Name: "main", Image: "registry.invalid/x", Resources: corev1.ResourceRequirements{Requests: amount}}},
		},
	}
	for _, f := range change {
		f(pod)
	}
	pod, err := b.client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// lent makes a pod reclaimed.
func lent(pod *corev1.Pod) {
	pod.Labels = map[string]string{"kind": "lent"}
	pod.Spec.PriorityClassName = names.PriorityBatch
	pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
}

// elsewhere makes a pod another scheduler's.
func elsewhere(pod *corev1.Pod) { pod.Spec.SchedulerName = corev1.DefaultSchedulerName }

// use has a running pod use so many cores, whatever it declares.
func (b *bench) use(t *testing.T, pod, cores string) {
	t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"kwok.x-k8s.io/usage-cpu":%q}}}`, cores)
	if _, err := b.client.CoreV1().Pods(namespace).Patch(t.Context(), pod, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// left lists the pods of a worker that have not been told to end, by name.
func (b *bench) left(ctx context.Context, node string) ([]string, error) {
	pods, err := b.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String()})
	if err != nil {
		return nil, err
	}
	var left []string
	for i := range pods.Items {
		if pods.Items[i].DeletionTimestamp == nil {
			left = append(left, pods.Items[i].Name)
		}
	}
	slices.Sort(left)
	return left, nil
}

// wantLeft waits until these pods are left on a worker.
func (b *bench) wantLeft(t *testing.T, node string, want ...string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		left, err := b.left(ctx, node)
		if err == nil && !slices.Equal(left, want) {
			err = fmt.Errorf("on %s: %v, want %v", node, left, want)
		}
		return err
	})
}

// wantUtilization waits for the utilization of a pool, 0 to 1, within a 50th.
func (c *controller) wantUtilization(t *testing.T, pool, resource string, want float64) {
	t.Helper()
	c.wantSeries(t, "worker_manager_resource_utilization", map[string]string{"pool": pool, "resource": resource},
		func(m *dto.Metric) bool { return math.Abs(m.GetGauge().GetValue()-want) < 0.02 })
}

// settles waits until the utilization of the pool's CPU has been what it should
// be for as long as a sample can have to do with what was before.
func (c *controller) settles(t *testing.T, pool string, want float64) {
	t.Helper()
	const enough = rateWindow + 2*pollInterval
	since := time.Now()
	eventually(t, func(ctx context.Context) error {
		families, _, err := c.scrape(ctx, c.bench.token)
		if err != nil {
			return err
		}
		got := series(families, "worker_manager_resource_utilization", map[string]string{"pool": pool, "resource": "cpu"}).GetGauge().GetValue()
		if math.Abs(got-want) > 0.025 {
			since = time.Now()
		}
		if held := time.Since(since); held < enough {
			return fmt.Errorf("CPU of pool %s is %v, want %v; so for %v", pool, got, want, held)
		}
		return nil
	})
}

func (c *controller) wantValue(t *testing.T, name string, labels map[string]string, want float64) {
	t.Helper()
	c.wantSeries(t, name, labels, func(m *dto.Metric) bool { return m.GetGauge().GetValue()+m.GetCounter().GetValue() == want })
}

// counter is the value of a series; 0 if there is none.
func (c *controller) counter(t *testing.T, name string, labels map[string]string) float64 {
	t.Helper()
	families, _, err := c.scrape(t.Context(), c.bench.token)
	if err != nil {
		t.Fatal(err)
	}
	return series(families, name, labels).GetCounter().GetValue()
}

// reacts does something and returns how long it takes until the first
// pod of the worker is told to end.
func (b *bench) reacts(t *testing.T, node string, do func()) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	watcher, err := b.client.CoreV1().Pods(namespace).Watch(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	began := time.Now()
	do()
	for event := range watcher.ResultChan() {
		pod, ok := event.Object.(*corev1.Pod)
		if ok && (event.Type == watch.Deleted || pod.DeletionTimestamp != nil) {
			took := time.Since(began)
			t.Logf("%s was told to end %v later", pod.Name, took.Round(time.Millisecond))
			return took
		}
	}
	t.Fatalf("no pod of %s was told to end", node)
	return 0
}

func TestReclaim(t *testing.T) {
	b := start(t)
	if _, err := b.client.SchedulingV1().PriorityClasses().Create(t.Context(), &schedulingv1.PriorityClass{
		ObjectMeta: metav1.ObjectMeta{Name: names.PriorityBatch}, Value: -5}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Run("by requests", b.reclaimByRequests)
	t.Run("measured", b.reclaimMeasured)
}

// reclaimByRequests: nothing is measured.
func (b *bench) reclaimByRequests(t *testing.T) {
	b.node(t, "unmeasured", nil)
	// 20 requested and 8 lent of 28.8.
	b.put(t, "requested", "unmeasured", 20, 1)
	for i := range 4 {
		b.put(t, fmt.Sprintf("unmeasured-%d", i), "unmeasured", 2, 1, lent)
	}
	c := b.run(t)
	defer c.stop(t)
	c.wantValue(t, "auriga_reclaim_pods", nil, 4)
	b.put(t, "request-more", "unmeasured", 4, 1) // 3.2 too many
	eventually(t, func(ctx context.Context) error {
		left, err := b.left(ctx, "unmeasured")
		if err == nil && len(left) != 4 {
			err = fmt.Errorf("left: %v, want 4", left)
		}
		return err
	})
	c.wantValue(t, "auriga_reclaim_evictions_total", map[string]string{"resource": "cpu"}, 2)
	c.wantValue(t, "auriga_reclaim_pods", nil, 2)
	families, _, err := c.scrape(t.Context(), b.token)
	if err != nil {
		t.Fatal(err)
	}
	if m := series(families, "worker_manager_resource_utilization", nil); m != nil {
		t.Errorf("nothing is measured, and utilization is %v", m)
	}
}

// reclaimMeasured: requests would never make room, and measurements do.
func (b *bench) reclaimMeasured(t *testing.T) {
	b.node(t, "busy", map[string]string{names.LabelPool: "lent"})
	flags := append(measureEvery(), "--prometheus-address="+b.PrometheusURL())
	c := b.run(t, flags...)
	defer func() { c.stop(t) }()
	// 12 cores, and 16 lent, one after the other: 28 of 28.8, 16 of 64 GiB.
	b.put(t, "base", "busy", 12, 8)
	for i := range 8 {
		change := []func(*corev1.Pod){lent}
		if i == 0 {
			change = append(change, elsewhere)
		}
		b.put(t, fmt.Sprintf("lent-%d", i), "busy", 2, 1, change...)
	}
	c.wantUtilization(t, "lent", "cpu", 28.0/32)
	c.wantUtilization(t, "lent", "memory", 16.0/64)
	c.wantValue(t, "auriga_pool_unmeasured_nodes", map[string]string{"pool": "lent"}, 0)
	c.wantValue(t, "auriga_reclaim_pods", nil, 7+2) // two are left of the other test
	c.wantValue(t, "auriga_reclaim_evictions_total", map[string]string{"resource": "cpu"}, 0)

	t.Run("a job takes its room", func(t *testing.T) {
		// 31 predicted: 2.2 too many, which is two pods, the youngest by start, then name.
		took := b.reacts(t, "busy", func() { b.put(t, "job", "busy", 3, 1) })
		if took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		// It is over when samples have come that contain neither.
		c.settles(t, "lent", 27.0/32)
		c.wantUtilization(t, "lent", "memory", 15.0/64)
		c.wantValue(t, "auriga_reclaim_evictions_total", map[string]string{"resource": "cpu"}, 2)
		left, err := b.left(t.Context(), "busy")
		if err != nil {
			t.Fatal(err)
		}
		if len(left) != 8 || !slices.Contains(left, "base") || !slices.Contains(left, "job") || !slices.Contains(left, "lent-0") {
			t.Errorf("left: %v, want base, job, lent-0 and 5 others", left)
		}
		eventually(t, func(ctx context.Context) error {
			events, err := b.client.EventsV1().Events(namespace).List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			for i := range events.Items {
				if e := &events.Items[i]; e.Reason == "Reclaimed" && strings.Contains(e.Note, "node busy predicted cpu") {
					if !strings.HasSuffix(e.Note, "of 32 cores, ceiling 90 %: the pod gives back 2 cores") {
						t.Errorf("note: %s", e.Note)
					}
					return nil
				}
			}
			return fmt.Errorf("no event about it among %d", len(events.Items))
		})
	})
	t.Run("ordinary pods use more", func(t *testing.T) {
		// Nobody expected these 5 cores: 32 measured, two pods too many.
		took := b.reacts(t, "busy", func() { b.use(t, "base", "17") })
		if took > deadline/2 {
			t.Errorf("took %v", took)
		}
		c.settles(t, "lent", 28.0/32)
		c.wantValue(t, "auriga_reclaim_evictions_total", map[string]string{"resource": "cpu"}, 4)
	})
	t.Run("a new leader", func(t *testing.T) {
		c.stop(t)
		c = b.run(t, flags...)
		c.settles(t, "lent", 28.0/32)
		c.wantValue(t, "auriga_reclaim_evictions_total", map[string]string{"resource": "cpu"}, 0)
	})
	t.Run("a budget", func(t *testing.T) {
		none := intstr.FromInt32(0)
		budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "lent"}, Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: &none, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"guarded": "true"}}}}
		budgets := b.client.PolicyV1().PodDisruptionBudgets(namespace)
		if _, err := budgets.Create(t.Context(), budget, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		b.node(t, "guarded", nil)
		guarded := func(pod *corev1.Pod) { pod.Labels["guarded"] = "true" }
		b.put(t, "kept", "guarded", 6, 1, lent, guarded)
		eventually(t, func(ctx context.Context) error {
			current, err := budgets.Get(ctx, "lent", metav1.GetOptions{})
			if err == nil && current.Status.ObservedGeneration < current.Generation {
				err = fmt.Errorf("not observed: %+v", current.Status)
			}
			return err
		})
		b.put(t, "free", "guarded", 6, 1, lent)
		before := c.counter(t, "auriga_reclaim_blocked_total", map[string]string{"reason": "pdb"})
		b.put(t, "large", "guarded", 20, 1) // 32 predicted: 3.2 too many
		b.wantLeft(t, "guarded", "kept", "large")
		b.put(t, "more", "guarded", 5, 1) // 31, and nobody else
		c.wantSeries(t, "auriga_reclaim_blocked_total", map[string]string{"reason": "pdb"},
			func(m *dto.Metric) bool { return m.GetCounter().GetValue() > before })
		b.wantLeft(t, "guarded", "kept", "large", "more")
		// Without the budget it goes at the next look.
		if err := budgets.Delete(t.Context(), "lent", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		b.wantLeft(t, "guarded", "large", "more")
	})
}
