// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/version"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	benchmark "k8s.io/kubernetes/test/integration/scheduler_perf"

	_ "auriga.dev/auriga/pkg/apis/config/scheme" // scheduler_perf reads our plugins' arguments with it
	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/plugins"
)

// options are the benchmark's flags.
type options struct {
	workloads, sizes string
	pods, repeat     int
	config, report   string
	capacity         capacityOptions
}

// opts is filled by TestMain and only read after that: a benchmark cannot be
// given arguments in any other way.
var opts options

func (o *options) addFlags(fs *flag.FlagSet) {
	fs.StringVar(&o.workloads, "workloads", "^SchedulingBasic/|/1000Nodes_", "regular expression over workload names, such as TopologySpreading/1000Nodes_2000Pods; the default takes about 20 minutes on two cores, . (all) more than an hour")
	fs.StringVar(&o.sizes, "sizes", "500,1000,5000", "comma-separated numbers of nodes")
	fs.IntVar(&o.pods, "pods", 2000, "pods measured in each run")
	fs.IntVar(&o.repeat, "repeat", 3, "runs of each workload and side")
	fs.StringVar(&o.config, "config", "", "Auriga's KubeSchedulerConfiguration (default <repository>/config/scheduler.yaml)")
	fs.StringVar(&o.report, "report", "", "where the JSON report goes (default <repository>/out/bench/report.json)")
	o.capacity.addFlags(fs)
}

func TestMain(m *testing.M) {
	// scheduler_perf looks for a program called etcd and starts a new one for
	// every run. It finds a link to this binary.
	if filepath.Base(os.Args[0]) == "etcd" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if err := serveEtcd(ctx, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintf(os.Stderr, "test/perf: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

// runTests gives the tests a folder for everything they write besides the
// report, and removes it, also on Ctrl-C.
func runTests(m *testing.M) (code int, err error) {
	opts.addFlags(flag.CommandLine)
	if err := benchmark.InitTests(); err != nil {
		return 0, err
	}
	// One run is one measurement.
	if err := flag.Set("test.benchtime", "1x"); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "auriga-bench-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	if err := os.Symlink(self, filepath.Join(dir, "etcd")); err != nil {
		return 0, err
	}
	environment := map[string]string{
		"PATH":   dir + string(filepath.ListSeparator) + os.Getenv("PATH"),
		"TMPDIR": dir,
	}
	// scheduler_perf keeps the log of a run that failed in the folder ARTIFACTS.
	if os.Getenv("ARTIFACTS") == "" {
		environment["ARTIFACTS"] = dir
	}
	// Upstream's API server for tests looks for its own source. Compiled with
	// -trimpath it knows it relative to the module cache only, which these name.
	if _, file, _, ok := runtime.Caller(0); ok && !filepath.IsAbs(file) {
		_, kubernetes, _, err := modules()
		if err != nil {
			return 0, err
		}
		environment["TEST_SRCDIR"] = filepath.Dir(filepath.Dir(kubernetes))
		environment["TEST_WORKSPACE"] = "."
	}
	for key, value := range environment {
		if err := os.Setenv(key, value); err != nil {
			return 0, err
		}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s := <-signals
		fmt.Fprintf(os.Stderr, "test/perf: %v, stopping\n", s)
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintf(os.Stderr, "test/perf: %v\n", err)
		}
		os.Exit(130)
	}()
	return m.Run(), nil
}

// BenchmarkSchedulers compares the stock profile with Auriga's. Its standard
// output is Go's benchmark format (for benchstat -col /side -ignore /run);
// progress, the table and what went wrong go to standard error.
func BenchmarkSchedulers(b *testing.B) {
	if err := compare(b, opts, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "test/perf: %v\n", err)
		b.FailNow()
	}
}

// compare runs the selected workloads and writes the report and the table.
func compare(b *testing.B, o options, out io.Writer) error {
	dir := b.TempDir()
	p, err := newPlan(o, dir)
	if err != nil {
		return err
	}
	r := runner{dir: dir, runs: 2 * o.repeat * len(p.workloads), out: out}
	for _, w := range p.workloads {
		var stock, auriga []sample
		for repetition := 1; repetition <= o.repeat; repetition++ {
			s, err := r.run(b, w, p.stock, repetition)
			if err != nil {
				return err
			}
			a, err := r.run(b, w, p.auriga, repetition)
			if err != nil {
				return err
			}
			stock, auriga = append(stock, s), append(auriga, a)
		}
		p.report.Workloads = append(p.report.Workloads, newRow(w.id(), w.nodes, w.pods, stock, auriga))
		p.report.Acceptance = accept(p.report.Workloads)
		// An interrupted benchmark keeps the workloads that it has finished.
		if err := p.report.writeFile(p.path); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "\n%s\nReport: %s\n", p.report.table(), p.path)
	return err
}

