// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package openb

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/trace"
	"auriga.dev/auriga/pkg/trace/internal/table"
)

// The tenants that jobs are given to; see the package comment.
const (
	TenantCPU   = "cpu-only"
	TenantShare = "gpu-share"
	TenantWhole = "gpu-whole"
)

// DefaultPods is the pod list of the trace itself; the others are variations.
const DefaultPods = "default"

// Options choose what to read.
type Options struct {
	// Nodes and Jobs limit the workload to the first workers of the file and to
	// the first jobs by creation. 0 means all; more than there are means all of
	// them, which Result tells.
	Nodes, Jobs int
	// Pods names the pod list: X of openb_pod_list_X.csv. Empty means
	// DefaultPods.
	Pods string
}

// Result is a workload and where it comes from.
type Result struct {
	trace.Workload
	// NodeFile and PodFile are the files read.
	NodeFile, PodFile string
	// NodesInFile and JobsInFile count what the files hold.
	NodesInFile, JobsInFile int
	// Notes tell a person what differs from what was asked for or from the
	// files; empty if nothing does.
	Notes []string
}

// Limits on single values: far above any machine's, and low enough that no sum
// or product of them overflows.
const (
	mostCPUMilli  = 1_000_000_000
	mostMemoryMiB = 1 << 30
	mostGPUs      = 1024
	mostSeconds   = 3_000_000_000 // 95 years
)

// Read reads the trace in dir: the folder that holds the csv files, or the one
// that holds this folder under the name csv. Of each file the plain one
// (.csv) is taken, else the compressed (.csv.gz).
func Read(dir string, opts Options) (*Result, error) { return readFS(os.DirFS(dir), dir, opts) }

func readFS(fsys fs.FS, dir string, opts Options) (*Result, error) {
	if opts.Nodes < 0 || opts.Jobs < 0 {
		return nil, fmt.Errorf("read the openb trace: Nodes is %d and Jobs is %d, want 0 (all) or more", opts.Nodes, opts.Jobs)
	}
	if opts.Pods == "" {
		opts.Pods = DefaultPods
	}
	nodeFile, err := find(fsys, dir, "openb_node_list_gpu_node")
	if err != nil {
		return nil, err
	}
	podFile, err := find(fsys, dir, "openb_pod_list_"+opts.Pods)
	if err != nil {
		return nil, err
	}
	nodes, err := readNodes(nodeFile)
	if err != nil {
		return nil, err
	}
	jobs, err := readPods(podFile)
	if err != nil {
		return nil, err
	}

	r := &Result{NodeFile: nodeFile.Shown, PodFile: podFile.Shown, NodesInFile: len(nodes), JobsInFile: len(jobs)}
	r.Nodes = first(nodes, opts.Nodes, "nodes", nodeFile.Shown, &r.Notes)
	r.Jobs = first(jobs, opts.Jobs, "jobs", podFile.Shown, &r.Notes)
	start := r.Jobs[0].Arrival
	for i := range r.Jobs {
		r.Jobs[i].Arrival -= start
	}
	return r, nil
}

// first returns the first n, all if n is 0 or larger than what is there; the
// latter is noted.
func first[T any](all []T, n int, what, file string, notes *[]string) []T {
	switch {
	case n == 0:
		return all
	case n > len(all):
		*notes = append(*notes, fmt.Sprintf("%d %s were asked for, %s has %d: all of them are used", n, what, file, len(all)))
		return all
	default:
		return all[:n]
	}
}

// find locates one file of the trace.
func find(fsys fs.FS, dir, name string) (table.Source, error) {
	var tried []string
	for _, folder := range []string{"csv", "."} {
		for _, suffix := range []string{".csv", ".csv.gz"} {
			p := path.Join(folder, name+suffix)
			shown := filepath.Join(dir, p)
			_, err := fs.Stat(fsys, p)
			if err == nil {
				return table.Source{FS: fsys, Name: p, Shown: shown, Comma: ','}, nil
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return table.Source{}, &trace.InputError{File: shown, Problem: "cannot be read", Want: "a readable file", Err: err}
			}
			tried = append(tried, shown)
		}
	}
	return table.Source{}, &trace.InputError{
		File: dir, Problem: fmt.Sprintf("no file %s of the openb trace in this folder", name),
		Want: "one of " + strings.Join(tried, ", "), Err: fs.ErrNotExist,
	}
}

