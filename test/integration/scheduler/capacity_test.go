// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package scheduler

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"auriga.dev/auriga/pkg/apis/names"
)

// answer writes what Prometheus, or what is in its place, answers to a query.
type answer func(w http.ResponseWriter, r *http.Request)

// unreliable is a Prometheus that behaves as it was told last.
type unreliable struct {
	now   atomic.Pointer[answer]
	polls atomic.Int64 // since it was told
}

func (u *unreliable) be(a answer) {
	u.now.Store(&a)
	u.polls.Store(0)
}

func (u *unreliable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.FormValue("query"), "node_cpu_seconds_total") {
		u.polls.Add(1)
	}
	(*u.now.Load())(w, r)
}

// awaitPoll waits for a poll that began and ended since u was told how to be:
// one poll at a time, so the third begins after the second has ended.
func (u *unreliable) awaitPoll(t *testing.T) {
	t.Helper()
	eventually(t, "a whole poll", func(context.Context) (bool, error) { return u.polls.Load() >= 3, nil })
}

// using is a Prometheus by which the workers use so many cores each. The age
// and the memory are there, all else is not measured.
func using(cores ...float64) answer {
	return func(w http.ResponseWriter, r *http.Request) {
		query := r.FormValue("query")
		value := func(i int) float64 { return cores[i] }
		switch {
		case strings.Contains(query, "timestamp("):
			value = func(int) float64 { return 0 }
		case strings.Contains(query, "node_cpu_seconds_total"):
		case strings.Contains(query, "node_memory_MemAvailable_bytes"):
			value = func(int) float64 { return 1 << 20 }
		default:
			value = nil
		}
		var series []string
		for i := range cores {
			if value != nil {
				series = append(series, fmt.Sprintf(`{"metric":{"instance":"worker-%d"},"value":[1700000000,"%g"]}`, i, value(i)))
			}
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[%s]}}`, strings.Join(series, ",")) // the scheduler may be gone
	}
}

// broken are the ways in which Prometheus fails. What the server cannot write
// any more is no failure of the test.
func broken() map[string]answer {
	return map[string]answer{
		"cuts the connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"hangs":               func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"status 500": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "out of memory", http.StatusInternalServerError)
		},
		"status 422": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = fmt.Fprint(w, `{"status":"error","errorType":"execution","error":"query processing would load too many samples"}`)
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<html>Please log in</html>") },
		"200 MB": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			chunk := []byte(strings.Repeat(" ", 1<<20))
			for range 200 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
	}
}

// Whatever Prometheus does, pods are scheduled: by measurements as long as there
// are any, else by requests; what happened is said in events; and when it is
// well again, so are the decisions, without a restart.
func TestPrometheusFails(t *testing.T) {
	client, kubeconfig := startCluster(t)
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: names.Namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	prometheus := &unreliable{}
	prometheus.be(broken()["cuts the connection"]) // down at the start
	server := httptest.NewServer(prometheus)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	startScheduler(t, kubeconfig, fmt.Sprintf(`
profiles:
- schedulerName: auriga
  plugins:
    multiPoint: {enabled: [{name: RealCapacity, weight: 100}]}
    preScore: {disabled: [{name: NodeResourcesFit}]}
    score: {disabled: [{name: NodeResourcesFit}]}
  pluginConfig:
  - name: RealCapacity
    args:
      prometheus: {address: %q, pollInterval: 1s, queryTimeout: 500ms}
      maxAge: 3s
      inFlight: {ramp: 0s}
`, server.URL))

	pods := 0
	bind := func(t *testing.T, want string) {
		t.Helper()
		pods++
		name := fmt.Sprintf("pod-%d", pods)
		createPod(t, client, name, nil)
		if got := boundTo(t, client, name); want != "" && got != want {
			t.Errorf("%s is on %s, want %s", name, got, want)
		}
	}
	bind(t, "") // by requests
	awaitEvent(t, client, "CapacityUnavailable")

	recovers := func(t *testing.T) {
		t.Helper()
		prometheus.be(using(4, 4, 0.5)) // of 4 cores each: only the last is not hot
		prometheus.awaitPoll(t)
		bind(t, "worker-2")
	}
	recovers(t)
	awaitEvent(t, client, "CapacityRestored")
	for name, how := range broken() {
		t.Run(name, func(t *testing.T) {
			prometheus.be(how)
			prometheus.awaitPoll(t)
			bind(t, "")
			recovers(t)
		})
	}

	t.Run("all hot, then one cools down", func(t *testing.T) {
		prometheus.be(using(4, 4, 4))
		eventually(t, "a pod waits because the workers are hot", func(ctx context.Context) (bool, error) {
			pods++
			name := fmt.Sprintf("pod-%d", pods)
			createPod(t, client, name, nil)
			hot := false
			eventually(t, name+" is judged", func(ctx context.Context) (bool, error) {
				p, err := client.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{})
				if err != nil {
					return false, err
				}
				for _, c := range p.Status.Conditions {
					hot = hot || strings.Contains(c.Message, "would use more than 90 % of their cpu")
				}
				return hot || p.Spec.NodeName != "", nil
			})
			return hot, nil
		})
		prometheus.be(using(4, 0.5, 4))
		if got := boundTo(t, client, fmt.Sprintf("pod-%d", pods)); got != "worker-1" {
			t.Errorf("the pod is on %s, want worker-1, which cooled down", got)
		}
	})
}

// boundTo waits until a pod is bound.
func boundTo(t *testing.T, client kubernetes.Interface, name string) (node string) {
	t.Helper()
	eventually(t, name+" is bound", func(ctx context.Context) (bool, error) {
		p, err := client.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			node = p.Spec.NodeName
		}
		return node != "", err
	})
	return node
}

// awaitEvent waits for an event of a reason about the scheduler's Lease.
func awaitEvent(t *testing.T, client kubernetes.Interface, reason string) {
	t.Helper()
	eventually(t, "event "+reason, func(ctx context.Context) (bool, error) {
		events, err := client.EventsV1().Events(names.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		return slices.ContainsFunc(events.Items, func(e eventsv1.Event) bool {
			return e.Reason == reason && e.Regarding.Name == names.Lease
		}), nil
	})
}