// plan is what the options come to.
type plan struct {
	workloads     []workload
	stock, auriga side
	report        Report // without workloads
	path          string // of the report
}

// side is one of the two that are compared; no config means the stock profile.
type side struct {
	name, config string
	registry     frameworkruntime.Registry
}

// newPlan writes Auriga's profile to dir.
func newPlan(o options, dir string) (plan, error) {
	if o.repeat < 1 || o.pods < 1 {
		return plan{}, fmt.Errorf("-repeat=%d -pods=%d: want at least 1 of each", o.repeat, o.pods)
	}
	root, kubernetes, kubernetesVersion, err := modules()
	if err != nil {
		return plan{}, err
	}
	if o.config == "" {
		o.config = filepath.Join(root, "config", "scheduler.yaml")
	}
	if o.report == "" {
		o.report = filepath.Join(root, "out", "bench", "report.json")
	}
	workloads, err := selectWorkloads(kubernetes, o)
	if err != nil {
		return plan{}, err
	}
	config, err := os.ReadFile(o.config)
	if err != nil {
		return plan{}, fmt.Errorf("read Auriga's profile: %w", err)
	}
	profile, err := defaultProfile(config, names.Scheduler)
	if err != nil {
		return plan{}, fmt.Errorf("%s: %w", o.config, err)
	}
	path := filepath.Join(dir, "scheduler.yaml")
	if err := os.WriteFile(path, profile, 0o600); err != nil {
		return plan{}, err
	}
	// In the report the path should mean something on other machines, too.
	if relative, err := filepath.Rel(root, o.config); err == nil && filepath.IsLocal(relative) {
		o.config = relative
	}
	return plan{
		workloads: workloads,
		stock:     side{name: "stock"},
		auriga:    side{name: "auriga", config: path, registry: plugins.Registry()},
		path:      o.report,
		report: Report{
			Machine:  thisMachine(),
			Versions: theseVersions(kubernetesVersion),
			Method: Method{
				ClientQPS: ClientQPS, ClientBurst: ClientQPS, Repetitions: o.repeat,
				FeatureGates: featureGates(), Config: o.config,
			},
		},
	}, nil
}

func thisMachine() Machine {
	return Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU()}
}

func theseVersions(kubernetes string) Versions {
	return Versions{Go: runtime.Version(), Kubernetes: kubernetes, Etcd: "v" + version.Version}
}

// modules says where this module and the Kubernetes source are.
func modules() (root, kubernetes, kubernetesVersion string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}\t{{.Version}}", "auriga.dev/auriga", "k8s.io/kubernetes")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", "", "", fmt.Errorf("go list -m: %w; run the benchmark inside the repository, with go in PATH", err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != 2 {
		return "", "", "", fmt.Errorf("go list -m: want two lines, got %q", out)
	}
	root, _, _ = strings.Cut(lines[0], "\t")
	kubernetes, kubernetesVersion, _ = strings.Cut(lines[1], "\t")
	if root == "" || kubernetes == "" {
		return "", "", "", fmt.Errorf("go list -m: a module has no folder; run `go mod download` first: %q", out)
	}
	return root, kubernetes, kubernetesVersion, nil
}

// selectWorkloads reads the workloads in the order of -sizes.
func selectWorkloads(kubernetes string, o options) ([]workload, error) {
	selected, err := regexp.Compile(o.workloads)
	if err != nil {
		return nil, fmt.Errorf("-workloads: %w", err)
	}
	var sizes []int
	for _, size := range strings.Split(o.sizes, ",") {
		nodes, err := strconv.Atoi(strings.TrimSpace(size))
		if err != nil || nodes < 1 {
			return nil, fmt.Errorf("-sizes=%s: %q is not a number of nodes", o.sizes, size)
		}
		sizes = append(sizes, nodes)
	}
	var workloads []workload
	for _, nodes := range sizes {
		for _, tc := range testCases() {
			w, err := loadWorkload(kubernetes, tc, nodes, o.pods)
			if err != nil {
				return nil, err
			}
			if selected.MatchString(w.id()) {
				workloads = append(workloads, w)
			}
		}
	}
	if len(workloads) == 0 {
		return nil, fmt.Errorf("-workloads=%s -sizes=%s selects nothing", o.workloads, o.sizes)
	}
	return workloads, nil
}

