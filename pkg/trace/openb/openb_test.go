// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package openb

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/trace"
)

const (
	nodePath = "csv/openb_node_list_gpu_node.csv"
	podPath  = "csv/openb_pod_list_default.csv"

	nodeHeader = "sn,cpu_milli,memory_mib,gpu,model\n"
	podHeader  = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"

	goodNodes = nodeHeader + "n-0,4000,1,0,\nn-1,64000,1024,8,M1\nn-2,8000,2,1,M2\n"
	// Not in order of creation.
	goodPods = podHeader +
		"late,1000,3,0,0,,LS,Running,110,150,120\n" + // runs 30 s
		"first,500,0,1,1000,M1|M2,Guaranteed,Running,100,200,100\n" + // runs 100 s
		"share,250,1,1,250,,BE,Failed,105,105,105\n" + // 0 s counts as 1 s
		"never,0,1,8,1000,,BE,Pending,110,125,\n" + // never scheduled: 125-110
		"open,1,1,1,999,,Burstable,Running,120,0,130\n" + // to the end, 200
		"open-too,1,1,0,0,,BE,Pending,200,,\n" // created at the end
)

func folder(nodes, pods string) fstest.MapFS {
	return fstest.MapFS{nodePath: {Data: []byte(nodes)}, podPath: {Data: []byte(pods)}}
}

func zip(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func wantWorkload() trace.Workload {
	const mib = 1 << 20
	return trace.Workload{
		Nodes: []trace.Node{
			{Name: "n-0", CPUMilli: 4000, MemoryBytes: mib},
			{Name: "n-1", CPUMilli: 64000, MemoryBytes: 1024 * mib, GPUs: 8, GPUModel: "M1"},
			{Name: "n-2", CPUMilli: 8000, MemoryBytes: 2 * mib, GPUs: 1, GPUModel: "M2"},
		},
		Jobs: []trace.Job{
			{
				Name: "first", Tenant: TenantWhole, Priority: names.PriorityCritical, Arrival: 0, Duration: 100 * time.Second,
				CPUMilli: 500, GPUs: 1, GPUMilli: 1000, GPUModels: []string{"M1", "M2"},
			},
			{
				Name: "share", Tenant: TenantShare, Priority: names.PriorityBatch, Arrival: 5 * time.Second, Duration: time.Second,
				CPUMilli: 250, MemoryBytes: mib, GPUs: 1, GPUMilli: 250,
			},
			{
				Name: "late", Tenant: TenantCPU, Priority: names.PriorityHigh, Arrival: 10 * time.Second, Duration: 30 * time.Second,
				CPUMilli: 1000, MemoryBytes: 3 * mib,
			},
			{
				Name: "never", Tenant: TenantWhole, Priority: names.PriorityLow, Arrival: 10 * time.Second, Duration: 15 * time.Second,
				MemoryBytes: mib, GPUs: 8, GPUMilli: 1000,
			},
			{
				Name: "open", Tenant: TenantShare, Priority: names.PriorityMedium, Arrival: 20 * time.Second, Duration: 70 * time.Second,
				CPUMilli: 1, MemoryBytes: mib, GPUs: 1, GPUMilli: 999,
			},
			{
				Name: "open-too", Tenant: TenantCPU, Priority: names.PriorityLow, Arrival: 100 * time.Second, Duration: time.Second,
				CPUMilli: 1, MemoryBytes: mib,
			},
		},
	}
}

// The same content is the same workload wherever it is and however packed.
func TestRead(t *testing.T) {
	nodes, pods := []byte(goodNodes), []byte(goodPods)
	zipNodes, zipPods := zip(t, goodNodes), zip(t, goodPods)
	for name, fsys := range map[string]fstest.MapFS{
		"csv folder, plain":     {nodePath: {Data: nodes}, podPath: {Data: pods}},
		"csv folder, gzip":      {nodePath + ".gz": {Data: zipNodes}, podPath + ".gz": {Data: zipPods}},
		"folder itself, plain":  {nodePath[4:]: {Data: nodes}, podPath[4:]: {Data: pods}},
		"folder itself, gzip":   {nodePath[4:] + ".gz": {Data: zipNodes}, podPath[4:] + ".gz": {Data: zipPods}},
		"one of each":           {nodePath: {Data: nodes}, podPath[4:] + ".gz": {Data: zipPods}},
		"plain is before gzip":  {nodePath: {Data: nodes}, podPath: {Data: pods}, podPath + ".gz": {Data: []byte("?")}},
		"csv is before the top": {nodePath: {Data: nodes}, podPath: {Data: pods}, podPath[4:]: {Data: []byte("?")}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readFS(fsys, "dir", Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantWorkload(), got.Workload); diff != "" {
				t.Errorf("workload (-want +got):\n%s", diff)
			}
			if len(got.Notes) != 0 || got.NodesInFile != 3 || got.JobsInFile != 6 {
				t.Errorf("got %d nodes, %d jobs in the files and notes %q, want 3, 6 and none", got.NodesInFile, got.JobsInFile, got.Notes)
			}
		})
	}
}

