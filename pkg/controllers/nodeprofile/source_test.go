// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package nodeprofile

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// answers is a Prometheus with an answer per query.
type answers map[string]model.Value

func (a answers) Query(_ context.Context, query string, _ time.Time, _ ...promv1.Option) (model.Value, promv1.Warnings, error) {
	if answer, ok := a[query]; ok {
		return answer, nil, nil
	}
	return nil, nil, errors.New("connection refused")
}

func sample(value float64, labels ...string) *model.Sample {
	metric := model.Metric{}
	for i := 0; i < len(labels); i += 2 {
		metric[model.LabelName(labels[i])] = model.LabelValue(labels[i+1])
	}
	return &model.Sample{Metric: metric, Value: model.SampleValue(value)}
}

func nodes() []corev1.Node {
	node := func(name, ip string) corev1.Node {
		return corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name},
			Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}}}}
	}
	return []corev1.Node{node("a", "10.0.0.1"), node("b", "fd00::2")}
}

func TestMatch(t *testing.T) {
	for name, test := range map[string]struct {
		labels []string
		want   string
	}{
		"node":                         {[]string{"node", "a"}, "a"},
		"nodename":                     {[]string{"nodename", "b"}, "b"},
		"instance is the name":         {[]string{"instance", "a"}, "a"},
		"instance is name and port":    {[]string{"instance", "a:9100"}, "a"},
		"instance is address and port": {[]string{"instance", "10.0.0.1:9100"}, "a"},
		"IPv6":                         {[]string{"instance", "[fd00::2]:9100"}, "b"},
		"node beats instance":          {[]string{"instance", "a:1", "node", "b"}, "b"},
		"nobody":                       {[]string{"instance", "10.0.0.9:9100"}, ""},
		"no label":                     {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := match(model.Vector{sample(1, test.labels...)}, nodes())
			if (test.want == "") != (len(got) == 0) || test.want != "" && len(got[test.want]) != 1 {
				t.Errorf("%v, want %q", got, test.want)
			}
		})
	}
}

func TestReadings(t *testing.T) {
	d := func(device, rotational string) *model.Sample {
		return sample(1, "device", device, "rotational", rotational)
	}
	for want, disks := range map[string][]*model.Sample{
		"nvme": {d("sda", "1"), d("nvme0n1", "0"), d("sdb", "0")},
		"ssd":  {d("sda", "0"), d("sdb", "1")},
		"hdd":  {d("sda", "1"), d("dm-0", "")},
		"":     {d("dm-0", ""), sample(1)},
	} {
		if got, ok := storageOf(disks); got != want || ok != (want != "") {
			t.Errorf("%v: %q, %v, want %q", disks, got, ok, want)
		}
	}
	for _, test := range []struct {
		samples []float64
		watts   float64
		ok      bool
	}{{nil, 0, false}, {[]float64{100, 50}, 150, true}, {[]float64{0}, 0, false}, {[]float64{-1}, -1, false}, {[]float64{math.Inf(1)}, math.Inf(1), false}} {
		var samples []*model.Sample
		for _, v := range test.samples {
			samples = append(samples, sample(v))
		}
		if got, ok := wattsOf(samples); got != test.watts || ok != test.ok {
			t.Errorf("%v: %v, %v", test.samples, got, ok)
		}
	}
	if _, ok := wattsOf([]*model.Sample{sample(math.NaN())}); ok {
		t.Error("NaN is a number of watts")
	}
}

// TestSource: what is known outlives a failure, and what is not known is not
// the same as what cannot be known now.
func TestSource(t *testing.T) {
	prometheus := answers{}
	source, err := NewSource(SourceConfig{Querier: prometheus, Interval: time.Minute, StorageQuery: "storage"})
	if err != nil {
		t.Fatal(err)
	}
	want := func(when string, a, b Signal[string]) {
		t.Helper()
		if diff := cmp.Diff([]Signal[string]{a, b}, []Signal[string]{source.Signals("a").Storage, source.Signals("b").Storage}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	nvme, unavailable, absent := Signal[string]{State: Known, Value: "nvme"}, Signal[string]{State: Unavailable}, Signal[string]{}
	ask := func() error { return source.refresh(t.Context(), nodes()) }

	want("not asked", unavailable, unavailable)
	if err := ask(); err == nil {
		t.Error("no error of a Prometheus that is down")
	}
	want("down", unavailable, unavailable)

	prometheus["storage"] = model.Vector{sample(1, "node", "a", "device", "nvme0n1")}
	if err := ask(); err != nil {
		t.Error(err)
	}
	want("up", nvme, absent)

	for name, answer := range map[string]model.Value{"matches nobody": model.Vector{sample(1, "node", "x", "device", "nvme0n1")}, "empty": model.Vector{}, "wrong type": &model.Scalar{}} {
		prometheus["storage"] = answer
		if err := ask(); err == nil {
			t.Errorf("%s: no error", name)
		} else if name == "matches nobody" && !strings.Contains(err.Error(), "match 0 of 2 workers") {
			t.Errorf("%s: %v", name, err)
		}
		want(name, nvme, unavailable)
	}
	delete(prometheus, "storage")
	if err := ask(); err == nil {
		t.Error("down: no error")
	}
	want("down again", nvme, unavailable)
	if got := testutil.ToFloat64(source.failures.WithLabelValues("storage")); got != 5 {
		t.Errorf("%v failures counted, want 5", got)
	}
	if got := source.Signals("a").PeakWatts; got.State != Absent {
		t.Errorf("no query, and yet %+v", got)
	}
}

func TestNewSource(t *testing.T) {
	if _, err := NewSource(SourceConfig{}); err == nil {
		t.Error("an interval of 0 is accepted")
	}
	source, err := NewSource(SourceConfig{Interval: time.Second, StorageQuery: "q"})
	if err != nil {
		t.Fatal(err)
	}
	source.Run(t.Context(), nil, nil) // it returns, for there is nobody to ask
	if got := source.Signals("a"); got != (Signals{}) {
		t.Errorf("%+v", got)
	}
}
