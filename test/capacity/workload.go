// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"auriga.dev/auriga/pkg/apis/names"
)

// Config says what is measured.
type Config struct {
	// Workers is how many there are, Cores and MemoryGiB how large each is.
	Workers   int     `json:"workers"`
	Cores     float64 `json:"cores"`
	MemoryGiB int64   `json:"memoryGiB"`
	Seed      uint64  `json:"seed"`
	// CeilingPercent is the CPU ceiling, that of config/scheduler.yaml.
	CeilingPercent int64 `json:"ceilingPercent"`
	// ScrapeSeconds is the sampling interval, of Prometheus as of the scheduler;
	// WindowScrapes is over how many a rate is taken. A pod is in flight as long.
	ScrapeSeconds int `json:"scrapeSeconds"`
	WindowScrapes int `json:"windowScrapes"`
	// RequestedShare of the CPUs is filled with ordinary pods. Each uses between
	// UseMin and UseMax of its request, the same share of CPU and of memory.
	RequestedShare float64 `json:"requestedShare"`
	UseMin         float64 `json:"useMin"`
	UseMax         float64 `json:"useMax"`
	// BacklogShare is what the reclaimed pods would use together if all ran, a
	// share of the cluster's CPUs.
	BacklogShare float64 `json:"backlogShare"`
	// SurgeShare of the workers have an ordinary pod replaced in phase C, by one
	// that uses SurgeUse of its request.
	SurgeShare float64 `json:"surgeShare"`
	SurgeUse   float64 `json:"surgeUse"`
}

// DefaultConfig is the experiment for a number of workers.
func DefaultConfig(workers, scrapeSeconds int, seed uint64) Config {
	return Config{
		Workers: workers, Cores: 16, MemoryGiB: 64, Seed: seed, CeilingPercent: 90,
		ScrapeSeconds: scrapeSeconds, WindowScrapes: 4,
		RequestedShare: 0.95, UseMin: 0.2, UseMax: 0.6,
		BacklogShare: 0.8, SurgeShare: 0.25, SurgeUse: 0.95,
	}
}

// Interval is the sampling interval.
func (c Config) Interval() time.Duration { return time.Duration(c.ScrapeSeconds) * time.Second }

// Window is over which time a rate is taken.
func (c Config) Window() time.Duration { return time.Duration(c.WindowScrapes) * c.Interval() }

// Ceiling is how many cores of a worker may be in use.
func (c Config) Ceiling() float64 { return c.Cores * float64(c.CeilingPercent) / 100 }

const (
	namespace = metav1.NamespaceDefault
	// labelKind says what a pod of the experiment is.
	labelKind = "auriga.dev/bench"
	ordinary  = "ordinary"
	reclaimed = "reclaimed"
	// gibPerRequestedCore is the memory that ordinary pods request, gibPerUsedCore
	// what reclaimed pods use: the CPU is to be the scarce resource.
	gibPerRequestedCore, gibPerUsedCore = 3, 2
)

func amount(cores float64) string { return fmt.Sprintf("%dm", int64(cores*1000+0.5)) }

func bytes(gib float64) string { return fmt.Sprintf("%dMi", int64(gib*1024+0.5)) }

func (c Config) nodes() []*corev1.Node {
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(amount(c.Cores)), corev1.ResourceMemory: resource.MustParse(fmt.Sprintf("%dGi", c.MemoryGiB)),
		corev1.ResourcePods: resource.MustParse("110"),
	}
	var nodes []*corev1.Node
	for i := range c.Workers {
		nodes = append(nodes, &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{
				Name:        fmt.Sprintf("worker-%03d", i),
				Annotations: map[string]string{names.AnnotationSimulatedWorker: names.SimulatedWorker},
			},
			Status: corev1.NodeStatus{Capacity: room, Allocatable: room},
		})
	}
	return nodes
}

// ordinaryPod requests cores, and uses a share of it.
func ordinaryPod(name string, cores, share float64) *corev1.Pod {
	p := pod(name, ordinary, names.PriorityMedium, cores*share, cores*share*gibPerRequestedCore)
	p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse(amount(cores)),
		corev1.ResourceMemory: resource.MustParse(bytes(cores * gibPerRequestedCore)),
	}
	return p
}

func pod(name, kind, class string, useCores, useGiB float64) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{labelKind: kind},
			Annotations: map[string]string{names.AnnotationUsage: "cpu=" + amount(useCores) + ",memory=" + bytes(useGiB)},
		},
		Spec: corev1.PodSpec{
			SchedulerName: names.Scheduler, PriorityClassName: class, RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{{Name: "main", Image: "registry.invalid/x"}},
		},
	}
}

// onWorker has the scheduler place a pod on one worker only.
func onWorker(p *corev1.Pod, worker string) *corev1.Pod {
	p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{
			{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{worker}},
		}}},
	}}}
	return p
}

// ordinaryPods fill the workers' requests: each worker's share is cut into pods
// of different sizes, so that all fit somewhere; the largest come first, as a
// cluster that is as full as this has been filled with care.
func (c Config) ordinaryPods() []*corev1.Pod {
	random := rand.New(rand.NewPCG(c.Seed, 1))
	sizes := []float64{1, 1.5, 2, 3, 4}
	var cores []float64
	for range c.Workers {
		for left := c.Cores * c.RequestedShare; left > 0.05; {
			size := min(sizes[random.IntN(len(sizes))], left)
			cores = append(cores, size)
			left -= size
		}
	}
	slices.SortFunc(cores, func(a, b float64) int { return int(1000 * (b - a)) })
	var pods []*corev1.Pod
	for i, size := range cores {
		share := c.UseMin + (c.UseMax-c.UseMin)*random.Float64()
		pods = append(pods, ordinaryPod(fmt.Sprintf("ordinary-%04d", i), size, share))
	}
	return pods
}

// reclaimedPods are the backlog: each uses 0.5 to 2 cores.
func (c Config) reclaimedPods() []*corev1.Pod {
	random := rand.New(rand.NewPCG(c.Seed, 2))
	var pods []*corev1.Pod
	for sum := 0.0; sum < float64(c.Workers)*c.Cores*c.BacklogShare; {
		cores := float64(5+random.IntN(16)) / 10
		pods = append(pods, pod(fmt.Sprintf("reclaimed-%04d", len(pods)), reclaimed, names.PriorityBatch, cores, cores*gibPerUsedCore))
		sum += cores
	}
	return pods
}
