// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"auriga.dev/auriga/pkg/capacity"
)

// fakePrometheus answers each query by name, as its test says. The queries of a
// test's Config are the names themselves.
type fakePrometheus struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]http.HandlerFunc
	asked   map[string]int
	sawTime bool
}

func newFakePrometheus(tb testing.TB) *fakePrometheus {
	tb.Helper()
	f := &fakePrometheus{answers: map[string]http.HandlerFunc{}, asked: map[string]int{}}
	f.Server = httptest.NewServer(f)
	tb.Cleanup(f.Close)
	return f
}

func (f *fakePrometheus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/v1/query" {
		http.NotFound(w, r)
		return
	}
	query := r.FormValue("query")
	f.mu.Lock()
	f.asked[query]++
	f.sawTime = f.sawTime || r.Form.Has("time")
	h, ok := f.answers[query]
	if !ok {
		h = f.answers["*"]
	}
	f.mu.Unlock()
	if h == nil {
		h = vector()
	}
	h(w, r)
}

// set says what a query is answered; "*" is any other.
func (f *fakePrometheus) set(query string, h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[query] = h
}

func (f *fakePrometheus) count(query string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[query]
}

// series is a sample: labels as in PromQL, and a value as in JSON.
type series struct{ labels, value string }

func on(node string, value float64) series {
	return series{fmt.Sprintf(`instance=%q`, node), strconv.FormatFloat(value, 'g', -1, 64)}
}

// vector answers an instant vector.
func vector(samples ...series) http.HandlerFunc {
	var b strings.Builder
	b.WriteString(`{"status":"success","data":{"resultType":"vector","result":[`)
	for i, s := range samples {
		if i > 0 {
			b.WriteByte(',')
		}
		metric := ""
		for j, pair := range strings.Split(s.labels, ",") {
			if name, value, ok := strings.Cut(pair, "="); ok {
				if j > 0 {
					metric += ","
				}
				metric += fmt.Sprintf("%q:%s", name, value)
			}
		}
		fmt.Fprintf(&b, `{"metric":{%s},"value":[1700000000.123,%q]}`, metric, s.value)
	}
	b.WriteString(`]}}`)
	return text(http.StatusOK, b.String())
}

// evaluatedAt is the answer of an evaluation so long after the others'.
func evaluatedAt(offset time.Duration, samples ...series) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		recorded := httptest.NewRecorder()
		vector(samples...)(recorded, r)
		at := fmt.Sprintf("[%.3f", 1700000000.123+offset.Seconds())
		_, _ = w.Write([]byte(strings.ReplaceAll(recorded.Body.String(), "[1700000000.123", at)))
	}
}

func text(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// named is a Config whose queries are names, for fakePrometheus.
func named(address string, resources ...capacity.Resource) Config {
	c := Config{Address: address, Queries: map[capacity.Resource]string{}, History: History{Interval: 1 << 40}}
	for r := range capacity.NumResources {
		c.Queries[r] = ""
	}
	for _, r := range resources {
		c.Queries[r] = r.String()
	}
	age := "age"
	c.AgeQuery = &age
	return c
}