// runner makes single runs.
type runner struct {
	dir        string
	done, runs int
	out        io.Writer
}

// run schedules one workload with one side. It fails if a pod is not placed.
func (r *runner) run(b *testing.B, w workload, s side, repetition int) (sample, error) {
	id := fmt.Sprintf("%s-%s-%d", strings.ReplaceAll(w.id(), "/", "-"), s.name, repetition)
	dir := filepath.Join(r.dir, id)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return sample{}, err
	}
	config, err := w.config(s.config)
	if err != nil {
		return sample{}, err
	}
	file := filepath.Join(dir, "workload.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return sample{}, err
	}
	if err := flag.Set("data-items-dir", dir); err != nil {
		return sample{}, err
	}
	// The last run's garbage is not this run's.
	debug.FreeOSMemory()
	start := time.Now()
	ok := true
	// A CPU profile of the whole benchmark can be split by this label
	// (go tool pprof -tagfocus side=auriga); all goroutines inherit it.
	pprof.Do(context.Background(), pprof.Labels("side", s.name), func(context.Context) {
		ok = b.Run(fmt.Sprintf("run=%d/side=%s", repetition, s.name), func(b *testing.B) {
			benchmark.RunBenchmarkPerfScheduling(b, file, id, s.registry)
		})
	})
	r.done++
	if !ok {
		return sample{}, fmt.Errorf("%s, %s: scheduler_perf failed; standard output has the reason, and the folder ARTIFACTS, if you set it, the scheduler's log", w.id(), s.name)
	}
	results, err := filepath.Glob(filepath.Join(dir, "*_benchmark_"+id+"_*.json"))
	if err != nil || len(results) != 1 {
		return sample{}, fmt.Errorf("%s, %s: want one result file in %s, got %v (%w)", w.id(), s.name, dir, results, err)
	}
	data, err := os.ReadFile(results[0])
	if err != nil {
		return sample{}, err
	}
	result, err := readSample(data)
	if err != nil {
		return sample{}, fmt.Errorf("%s, %s: %w", w.id(), s.name, err)
	}
	_, err = fmt.Fprintf(r.out, "[%*d/%d] %-48s run %d  %-6s %6.0f pods/s  (%.0f s)\n", len(strconv.Itoa(r.runs)), r.done, r.runs,
		w.id(), repetition, s.name, result.podsPerSecond, time.Since(start).Seconds())
	return result, err
}

// TestBenchSmoke runs the benchmark as a user would, on a small cluster.
func TestBenchSmoke(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "report.json")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-test.run=^$", "-test.bench=^BenchmarkSchedulers$",
		"-workloads=^SchedulingBasic/", "-sizes=100", "-pods=2000", "-repeat=1", "-report="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("benchmark: %v\n%s", err, out)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var report Report
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Workloads) != 1 {
		t.Fatalf("report has %d workloads, want 1:\n%s", len(report.Workloads), data)
	}
	row := report.Workloads[0]
	if row.Name != "SchedulingBasic/100Nodes_2000Pods" || row.Nodes != 100 || row.Pods != 2000 {
		t.Errorf("row is %s with %d nodes and %d pods", row.Name, row.Nodes, row.Pods)
	}
	// One short run a side differs by a factor of three on a busy machine. What
	// this must find is a profile that has become slow beyond any noise.
	if row.Ratio < 0.1 {
		t.Errorf("Auriga places %.0f pods/s where stock places %.0f", row.AurigaPodsPerSecond, row.StockPodsPerSecond)
	}
	for name, side := range map[string]Side{"stock": row.Stock, "auriga": row.Auriga} {
		if len(side.PodsPerSecond.Runs) != 1 || side.AttemptSeconds.P50 <= 0 || side.AttemptSeconds.P99 < side.AttemptSeconds.P50 {
			t.Errorf("%s: %+v", name, side)
		}
	}
	if report.Acceptance != nil {
		t.Errorf("the promise for %d nodes is judged without them: %+v", AcceptanceNodes, report.Acceptance)
	}
}
