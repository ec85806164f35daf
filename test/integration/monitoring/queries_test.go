// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// queryDeadline bounds the time until every query has given data.
	queryDeadline = 4 * time.Minute
	// round is the time between two rounds of jobs and queries.
	round = 2 * time.Second
	// rateInterval is what Grafana would put for $__rate_interval, or more.
	rateInterval = "1m"
)

// needsPrometheusCapacity are metrics that no program exports yet, or how their
// names begin: now, none. A query with one of them may stay without data; take
// it off as soon as it is there.
var needsPrometheusCapacity []string

// check is a query that has to give data.
type check struct {
	name, query string
	variables   map[string]variable
	last        string // why it has not yet; "" if it has
}

// optional names the metric for which it may stay without data.
func (c *check) optional() string {
	query := c.query
	for name, v := range c.variables {
		if uses(c.query, name) {
			query += v.Definition
		}
	}
	for _, metric := range needsPrometheusCapacity {
		if strings.Contains(query, metric) {
			return metric
		}
	}
	return ""
}

func uses(query, variable string) bool {
	return regexp.MustCompile(`\$\{?` + variable + `\b`).MatchString(query)
}

// checks are the queries of all panels, all variables and all recording rules.
func checks(t *testing.T) []*check {
	t.Helper()
	var all []*check
	for name, d := range dashboards(t) {
		variables := map[string]variable{}
		for _, v := range d.Templating.List {
			if v.Type == "query" {
				variables[v.Name] = v
				all = append(all, &check{name: name + ": the variable " + v.Name, query: "$" + v.Name, variables: variables})
			}
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				all = append(all, &check{name: fmt.Sprintf("%s: %s (%s)", name, p.Title, target.RefID), query: target.Expr, variables: variables})
			}
		}
	}
	for _, r := range rules(t) {
		if r.Record == "" {
			continue
		}
		// What it evaluates to, and what was recorded of it.
		all = append(all, &check{name: "rule " + r.Record, query: r.Expr})
		selector := r.Record
		for label, value := range r.Labels {
			selector += fmt.Sprintf("{%s=%q}", label, value)
		}
		all = append(all, &check{name: "recorded " + selector, query: selector})
	}
	slices.SortFunc(all, func(a, b *check) int { return strings.Compare(a.name, b.name) })
	return all
}

// TestQueries: while jobs of two tenants run, every query of every dashboard and
// every recording rule gives numbers, and every rule can be evaluated.
func TestQueries(t *testing.T) {
	all := checks(t)
	if len(all) < 100 {
		t.Fatalf("%d queries found", len(all))
	}
	b := start(t)
	ctx := t.Context()
	err := wait.PollUntilContextTimeout(ctx, round, queryDeadline, true, func(ctx context.Context) (bool, error) {
		if err := b.submit(ctx); err != nil && ctx.Err() == nil {
			return false, err
		}
		done := true
		for _, c := range all {
			if c.last = b.ask(ctx, c); c.last != "" && c.optional() == "" {
				done = false
			}
		}
		return done, b.Err()
	})
	if err != nil {
		t.Errorf("after %d rounds of jobs: %v", b.rounds, err)
	}
	for _, c := range all {
		switch metric := c.optional(); {
		case c.last != "" && metric == "":
			t.Errorf("%s: %s\n%s", c.name, c.last, c.query)
		case c.last != "":
			t.Logf("needs %s, and has no data: %s: %s", metric, c.name, c.last)
		case metric != "":
			t.Logf("has data: take %s off needsPrometheusCapacity: %s", metric, c.name)
		}
	}
	b.checkRules(t)
}

