// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e runs what a user runs, on real parts, and looks at what a user
// sees: the demo, and the commands of the README.
package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/demo"
	"auriga.dev/auriga/test/fixtures"
)

// demoTimeout is many times what these small demos take.
const demoTimeout = 6 * time.Minute

// demoRun is a demo that runs in a temporary folder of its own.
type demoRun struct {
	*exec.Cmd
	tmp, out string
}

func newDemo(t *testing.T, args ...string) demoRun {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), demoTimeout)
	t.Cleanup(cancel)
	r := demoRun{tmp: t.TempDir(), out: t.TempDir()}
	r.Cmd = exec.CommandContext(ctx, fixtures.Binary(t, "auriga-local"), append([]string{"demo", "--out=" + r.out}, args...)...)
	r.Dir = fixtures.Root(t)
	r.Env = append(os.Environ(), "TMPDIR="+r.tmp)
	return r
}

// nothingLeft checks that no process and no file of the demo is left.
func (r demoRun) nothingLeft(t *testing.T) {
	t.Helper()
	if left := fixtures.Processes(t, r.tmp); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	entries, err := os.ReadDir(r.tmp)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) > 0 {
		t.Errorf("files are left in the temporary folder: %v", entries)
	}
}

func (r demoRun) report(t *testing.T) demo.Report {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.out, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report demo.Report
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatal(err)
	}
	return report
}

func TestDemo(t *testing.T) {
	r := newDemo(t, "--nodes=60", "--jobs=120", "--seed=3", "--rate=20", "--foreign-pods=5")
	output, err := r.CombinedOutput()
	if err != nil {
		t.Fatalf("demo: %v\n%s", err, output)
	}
	r.nothingLeft(t)

	report := r.report(t)
	if report.Nodes != 60 || report.Pods != 120 || report.Scheduled != 120 || report.Failed != 0 || report.SuccessRate != 1 {
		t.Errorf("report: %d nodes, %d pods, %d scheduled, %d failed, success rate %v; want all 120 on 60 nodes\n%s",
			report.Nodes, report.Pods, report.Scheduled, report.Failed, report.SuccessRate, output)
	}
	if report.DefaultSchedulerPods != (demo.Placed{Submitted: 5, Scheduled: 5}) {
		t.Errorf("the stock scheduler's pods: %+v, want 5 of 5", report.DefaultSchedulerPods)
	}
	for name, value := range map[string]float64{
		"podsPerSecond":           report.PodsPerSecond,
		"queueWaitSeconds.mean":   report.QueueWaitSeconds.Mean,
		"attemptSeconds.p99":      report.AttemptSeconds.P99,
		"algorithmSeconds.p99":    report.AlgorithmSeconds.P99,
		"phaseSeconds.filter.p99": report.PhaseSeconds.Filter.P99,
		"phaseSeconds.score.p99":  report.PhaseSeconds.Score.P99,
		"phaseSeconds.bind.p99":   report.PhaseSeconds.Bind.P99,
		"utilization.cpu":         report.Utilization.CPU,
		"utilization.memory":      report.Utilization.Memory,
	} {
		if value <= 0 {
			t.Errorf("%s is %v, want more than 0", name, value)
		}
	}
	if report.Utilization.CPU > report.PeakUtilization.CPU || report.PeakUtilization.CPU > 1 {
		t.Errorf("cpu: mean %v, peak %v; want mean <= peak <= 1", report.Utilization.CPU, report.PeakUtilization.CPU)
	}
	measured := report.Measured
	if measured.Samples == 0 || measured.Errors > 0 || len(measured.Workers) != 60 {
		t.Errorf("measured: %d samples, %d errors (%s), %d workers; want samples of all 60 workers and no error",
			measured.Samples, measured.Errors, measured.LastError, len(measured.Workers))
	}
	for name, use := range map[string]demo.ResourceUse{"cpu": measured.CPU, "memory": measured.Memory} {
		if use.MeasuredMean <= 0 || use.MeasuredMean >= use.RequestedMean || use.MeasuredPeak < use.MeasuredMean || use.RequestedPeak > 1 {
			t.Errorf("measured %s: %+v; want 0 < measured mean < requested mean, measured mean <= peak, requested peak <= 1", name, use)
		}
	}
	page, err := os.ReadFile(filepath.Join(r.out, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CPU requested per worker", "CPU measured per worker", "Memory requested per worker", "Memory measured per worker"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks the map %q", want)
		}
	}
	var byTenant, byPriority int
	for _, g := range report.ByTenant {
		byTenant += g.Pods
	}
	for _, g := range report.ByPriority {
		byPriority += g.Pods
	}
	if byTenant != 120 || byPriority != 120 {
		t.Errorf("pods by tenant add up to %d, by priority to %d, want 120", byTenant, byPriority)
	}
	for _, want := range []string{"Auriga scheduled 120 of 120 pods on 60 workers", names.PriorityCritical, "nothing was forbidden", "auriga-controller is beside it", "as Prometheus measured it"} {
		if !strings.Contains(string(output), want) {
			t.Errorf("the output lacks %q:\n%s", want, output)
		}
	}
}

