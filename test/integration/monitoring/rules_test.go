// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"auriga.dev/auriga/test/fixtures"
)

func TestRules(t *testing.T) {
	promtool := fixtures.Binary(t, "tools/promtool")
	run(t, promtool, append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, files(t, "rules/*.yaml")...)...)
	cases, err := filepath.Glob("testdata/*.test.yaml")
	if err != nil || len(cases) == 0 {
		t.Fatalf("%d files of cases, %v", len(cases), err)
	}
	run(t, promtool, append([]string{"test", "rules"}, cases...)...)
}

// TestAlerts: who is woken by one learns what it means and what to do, and each
// has cases in which it fires.
func TestAlerts(t *testing.T) {
	cases, err := os.ReadFile("testdata/alerts.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	alerts := 0
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		alerts++
		if !strings.HasPrefix(r.Alert, "Auriga") {
			t.Errorf("%s: an alert's name is the whole cluster's: begin it with Auriga", r.Alert)
		}
		if r.For == "" {
			t.Errorf("%s fires at once: say for how long", r.Alert)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
		}
		for _, name := range []string{"summary", "description", "runbook"} {
			if len(r.Annotations[name]) < 20 {
				t.Errorf("%s: %s: %q", r.Alert, name, r.Annotations[name])
			}
		}
		fires := strings.Contains(string(cases), `- {labels: 'ALERTS{alertname="`+r.Alert+`"`) ||
			strings.Contains(string(cases), "- alertname: "+r.Alert+"\n")
		if !fires {
			t.Errorf("%s: no case in testdata in which it fires", r.Alert)
		}
	}
	if alerts < 10 {
		t.Errorf("%d alerts found", alerts)
	}
}