func TestReadOptions(t *testing.T) {
	fsys := folder(goodNodes, goodPods)
	fsys["csv/openb_pod_list_other.csv"] = &fstest.MapFile{Data: []byte(podHeader + "only,1,1,0,0,,LS,Running,7,9,\n")}
	tests := map[string]struct {
		opts        Options
		nodes, jobs string
		notes       []string
	}{
		"all":   {Options{}, "n-0 n-1 n-2", "first share late never open open-too", nil},
		"exact": {Options{Nodes: 3, Jobs: 6}, "n-0 n-1 n-2", "first share late never open open-too", nil},
		"first": {Options{Nodes: 1, Jobs: 2}, "n-0", "first share", nil},
		"more than there are": {
			Options{Nodes: 4, Jobs: 7}, "n-0 n-1 n-2", "first share late never open open-too",
			[]string{
				"4 nodes were asked for, dir/csv/openb_node_list_gpu_node.csv has 3: all of them are used",
				"7 jobs were asked for, dir/csv/openb_pod_list_default.csv has 6: all of them are used",
			},
		},
		"other list": {Options{Pods: "other"}, "n-0 n-1 n-2", "only", nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := readFS(fsys, "dir", tc.opts)
			if err != nil {
				t.Fatal(err)
			}
			var nodes, jobs []string
			for _, n := range got.Nodes {
				nodes = append(nodes, n.Name)
			}
			for _, j := range got.Jobs {
				jobs = append(jobs, j.Name)
			}
			if diff := cmp.Diff(tc.nodes, strings.Join(nodes, " ")); diff != "" {
				t.Errorf("nodes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.jobs, strings.Join(jobs, " ")); diff != "" {
				t.Errorf("jobs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.notes, got.Notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
			if got.Jobs[0].Arrival != 0 {
				t.Errorf("first arrival at %v, want 0", got.Jobs[0].Arrival)
			}
		})
	}
}

func TestReadRejectsNodes(t *testing.T) {
	const at = "dir/csv/openb_node_list_gpu_node.csv"
	for name, tc := range map[string]struct{ text, want string }{
		"empty file":     {"", at + `: the file is empty; want a header line with the columns sn, cpu_milli, memory_mib, gpu, model`},
		"header only":    {nodeHeader, at + `: there is only a header; want at least one line after it`},
		"missing column": {"sn,cpu_milli,gpu,model\nn,1,1,M\n", at + `:1: the header has no column "memory_mib"; want the columns sn, cpu_milli, memory_mib, gpu, model`},
		"negative CPU":   {nodeHeader + "n,-1,1,1,M\n", at + `:2: column "cpu_milli": value "-1": not accepted; want a whole number from 1 to 1000000000`},
		"no CPU":         {nodeHeader + "n,0,1,1,M\n", at + `:2: column "cpu_milli": value "0": not accepted; want a whole number from 1 to 1000000000`},
		"memory":         {nodeHeader + "n,1,lots,1,M\n", at + `:2: column "memory_mib": value "lots": not accepted; want a whole number from 1 to 1073741824`},
		"GPUs":           {nodeHeader + "n,1,1,-8,M\n", at + `:2: column "gpu": value "-8": not accepted; want a whole number from 0 to 1024`},
		"name twice":     {nodeHeader + "n,1,1,1,M\nm,1,1,1,M\nn,1,1,1,M\n", at + `:4: column "sn": value "n": the name is already on line 2; want each name once`},
		"no name":        {nodeHeader + ",1,1,1,M\n", at + `:2: column "sn": value "": not accepted; want a name of lower-case letters, digits and '-' inside, at most 63 bytes`},
		"bad name":       {nodeHeader + "Node_1,1,1,1,M\n", at + `:2: column "sn": value "Node_1": not accepted; want a name of lower-case letters, digits and '-' inside, at most 63 bytes`},
		"GPU, no model":  {nodeHeader + "n,1,1,1,\n", at + `:2: column "model": value "": not the name of a GPU model; want a value that a node label can have: letters, digits, '-', '_' and '.', at most 63 bytes`},
		"model, no GPU":  {nodeHeader + "n,1,1,0,M\n", at + `:2: column "model": value "M": a model, but gpu is 0; want an empty value, or gpu 1 or more`},
		"short line":     {nodeHeader + "n,1,1\n", at + `:2: the line has 3 fields; want 5, as many as the header`},
	} {
		t.Run(name, func(t *testing.T) { rejects(t, folder(tc.text, goodPods), tc.want) })
	}
}

func TestReadRejectsPods(t *testing.T) {
	const at = "dir/csv/openb_pod_list_default.csv"
	const columns = "name, cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec, qos, creation_time, deletion_time, scheduled_time"
	for name, tc := range map[string]struct{ text, want string }{
		"empty file":             {"", at + `: the file is empty; want a header line with the columns ` + columns},
		"header only":            {podHeader, at + `: there is only a header; want at least one line after it`},
		"missing column":         {strings.Replace(goodPods, "cpu_milli", "cpu", 1), at + `:1: the header has no column "cpu_milli"; want the columns ` + columns},
		"negative CPU":           {podHeader + "p,-5,1,0,0,,LS,Running,1,2,\n", at + `:2: column "cpu_milli": value "-5": not accepted; want a whole number from 0 to 1000000000`},
		"memory":                 {podHeader + "p,5,1.5,0,0,,LS,Running,1,2,\n", at + `:2: column "memory_mib": value "1.5": not accepted; want a whole number from 0 to 1073741824`},
		"GPU count":              {podHeader + "p,5,1,1025,1000,,LS,Running,1,2,\n", at + `:2: column "num_gpu": value "1025": not accepted; want a whole number from 0 to 1024`},
		"GPU share":              {podHeader + "p,5,1,1,1001,,LS,Running,1,2,\n", at + `:2: column "gpu_milli": value "1001": not accepted; want a whole number from 0 to 1000`},
		"share of no GPU":        {podHeader + "p,5,1,0,500,,LS,Running,1,2,\n", at + `:2: column "gpu_milli": value "500": num_gpu is 0; want 0, or num_gpu 1 or more`},
		"nothing of a GPU":       {podHeader + "p,5,1,1,0,,LS,Running,1,2,\n", at + `:2: column "gpu_milli": value "0": num_gpu is 1; want a whole number from 1 to 1000`},
		"share of two GPUs":      {podHeader + "p,5,1,2,500,,LS,Running,1,2,\n", at + `:2: column "gpu_milli": value "500": num_gpu is 2; want 1000: only a single GPU can be shared`},
		"models without GPU":     {podHeader + "p,5,1,0,0,M1,LS,Running,1,2,\n", at + `:2: column "gpu_spec": value "M1": num_gpu is 0; want an empty value, or num_gpu 1 or more`},
		"empty model":            {podHeader + "p,5,1,1,1000,M1||M2,LS,Running,1,2,\n", at + `:2: column "gpu_spec": value "M1||M2": not a list of GPU models; want models separated by '|', each a value that a node label can have: letters, digits, '-', '_' and '.', at most 63 bytes`},
		"quality of service":     {podHeader + "p,5,1,0,0,,Gold,Running,1,2,\n", at + `:2: column "qos": value "Gold": not accepted; want one of BE, Burstable, Guaranteed, LS`},
		"creation":               {podHeader + "p,5,1,0,0,,LS,Running,now,2,\n", at + `:2: column "creation_time": value "now": not accepted; want a whole number from 0 to 3000000000`},
		"negative creation":      {podHeader + "p,5,1,0,0,,LS,Running,-1,2,\n", at + `:2: column "creation_time": value "-1": not accepted; want a whole number from 0 to 3000000000`},
		"no creation":            {podHeader + "p,5,1,0,0,,LS,Running,,2,\n", at + `:2: column "creation_time": value "": not accepted; want a whole number from 0 to 3000000000`},
		"deleted before created": {podHeader + "p,5,1,0,0,,LS,Running,10,9,\n", at + `:2: column "deletion_time": value "9": before creation_time or scheduled_time; want at least 10, or 0 or an empty value for a pod that runs to the end`},
		"deleted before started": {podHeader + "p,5,1,0,0,,LS,Running,10,12,13\n", at + `:2: column "deletion_time": value "12": before creation_time or scheduled_time; want at least 13, or 0 or an empty value for a pod that runs to the end`},
		"started before created": {podHeader + "p,5,1,0,0,,LS,Running,10,12,9\n", at + `:2: column "scheduled_time": value "9": before creation_time; want at least 10, or an empty value`},
		"name twice":             {podHeader + "p,5,1,0,0,,LS,Running,1,2,\np,5,1,0,0,,LS,Running,1,2,\n", at + `:3: column "name": value "p": the name is already on line 2; want each name once`},
		"long name":              {podHeader + strings.Repeat("p", 64) + ",5,1,0,0,,LS,Running,1,2,\n", at + `:2: column "name": value "` + strings.Repeat("p", 60) + `"... (64 bytes): not accepted; want a name of lower-case letters, digits and '-' inside, at most 63 bytes`},
		"long line":              {podHeader + "p,5,1,0,0,,LS,Running,1,2,,\n", at + `:2: the line has 12 fields; want 11, as many as the header`},
	} {
		t.Run(name, func(t *testing.T) { rejects(t, folder(goodNodes, tc.text), tc.want) })
	}
}

func TestReadRejectsFiles(t *testing.T) {
	whole := zip(t, goodPods)
	for name, tc := range map[string]struct {
		fsys fstest.MapFS
		opts Options
		want string
	}{
		"truncated gzip": {
			fstest.MapFS{nodePath: {Data: []byte(goodNodes)}, podPath + ".gz": {Data: whole[:len(whole)-4]}}, Options{},
			"dir/csv/openb_pod_list_default.csv.gz:8: the gzip data end too early (unexpected EOF); want the whole file: copy it again",
		},
		"empty folder": {
			fstest.MapFS{}, Options{},
			"dir: no file openb_node_list_gpu_node of the openb trace in this folder (file does not exist); want one of dir/csv/openb_node_list_gpu_node.csv, " +
				"dir/csv/openb_node_list_gpu_node.csv.gz, dir/openb_node_list_gpu_node.csv, dir/openb_node_list_gpu_node.csv.gz",
		},
		"no such list": {
			folder(goodNodes, goodPods), Options{Pods: "x"},
			"dir: no file openb_pod_list_x of the openb trace in this folder (file does not exist); want one of dir/csv/openb_pod_list_x.csv, " +
				"dir/csv/openb_pod_list_x.csv.gz, dir/openb_pod_list_x.csv, dir/openb_pod_list_x.csv.gz",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readFS(tc.fsys, "dir", tc.opts)
			wantInputError(t, err, tc.want)
		})
	}
}

func TestReadRejectsOptions(t *testing.T) {
	_, err := readFS(folder(goodNodes, goodPods), "dir", Options{Nodes: -1})
	const want = "read the openb trace: Nodes is -1 and Jobs is 0, want 0 (all) or more"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Read must work on a real folder, and say so if there is none.
func TestReadFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, folder(goodNodes, goodPods)); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantWorkload(), got.Workload); diff != "" {
		t.Errorf("workload (-want +got):\n%s", diff)
	}
	if want := filepath.Join(dir, podPath); got.PodFile != want {
		t.Errorf("pod file: got %s, want %s", got.PodFile, want)
	}
	if _, err := Read(dir+"/none", Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: got %v, want fs.ErrNotExist beneath", err)
	}
}