// writeTrace writes a made-up trace in openb's format: four workers, two of
// them with GPUs, and pods of every kind.
func writeTrace(t *testing.T, pods []string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, lines ...string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("openb_node_list_gpu_node.csv",
		"sn,cpu_milli,memory_mib,gpu,model",
		"node-0,8000,32768,0,",
		"node-1,8000,32768,0,",
		"node-2,32000,65536,2,T4",
		"node-3,32000,65536,4,V100")
	write("openb_pod_list_default.csv", pods...)
	return dir
}

const podColumns = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time"

func TestDemoOfTrace(t *testing.T) {
	dir := writeTrace(t, []string{
		podColumns,
		"pod-0,4000,8192,0,0,,LS,Succeeded,0,600,0",
		"pod-1,4000,8192,1,500,,BE,Succeeded,10,700,12",
		"pod-2,4000,8192,1,1000,V100,LS,Succeeded,20,800,21",
		"pod-3,4000,8192,1,1000,T4|V100,Burstable,Succeeded,30,5000,31",
	})
	r := newDemo(t, "--trace="+dir, "--nodes=4", "--jobs=4", "--duration=6s", "--foreign-pods=1")
	output, err := r.CombinedOutput()
	if err != nil {
		t.Fatalf("demo: %v\n%s", err, output)
	}
	r.nothingLeft(t)
	report := r.report(t)
	if report.Workload.Source != "openb" || report.Nodes != 4 || report.Pods != 4 || report.Scheduled != 4 || report.Failed != 0 {
		t.Errorf("report = %+v, want the trace's 4 pods on its 4 nodes\n%s", report, output)
	}
	if report.Utilization.GPU <= 0 {
		t.Errorf("GPUs were not used: %+v", report.Utilization)
	}
}

// What is wrong with a trace is said before anything is started.
func TestDemoOfBadTrace(t *testing.T) {
	for name, tc := range map[string]struct {
		pods []string
		want []string
	}{
		"negative CPU":   {[]string{podColumns, "pod-0,-1,8192,0,0,,LS,Succeeded,0,600,0"}, []string{"openb_pod_list_default.csv", "cpu_milli", "-1"}},
		"missing column": {[]string{strings.Replace(podColumns, ",num_gpu", "", 1), "pod-0,1,8192,0,,LS,Succeeded,0,600,0"}, []string{"openb_pod_list_default.csv", "num_gpu"}},
		"fits nowhere":   {[]string{podColumns, "pod-0,4000,8192,8,1000,,LS,Succeeded,0,600,0"}, []string{"fit on none of the 4 workers", "pod-0"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newDemo(t, "--trace="+writeTrace(t, tc.pods), "--nodes=4", "--jobs=4")
			output, err := r.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("demo: %v, want exit status 1", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(string(output), want) {
					t.Errorf("the output lacks %q:\n%s", want, output)
				}
			}
			if strings.Contains(string(output), "start the control plane") {
				t.Errorf("the control plane was started all the same:\n%s", output)
			}
			r.nothingLeft(t)
		})
	}
}

// Ctrl-C at any stage leaves no process and no file.
func TestDemoInterrupted(t *testing.T) {
	for _, stage := range []string{"2/8", "3/8", "4/8", "5/8", "6/8", "jobs done"} {
		t.Run(strings.ReplaceAll(stage, "/", " of "), func(t *testing.T) {
			r := newDemo(t, "--nodes=40", "--jobs=400", "--rate=10", "--foreign-pods=1")
			output, err := r.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var messages strings.Builder
			r.Stderr = &messages
			r.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := r.Start(); err != nil {
				t.Fatal(err)
			}
			reached, err := interruptAt(r.Process, output, stage)
			if err != nil {
				t.Fatalf("%v\n%s", err, reached)
			}
			err = r.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("demo: %v, want exit status 1\n%s%s", err, reached, messages.String())
			}
			if !strings.Contains(messages.String(), "interrupt signal received") {
				t.Errorf("it does not say that it was interrupted: %s", messages.String())
			}
			r.nothingLeft(t)
		})
	}
}

// interruptAt sends Ctrl-C's signal when a line of the output has the text, to
// the whole process group as a terminal does, and returns all of the output.
func interruptAt(process *os.Process, output io.Reader, text string) (string, error) {
	var all strings.Builder
	interrupted := false
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		fmt.Fprintln(&all, lines.Text())
		if !interrupted && strings.Contains(lines.Text(), text) {
			interrupted = true
			if err := syscall.Kill(-process.Pid, syscall.SIGINT); err != nil {
				return all.String(), err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return all.String(), err
	}
	if !interrupted {
		return all.String(), fmt.Errorf("the output never had %q", text)
	}
	return all.String(), nil
}
