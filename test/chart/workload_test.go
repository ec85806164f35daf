// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"

	"auriga.dev/auriga/pkg/apis/names"
)

// workload is work for one scheduler.
type workload struct {
	*cluster
	namespace string
	scheduler string
}

// pod creates a pod of the given CPU, changed by the functions.
func (w workload) pod(t *testing.T, name, cpu string, change ...func(*corev1.Pod)) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.namespace},
		Spec: corev1.PodSpec{
			SchedulerName:                 w.scheduler,
			TerminationGracePeriodSeconds: ptr.To(int64(0)),
			Containers: []corev1.Container{{
				Name: "c", Image: "none",
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}},
			}},
		},
	}
	for _, f := range change {
		f(pod)
	}
	if _, err := w.client.CoreV1().Pods(w.namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// bound waits until a pod has a worker.
func (w workload) bound(t *testing.T, name string) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		pod, err := w.client.CoreV1().Pods(w.namespace).Get(ctx, name, metav1.GetOptions{})
		if err == nil && pod.Spec.NodeName == "" {
			err = fmt.Errorf("pod %s is not bound: %+v", name, pod.Status.Conditions)
		}
		return err
	})
}

// preemption needs a pod to make room for a more important one.
func (w workload) preemption(t *testing.T) {
	t.Helper()
	on := func(class string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			pod.Spec.PriorityClassName = class
			pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: "worker-b"}
		}
	}
	w.pod(t, "patient", "20", on(names.PriorityLow))
	w.bound(t, "patient")
	w.pod(t, "urgent", "20", on(names.PriorityCritical))
	w.bound(t, "urgent")
}

// volumes needs a volume to be bound and another to be provisioned.
func (w workload) volumes(t *testing.T) {
	t.Helper()
	claim := func(name, class string) func(*corev1.Pod) {
		object := &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.namespace},
			Spec: corev1.PersistentVolumeClaimSpec{
				StorageClassName: &class, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
			},
		}
		if _, err := w.client.CoreV1().PersistentVolumeClaims(w.namespace).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		return func(pod *corev1.Pod) {
			pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: name}}}}
		}
	}
	for class, provisioner := range map[string]string{"static": "kubernetes.io/no-provisioner", "dynamic": "example.com/absent"} {
		object := &storagev1.StorageClass{
			ObjectMeta: metav1.ObjectMeta{Name: class}, Provisioner: provisioner,
			VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
		}
		if _, err := w.client.StorageV1().StorageClasses().Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "disk"},
		Spec: corev1.PersistentVolumeSpec{
			StorageClassName: "static", AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Capacity:               corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/none"}},
		},
	}
	if _, err := w.client.CoreV1().PersistentVolumes().Create(t.Context(), volume, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	w.pod(t, "with-volume", "100m", claim("static", "static"))
	w.bound(t, "with-volume")

	// Nobody provisions it, so the pod waits; what counts is that the scheduler
	// has chosen a worker for it.
	w.pod(t, "with-new-volume", "100m", claim("dynamic", "dynamic"))
	eventually(t, func(ctx context.Context) error {
		got, err := w.client.CoreV1().PersistentVolumeClaims(w.namespace).Get(ctx, "dynamic", metav1.GetOptions{})
		if err == nil && got.Annotations["volume.kubernetes.io/selected-node"] == "" {
			err = fmt.Errorf("claim %s has no worker: %v", got.Name, got.Annotations)
		}
		return err
	})
}

// devices needs a device to be allocated.
func (w workload) devices(t *testing.T) {
	t.Helper()
	const driver, name = "gpu.example.com", "gpu"
	resources := w.client.ResourceV1()
	if _, err := resources.DeviceClasses().Create(t.Context(), &resourcev1.DeviceClass{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: resourcev1.DeviceClassSpec{Selectors: []resourcev1.DeviceSelector{{
			CEL: &resourcev1.CELDeviceSelector{Expression: `device.driver == "` + driver + `"`}}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := resources.ResourceSlices().Create(t.Context(), &resourcev1.ResourceSlice{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: resourcev1.ResourceSliceSpec{
			Driver: driver, NodeName: ptr.To("worker-a"),
			Pool:    resourcev1.ResourcePool{Name: "worker-a", ResourceSliceCount: 1},
			Devices: []resourcev1.Device{{Name: "gpu-0"}},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := resources.ResourceClaims(w.namespace).Create(t.Context(), &resourcev1.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.namespace},
		Spec: resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{
			Name: name, Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: name}}}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.pod(t, "with-device", "100m", func(pod *corev1.Pod) {
		pod.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: name, ResourceClaimName: ptr.To(name)}}
		pod.Spec.Containers[0].Resources.Claims = []corev1.ResourceClaim{{Name: name}}
	})
	w.bound(t, "with-device")
}

// gang runs the samples: a quota, a group, and pods for it.
func (w workload) gang(t *testing.T) {
	t.Helper()
	for _, sample := range []string{"quota.yaml", "gang.yaml"} {
		data, err := os.ReadFile(filepath.Join(samples, sample))
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range parse(t, string(data)) {
			object.SetNamespace(w.namespace)
			if object.GetKind() == "Job" {
				if err := unstructured.SetNestedField(object.Object, w.scheduler, "spec", "template", "spec", "schedulerName"); err != nil {
					t.Fatal(err)
				}
			}
			// A definition that was just installed is served a moment later.
			eventually(t, func(ctx context.Context) error {
				c := w.cluster
				c.mapper.Reset()
				return c.apply(ctx, object)
			})
		}
	}
	eventually(t, func(ctx context.Context) error {
		pods, err := w.client.CoreV1().Pods(w.namespace).List(ctx, metav1.ListOptions{LabelSelector: "scheduling.x-k8s.io/pod-group=training"})
		if err != nil {
			return err
		}
		bound := 0
		var waiting []corev1.PodCondition
		for _, pod := range pods.Items {
			if pod.Spec.NodeName != "" {
				bound++
			} else {
				waiting = append(waiting, pod.Status.Conditions...)
			}
		}
		if bound != 4 {
			return fmt.Errorf("%d of 4 members are bound, %+v", bound, waiting)
		}
		return nil
	})
}