func rejects(t *testing.T, fsys fs.FS, want string) {
	t.Helper()
	_, err := readFS(fsys, "dir", Options{})
	wantInputError(t, err, want)
}

func wantInputError(t *testing.T, err error, want string) {
	t.Helper()
	var input *trace.InputError
	if !errors.As(err, &input) {
		t.Fatalf("got %v, want a *trace.InputError", err)
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

// Whatever the bytes of the pod list, Read returns a valid workload or an
// InputError.
func FuzzRead(f *testing.F) {
	f.Add([]byte(goodPods), 0)
	f.Add([]byte(podHeader+"p,5,1,1,250,,BE,Running,3000000000,0,\n"), 1)
	f.Add([]byte(podHeader+"p,1000000000,1073741824,1024,1000,A|B,LS,Running,0,3000000000,3000000000\n"), 2)
	f.Fuzz(func(t *testing.T, pods []byte, jobs int) {
		r, err := readFS(folder(goodNodes, string(pods)), "dir", Options{Jobs: max(0, jobs)})
		if err != nil {
			var input *trace.InputError
			if !errors.As(err, &input) {
				t.Fatalf("got %v, want a *trace.InputError", err)
			}
			return
		}
		if len(r.Jobs) == 0 || r.Jobs[0].Arrival != 0 {
			t.Fatal("no job, or the first not at 0")
		}
		seen := map[string]bool{}
		for i, j := range r.Jobs {
			ordered := i == 0 || j.Arrival >= r.Jobs[i-1].Arrival
			gpus := j.GPUs == 0 && j.GPUMilli == 0 || j.GPUs == 1 && j.GPUMilli > 0 && j.GPUMilli <= trace.WholeGPU ||
				j.GPUs > 1 && j.GPUMilli == trace.WholeGPU
			if !ordered || !gpus || j.Duration < time.Second || j.CPUMilli < 0 || j.MemoryBytes < 0 ||
				seen[j.Name] || j.Priority == "" || j.Tenant == "" {
				t.Fatalf("job %d: %+v", i, j)
			}
			seen[j.Name] = true
		}
	})
}