// Names of Kubernetes objects and values of their labels. The rules are
// restated because apimachinery's validation brings klog with it, which pure
// packages do without.
var (
	objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	labelValue = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`)
)

const mostNameBytes = 63

// unique checks that a name has not been seen, and that a Kubernetes object can
// carry it.
type unique map[string]int

func (seen unique) check(r *table.Row, column string) string {
	name := r.Text(column)
	if len(name) > mostNameBytes || !objectName.MatchString(name) {
		r.Fail(column, "not accepted", "a name of lower-case letters, digits and '-' inside, at most 63 bytes")
		return name
	}
	if line, twice := seen[name]; twice {
		r.Fail(column, fmt.Sprintf("the name is already on line %d", line), "each name once")
		return name
	}
	seen[name] = r.Line()
	return name
}

func readNodes(src table.Source) ([]trace.Node, error) {
	var nodes []trace.Node
	seen := unique{}
	err := table.Read(src, []string{"sn", "cpu_milli", "memory_mib", "gpu", "model"}, func(r *table.Row) error {
		n := trace.Node{
			Name:        seen.check(r, "sn"),
			CPUMilli:    r.Int("cpu_milli", 1, mostCPUMilli),
			MemoryBytes: r.Int("memory_mib", 1, mostMemoryMiB) << 20,
			GPUs:        r.Int("gpu", 0, mostGPUs),
			GPUModel:    r.Text("model"),
		}
		if n.GPUs > 0 && !isModel(n.GPUModel) {
			r.Fail("model", "not the name of a GPU model", wantModel)
		}
		if n.GPUs == 0 && n.GPUModel != "" {
			r.Fail("model", "a model, but gpu is 0", "an empty value, or gpu 1 or more")
		}
		nodes = append(nodes, n)
		return r.Err()
	})
	if err != nil {
		return nil, err
	}
	if len(nodes) == 0 {
		return nil, empty(src)
	}
	return nodes, nil
}

const wantModel = "a value that a node label can have: letters, digits, '-', '_' and '.', at most 63 bytes"

func isModel(s string) bool { return len(s) <= mostNameBytes && labelValue.MatchString(s) }

func empty(src table.Source) error {
	return &trace.InputError{File: src.Shown, Problem: "there is only a header", Want: "at least one line after it"}
}

// readPods returns the pods in the order of their creation, those of the same
// second in the order of the file. Arrivals are in the trace's time.
func readPods(src table.Source) ([]trace.Job, error) {
	var jobs []trace.Job
	started := map[int]int64{} // of the pods that run to the end, by index
	var end int64
	seen := unique{}
	columns := []string{
		"name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec", "qos",
		"creation_time", "deletion_time", "scheduled_time",
	}
	err := table.Read(src, columns, func(r *table.Row) error {
		j := trace.Job{
			Name:        seen.check(r, "name"),
			CPUMilli:    r.Int("cpu_milli", 0, mostCPUMilli),
			MemoryBytes: r.Int("memory_mib", 0, mostMemoryMiB) << 20,
		}
		readGPUs(r, &j)
		readClass(r, &j)
		t := readTimes(r)
		j.Arrival = time.Duration(t.created) * time.Second
		if t.deleted == 0 {
			started[len(jobs)] = t.started
		}
		j.Duration = time.Duration(max(1, t.deleted-t.started)) * time.Second
		end = max(end, t.started, t.deleted)
		jobs = append(jobs, j)
		return r.Err()
	})
	if err != nil {
		return nil, err
	}
	if len(jobs) == 0 {
		return nil, empty(src)
	}
	for i, s := range started {
		jobs[i].Duration = time.Duration(max(1, end-s)) * time.Second
	}
	slices.SortStableFunc(jobs, func(a, b trace.Job) int { return cmp.Compare(a.Arrival, b.Arrival) })
	return jobs, nil
}

// readGPUs reads the three columns on GPUs, which must agree.
func readGPUs(r *table.Row, j *trace.Job) {
	j.GPUs = r.Int("num_gpu", 0, mostGPUs)
	j.GPUMilli = r.Int("gpu_milli", 0, trace.WholeGPU)
	if r.Err() != nil {
		return
	}
	switch {
	case j.GPUs == 0 && j.GPUMilli != 0:
		r.Fail("gpu_milli", "num_gpu is 0", "0, or num_gpu 1 or more")
	case j.GPUs == 1 && j.GPUMilli == 0:
		r.Fail("gpu_milli", "num_gpu is 1", "a whole number from 1 to 1000")
	case j.GPUs > 1 && j.GPUMilli != trace.WholeGPU:
		r.Fail("gpu_milli", fmt.Sprintf("num_gpu is %d", j.GPUs), "1000: only a single GPU can be shared")
	}
	if spec := r.Text("gpu_spec"); spec != "" {
		j.GPUModels = strings.Split(spec, "|")
		for _, m := range j.GPUModels {
			if !isModel(m) {
				r.Fail("gpu_spec", "not a list of GPU models", "models separated by '|', each "+wantModel)
			}
		}
		if j.GPUs == 0 {
			r.Fail("gpu_spec", "num_gpu is 0", "an empty value, or num_gpu 1 or more")
		}
	}
}

// readClass derives tenant and priority; the GPUs have been read.
func readClass(r *table.Row, j *trace.Job) {
	share := j.GPUs == 1 && j.GPUMilli < trace.WholeGPU
	switch {
	case j.GPUs == 0:
		j.Tenant = TenantCPU
	case share:
		j.Tenant = TenantShare
	default:
		j.Tenant = TenantWhole
	}
	priorities := map[string]string{
		"Guaranteed": names.PriorityCritical, "LS": names.PriorityHigh, "Burstable": names.PriorityMedium, "BE": names.PriorityLow,
	}
	qos := r.Text("qos")
	priority, known := priorities[qos]
	if !known {
		r.Fail("qos", "not accepted", "one of "+strings.Join(slices.Sorted(maps.Keys(priorities)), ", "))
	}
	j.Priority = priority
	if qos == "BE" && share {
		j.Priority = names.PriorityBatch
	}
}

// times of a pod, in seconds of the trace.
type times struct {
	created int64
	// started is when it was scheduled, else created.
	started int64
	// deleted is 0 if the trace ends before the pod does.
	deleted int64
}

func readTimes(r *table.Row) times {
	t := times{created: r.Int("creation_time", 0, mostSeconds)}
	t.started = t.created
	if r.Text("scheduled_time") != "" {
		if t.started = r.Int("scheduled_time", 0, mostSeconds); t.started < t.created {
			r.Fail("scheduled_time", "before creation_time", fmt.Sprintf("at least %d, or an empty value", t.created))
		}
	}
	if r.Text("deletion_time") == "" {
		return t
	}
	if t.deleted = r.Int("deletion_time", 0, mostSeconds); t.deleted != 0 && t.deleted < t.started {
		r.Fail("deletion_time", "before creation_time or scheduled_time", fmt.Sprintf("at least %d, or 0 or an empty value for a pod that runs to the end", t.started))
	}
	return t
}
