// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package workerselection

import (
	"context"
	"slices"
	"strings"

	"github.com/distribution/reference"
	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"auriga.dev/auriga/pkg/apis/config"
	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/score"
)

// newLocalityAware makes the strategy LocalityAware. Nodes report whole images
// (the kubelet the 50 largest, by default), not layers, so layers that two
// images share are not seen.
func newLocalityAware(handle fwk.Handle, args *config.WorkerSelectionArgs) (strategy, error) {
	weights := *args.Locality
	return strategy{
		prepare: func(_ context.Context, pod *v1.Pod, _ []fwk.NodeInfo) (scorer, *fwk.Status) {
			all, err := handle.SnapshotSharedLister().NodeInfos().List()
			if err != nil {
				return nil, fwk.AsStatus(err)
			}
			p := podLocality{zone: pod.Annotations[names.AnnotationLocalityZone]}
			p.imageWeight, p.zoneWeight = weights.ImageWeight, weights.ZoneWeight
			if p.zone == "" {
				p.zoneWeight = 0
			}
			if p.imageWeight > 0 {
				p.images, p.total = known(imagesOf(pod), all)
			}
			if p.zoneWeight == 0 && p.total == 0 {
				return nil, fwk.NewStatus(fwk.Skip)
			}
			return func(_ context.Context, worker fwk.NodeInfo) int64 { return p.score(worker) }, nil
		},
		sign: func(pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
			return []fwk.SignFragment{
				{Key: signKey("images"), Value: imagesOf(pod)},
				{Key: signKey("zone"), Value: pod.Annotations[names.AnnotationLocalityZone]},
			}, nil
		},
	}, nil
}

// podLocality is what LocalityAware knows about one pod.
type podLocality struct {
	zone                    string
	images                  []image
	total                   int64 // bytes of all images
	imageWeight, zoneWeight int64
}

// image is one image of the pod whose size is known.
type image struct {
	reported []string // see reportedNames
	bytes    int64
}

func (p *podLocality) score(worker fwk.NodeInfo) int64 {
	var present int64
	if len(p.images) > 0 {
		states := worker.GetImageStates()
		for i := range p.images {
			if find(states, p.images[i].reported) != nil {
				present += p.images[i].bytes
			}
		}
	}
	inZone := p.zoneWeight > 0 && worker.Node().Labels[v1.LabelTopologyZone] == p.zone
	return score.Locality(present, p.total, p.imageWeight, inZone, p.zoneWeight)
}

// imagesOf lists the distinct images that the pod's node must have, sorted:
// of its containers, init containers and image volumes.
func imagesOf(pod *v1.Pod) []string {
	var images []string
	for i := range pod.Spec.InitContainers {
		images = append(images, pod.Spec.InitContainers[i].Image)
	}
	for i := range pod.Spec.Containers {
		images = append(images, pod.Spec.Containers[i].Image)
	}
	for i := range pod.Spec.Volumes {
		if v := pod.Spec.Volumes[i].Image; v != nil {
			images = append(images, v.Reference)
		}
	}
	slices.Sort(images)
	return slices.Compact(images)
}

// known finds the images' sizes on the nodes that hold them, and their sum. An
// image that is on no node has no known size and is left out; it makes no
// difference between nodes.
func known(wanted []string, nodes []fwk.NodeInfo) (images []image, total int64) {
	for _, name := range wanted {
		reported := reportedNames(name)
		for _, node := range nodes {
			if state := find(node.GetImageStates(), reported); state != nil && state.Size > 0 {
				images = append(images, image{reported, state.Size})
				total += state.Size
				break
			}
		}
	}
	return images, total
}

func find(states map[string]*fwk.ImageStateSummary, reported []string) *fwk.ImageStateSummary {
	for _, name := range reported {
		if state, ok := states[name]; ok {
			return state
		}
	}
	return nil
}

// reportedNames are the names under which a node may report the image: with
// the implied registry, repository and tag, as containerd and CRI-O do
// (docker.io/library/busybox:latest), and as written, with the implied tag only.
func reportedNames(image string) []string {
	if image == "" {
		return nil
	}
	written := image
	if !strings.Contains(image, "@") && strings.LastIndex(image, ":") <= strings.LastIndex(image, "/") {
		written += ":latest"
	}
	full, err := reference.ParseDockerRef(image)
	if err != nil || full.String() == written {
		// Not a name by the book; the kubelet will say so if it cannot pull it.
		return []string{written}
	}
	return []string{full.String(), written}
}
