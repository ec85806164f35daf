// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/trace"
)

const (
	// workloadLabel marks every pod that the demo submits.
	workloadLabel = "auriga.dev/demo"
	// podsPerWorker is more than any workload puts on one.
	podsPerWorker = 250
	// image is never pulled: the workers' kubelets are simulated.
	image = "registry.k8s.io/pause:3.10"
	// defaultNamespace has the pods that are for the stock scheduler.
	defaultNamespace = metav1.NamespaceDefault
	// foreignDuration is how long a pod for the stock scheduler runs.
	foreignDuration = 15 * time.Second
	// creators is how many requests are under way at once.
	creators = 16
)

// workerNode is the simulated worker for a node of the workload.
func workerNode(n trace.Node) *corev1.Node {
	allocatable := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(n.CPUMilli, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(n.MemoryBytes, resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(podsPerWorker, resource.DecimalSI),
	}
	labels := map[string]string{
		corev1.LabelHostname:   n.Name,
		corev1.LabelArchStable: "amd64",
		corev1.LabelOSStable:   "linux",
	}
	if n.Zone != "" {
		labels[corev1.LabelTopologyZone] = n.Zone
	}
	if n.GPUs > 0 {
		allocatable[gpuResource] = *resource.NewQuantity(n.GPUs, resource.DecimalSI)
		labels[names.LabelGPUModel] = n.GPUModel
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        n.Name,
			Labels:      labels,
			Annotations: map[string]string{names.AnnotationSimulatedWorker: names.SimulatedWorker},
		},
		Status: corev1.NodeStatus{Allocatable: allocatable, Capacity: maps.Clone(allocatable)},
	}
}

// What a job really uses of its request lies evenly between these shares.
const (
	leastUsed = 0.2
	mostUsed  = 0.6
)

// usage declares what the job's pod really uses of CPU and memory. The same seed
// and name, the same usage.
func usage(j trace.Job, seed uint64) string {
	name := fnv.New64a()
	_, _ = name.Write([]byte(j.Name)) // never fails
	random := rand.New(rand.NewPCG(seed, name.Sum64()))
	part := func(of int64) int64 {
		return int64(float64(of) * (leastUsed + (mostUsed-leastUsed)*random.Float64()))
	}
	return fmt.Sprintf("cpu=%dm,memory=%dMi", part(j.CPUMilli), part(j.MemoryBytes)>>20)
}

// workloadJob is the batch Job for a job of the workload, in its tenant's namespace.
func workloadJob(j trace.Job, seed uint64) *batchv1.Job {
	requests := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(j.CPUMilli, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(j.MemoryBytes, resource.BinarySI),
	}
	var limits corev1.ResourceList
	if j.GPUs > 0 {
		// Kubernetes wants extended resources to be limited to what is requested.
		limits = corev1.ResourceList{gpuResource: *resource.NewQuantity(j.GPUs, resource.DecimalSI)}
		requests[gpuResource] = limits[gpuResource]
	}
	labels := map[string]string{workloadLabel: "job", names.LabelTenant: j.Tenant}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: j.Tenant, Name: j.Name, Labels: labels},
		Spec: batchv1.JobSpec{
			BackoffLimit: ptr.To[int32](0),
			// A pod that gave way to another is not the job's failure.
			PodFailurePolicy: &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
				Action: batchv1.PodFailurePolicyActionIgnore,
				OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{
					Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
				}},
			}}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{
					Labels: labels,
					Annotations: map[string]string{
						names.AnnotationRunDuration: j.Duration.String(),
						names.AnnotationUsage:       usage(j, seed),
					},
				},
				Spec: corev1.PodSpec{
					SchedulerName:                names.Scheduler,
					PriorityClassName:            j.Priority,
					RestartPolicy:                corev1.RestartPolicyNever,
					AutomountServiceAccountToken: ptr.To(false),
					Affinity:                     modelAffinity(j.GPUModels),
					Containers: []corev1.Container{{
						Name:      "task",
						Image:     image,
						Resources: corev1.ResourceRequirements{Requests: requests, Limits: limits},
					}},
				},
			},
		},
	}
}

// modelAffinity asks for one of the GPU models; none asks for nothing.
func modelAffinity(models []string) *corev1.Affinity {
	if len(models) == 0 {
		return nil
	}
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{
					Key: names.LabelGPUModel, Operator: corev1.NodeSelectorOpIn, Values: models,
				}},
			}},
		},
	}}
}

// foreignPod is a pod for the stock scheduler.
func foreignPod(i int) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: defaultNamespace,
			Name:      fmt.Sprintf("foreign-%03d", i),
			Labels:    map[string]string{workloadLabel: "foreign"},
			// They end, or each would keep a worker from the jobs that need all of it.
			Annotations: map[string]string{names.AnnotationRunDuration: foreignDuration.String()},
		},
		Spec: corev1.PodSpec{
			RestartPolicy:                corev1.RestartPolicyNever,
			AutomountServiceAccountToken: ptr.To(false),
			Containers: []corev1.Container{{
				Name:  "task",
				Image: image,
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
					corev1.ResourceCPU:    resource.MustParse("100m"),
					corev1.ResourceMemory: resource.MustParse("64Mi"),
				}},
			}},
		},
	}
}

// createAll creates objects several at a time and stops at the first error.
func createAll[T any](ctx context.Context, objects []T, create func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	workqueue.ParallelizeUntil(ctx, creators, len(objects), func(i int) {
		if err := create(ctx, objects[i]); err != nil {
			cancel(err)
		}
	})
	return context.Cause(ctx)
}

// createTenants creates the namespaces that the jobs are in.
func createTenants(ctx context.Context, client kubernetes.Interface, jobs []trace.Job) error {
	tenants := map[string]bool{}
	for _, j := range jobs {
		tenants[j.Tenant] = true
	}
	return createAll(ctx, slices.Sorted(maps.Keys(tenants)), func(ctx context.Context, tenant string) error {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: tenant}}
		_, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create the namespace of tenant %s: %w", tenant, err)
		}
		return nil
	})
}

// createWorkers creates the simulated workers.
func createWorkers(ctx context.Context, client kubernetes.Interface, nodes []trace.Node) error {
	return createAll(ctx, nodes, func(ctx context.Context, n trace.Node) error {
		if _, err := client.CoreV1().Nodes().Create(ctx, workerNode(n), metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create worker %s: %w", n.Name, err)
		}
		return nil
	})
}

// createForeign creates the pods for the stock scheduler.
func createForeign(ctx context.Context, client kubernetes.Interface, n int) error {
	pods := make([]*corev1.Pod, n)
	for i := range pods {
		pods[i] = foreignPod(i)
	}
	return createAll(ctx, pods, func(ctx context.Context, pod *corev1.Pod) error {
		if _, err := client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create pod %s for the stock scheduler: %w", pod.Name, err)
		}
		return nil
	})
}

// submit creates the jobs, each when it arrives, and stops at the first error.
// The jobs are in the order of their arrival. The seed is that of their usage.
func submit(ctx context.Context, client kubernetes.Interface, jobs []trace.Job, seed uint64) error {
	start := time.Now()
	return createAll(ctx, jobs, func(ctx context.Context, j trace.Job) error {
		arrival := time.NewTimer(time.Until(start.Add(j.Arrival)))
		defer arrival.Stop()
		select {
		case <-arrival.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if _, err := client.BatchV1().Jobs(j.Tenant).Create(ctx, workloadJob(j, seed), metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("submit job %s: %w", j.Name, err)
		}
		return nil
	})
}