// ask runs a query as Grafana would and says what is wrong with the answer.
func (b *bench) ask(ctx context.Context, c *check) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	query, err := b.interpolate(ctx, c.query, c.variables)
	if err != nil {
		return err.Error()
	}
	if strings.HasPrefix(c.query, "$") { // a variable
		return ""
	}
	answer, _, err := b.prom.Query(ctx, query, time.Now())
	if err != nil {
		return fmt.Sprintf("%v: %s", err, query)
	}
	vector, ok := answer.(model.Vector)
	if !ok || len(vector) == 0 {
		return "no data: " + query
	}
	for _, sample := range vector {
		if value := float64(sample.Value); math.IsNaN(value) || math.IsInf(value, 0) {
			return fmt.Sprintf("%s is %v: %s", sample.Metric, value, query)
		}
	}
	return ""
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// interpolate puts all values of a variable where it is used.
func (b *bench) interpolate(ctx context.Context, query string, variables map[string]variable) (string, error) {
	query = strings.ReplaceAll(query, "$__rate_interval", rateInterval)
	for name, v := range variables {
		if !uses(query, name) {
			continue
		}
		parts := labelValues.FindStringSubmatch(v.Definition)
		if parts == nil {
			return "", fmt.Errorf("variable %s: %q is not label_values(METRIC, LABEL)", name, v.Definition)
		}
		others := map[string]variable{}
		for other, w := range variables {
			if other != name {
				others[other] = w
			}
		}
		matcher, err := b.interpolate(ctx, parts[1], others)
		if err != nil {
			return "", err
		}
		found, _, err := b.prom.LabelValues(ctx, parts[2], []string{matcher}, time.Now().Add(-time.Hour), time.Now())
		if err != nil {
			return "", fmt.Errorf("variable %s: %w", name, err)
		}
		filter := regexp.MustCompile(strings.Trim(v.Regex, "/"))
		var values []string
		for _, value := range found {
			if filter.MatchString(string(value)) {
				values = append(values, regexp.QuoteMeta(string(value)))
			}
		}
		if len(values) == 0 {
			return "", fmt.Errorf("variable %s: none of %v", name, found)
		}
		joined := strings.ReplaceAll("("+strings.Join(values, "|")+")", `\`, `\\`)
		query = regexp.MustCompile(`\$(\{`+name+`\}|`+name+`\b)`).ReplaceAllLiteralString(query, joined)
	}
	return query, nil
}

// checkRules: Prometheus has evaluated all rules without an error, the metrics
// that alerts are about exist, and those that mean "nothing works" are silent.
func (b *bench) checkRules(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	loaded, err := b.prom.Rules(ctx)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, group := range loaded.Groups {
		for _, r := range group.Rules {
			n++
			switch r := r.(type) {
			case promv1.RecordingRule:
				if r.Health != promv1.RuleHealthGood {
					t.Errorf("rule %s: %s: %s", r.Name, r.Health, r.LastError)
				}
			case promv1.AlertingRule:
				if r.Health != promv1.RuleHealthGood {
					t.Errorf("alert %s: %s: %s", r.Name, r.Health, r.LastError)
				}
				if slices.Contains([]string{"AurigaDown", "AurigaNoLeader"}, r.Name) && r.State != string(promv1.AlertStateInactive) {
					t.Errorf("alert %s is %s", r.Name, r.State)
				}
			}
		}
	}
	if want := len(rules(t)); n != want {
		t.Errorf("Prometheus has %d rules, want %d", n, want)
	}

	metrics, _, err := b.prom.LabelValues(ctx, model.MetricNameLabel, nil, time.Now().Add(-time.Hour), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules(t) {
		for _, metric := range b.metricsOf(t, r.Expr) {
			if r.Alert == "" || slices.Contains(metrics, model.LabelValue(metric)) || slices.Contains(seldom, metric) ||
				slices.Contains(needsPrometheusCapacity, metric) {
				continue
			}
			t.Errorf("alert %s: nobody exports %s", r.Alert, metric)
		}
	}
}

// seldom are metrics that are there only after something rare has happened:
// too many traces open at once.
var seldom = []string{"auriga_traces_dropped_total"}

// metricsOf are the metrics that a query reads, as Prometheus itself parses it.
func (b *bench) metricsOf(t *testing.T, query string) []string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.PrometheusURL()+"/api/v1/parse_query?query="+url.QueryEscape(query), nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 10 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	var answer struct {
		Status string
		Data   any
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.Status != "success" {
		t.Fatalf("parse %s: %s, %v", query, answer.Status, err)
	}
	var found []string
	var walk func(any)
	walk = func(node any) {
		switch n := node.(type) {
		case []any:
			for _, child := range n {
				walk(child)
			}
		case map[string]any:
			if n["type"] == "vectorSelector" || n["type"] == "matrixSelector" {
				name, _ := n["name"].(string)
				found = append(found, name)
			}
			for _, child := range n {
				walk(child)
			}
		}
	}
	walk(answer.Data)
	if len(found) == 0 {
		t.Fatalf("no metric in %s", query)
	}
	return found
}
