// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package nodeprofile

import (
	"fmt"
	"math"
	"net"
	"strings"

	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
)

// The queries by default. One query answers for all workers. Each reaches back
// so far that an exporter that restarts loses nothing.
const (
	// DefaultStorageQuery returns a series per disk with the labels device
	// ("nvme0n1", "sda") and rotational ("0" or "1"; node_exporter 1.8 and newer).
	DefaultStorageQuery = `last_over_time(node_disk_info[1h])`
	// DefaultPowerQuery returns watts per worker: the highest five minutes of a
	// day, from the processors' own energy counters (RAPL).
	DefaultPowerQuery = `max_over_time(sum without (index, path) (rate(node_rapl_package_joules_total[5m]))[1d:5m])`
)

// nodeLabels are the labels of a series that may name the worker, best first.
var nodeLabels = [...]model.LabelName{"node", "nodename", "kubernetes_node", "instance"}

// match assigns the series of an answer to workers, by the worker's name or one
// of its addresses. Series of nobody are left out.
func match(vector model.Vector, nodes []corev1.Node) map[string][]*model.Sample {
	names := make(map[string]string, 3*len(nodes))
	for i := range nodes {
		for _, address := range nodes[i].Status.Addresses {
			names[address.Address] = nodes[i].Name
		}
	}
	for i := range nodes {
		names[nodes[i].Name] = nodes[i].Name // a name beats somebody's address
	}
	matched := map[string][]*model.Sample{}
	for _, sample := range vector {
		for _, label := range nodeLabels {
			value := string(sample.Metric[label])
			node, ok := names[value]
			if host, _, err := net.SplitHostPort(value); !ok && err == nil {
				node, ok = names[host]
			}
			if ok {
				matched[node] = append(matched[node], sample)
				break
			}
		}
	}
	return matched
}

// storageOf is the fastest kind among a worker's disks, false if no disk says.
func storageOf(disks []*model.Sample) (string, bool) {
	speed := map[string]int{StorageHDD: 1, StorageSSD: 2, StorageNVMe: 3}
	fastest := ""
	for _, disk := range disks {
		kind := ""
		switch {
		case strings.HasPrefix(string(disk.Metric["device"]), "nvme"):
			kind = StorageNVMe
		case disk.Metric["rotational"] == "0":
			kind = StorageSSD
		case disk.Metric["rotational"] == "1":
			kind = StorageHDD
		}
		if speed[kind] > speed[fastest] {
			fastest = kind
		}
	}
	return fastest, fastest != ""
}

// wattsOf adds a worker's series up, false if there is no positive number.
func wattsOf(samples []*model.Sample) (float64, bool) {
	sum := 0.0
	for _, sample := range samples {
		sum += float64(sample.Value)
	}
	return sum, sum > 0 && !math.IsInf(sum, 0)
}

// vectorOf is an answer as a vector; other types are a mistake in the query.
func vectorOf(value model.Value) (model.Vector, error) {
	vector, ok := value.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("the query returns a %s: it must return an instant vector with a series per worker", value.Type())
	}
	return vector, nil
}
