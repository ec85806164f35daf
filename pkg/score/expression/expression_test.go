// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const costLimit = 10000

// input is a pod that asks for 1 core and 2 bytes on a node where after
// placing 3 of 4 cores and 8 of 32 bytes are requested.
func input() Input {
	return Input{
		Pod: &Pod{
			Namespace: "team-a", Name: "build-7", Priority: 5,
			Labels:      map[string]string{"team": "a"},
			Annotations: map[string]string{"zone": "z1"},
			Requests:    map[string]float64{"cpu": 1, "memory": 2},
		},
		Node: &Node{
			Name:        "w1",
			Labels:      map[string]string{"zone": "z1"},
			Annotations: map[string]string{"power": "12.5"},
			Taints:      []Taint{{Key: "k", Value: "v", Effect: "NoSchedule"}},
		},
		Amounts: []Amount{{"cpu", 3, 4}, {"memory", 8, 32}},
	}
}

func TestEval(t *testing.T) {
	for _, tc := range []struct {
		name, expression string
		want             float64
	}{
		{"constant int", `7`, 7},
		{"constant double", `7.5`, 7.5},
		{"load is requested over allocatable", `100.0 * load.cpu`, 75},
		{"load by index", `100.0 * load["memory"]`, 25},
		{"free", `100.0 * free.cpu`, 25},
		{"requested and allocatable in units", `requested.memory + allocatable.cpu`, 12},
		{"mean of two", `100.0 - 50.0 * (load.cpu + load.memory)`, 50},
		{"pod labels", `pod.labels["team"] == "a" ? 1 : 0`, 1},
		{"pod label by dot", `pod.labels.team == "a" ? 1 : 0`, 1},
		{"pod annotation equals node label", `pod.annotations["zone"] == node.labels["zone"] ? 80 : 20`, 80},
		{"namespace, name, priority", `pod.namespace + "/" + pod.name == "team-a/build-7" ? pod.priority : -1`, 5},
		{"requests", `pod.requests.cpu + pod.requests.memory`, 3},
		{"node name", `node.name.startsWith("w") ? 1 : 0`, 1},
		{"node annotation as a number", `double(node.annotations["power"])`, 12.5},
		{"taints", `node.taints.exists(t, t.key == "k" && t.effect == "NoSchedule") ? 1 : 0`, 1},
		{"absent resource tested", `"nvidia.com/gpu" in load ? 1 : 2`, 2},
		{"absent resource with default", `load[?"nvidia.com/gpu"].orValue(0.5)`, 0.5},
		{"has", `has(node.labels.zone) && !has(node.labels.rack) ? 1 : 0`, 1},
		{"greatest", `math.greatest(load.cpu, load.memory)`, 0.75},
		{"bind", `cel.bind(x, load.cpu, x * x)`, 0.5625},
		{"over all resources", `load.all(r, load[r] < 0.8) ? 1 : 0`, 1},
		{"int compared with double", `load.cpu < 1 ? 1 : 0`, 1},
		{"outside of the range", `-3`, -3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := Compile(tc.expression, costLimit)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Eval(context.Background(), input())
			if err != nil {
				t.Fatal(err)
			}
			if got != tc.want {
				t.Errorf("%s = %v, want %v", tc.expression, got, tc.want)
			}
		})
	}
}

func TestCompileErrors(t *testing.T) {
	for _, tc := range []struct {
		name, expression string
		costLimit        uint64
		want             []string
	}{
		{"empty", ``, costLimit, []string{"does not compile"}},
		{"syntax", `1 +`, costLimit, []string{"ERROR: <input>:1:4", "1 +"}},
		{"unknown variable", `laod.cpu`, costLimit, []string{"<input>:1:1", "undeclared reference to 'laod'"}},
		{"unknown field of pod", `pod.lables["x"] == "y" ? 1 : 0`, costLimit, []string{"<input>:1:4", "undefined field 'lables'"}},
		{"unknown field of node", `node.label["x"] == "y" ? 1 : 0`, costLimit, []string{"undefined field 'label'"}},
		{"unknown field of taint", `node.taints.exists(t, t.kee == "") ? 1 : 0`, costLimit, []string{"undefined field 'kee'"}},
		{"unknown resource by dot", `1.0 - load.cpuu`, costLimit, []string{"<input>:1:11", `no such resource: "cpuu"`, "nvidia.com/gpu"}},
		{"unknown resource by index", `free["mem"]`, costLimit, []string{"<input>:1:6", `no such resource: "mem"`}},
		{"unknown resource, optional", `free[?"mem"].orValue(1.0)`, costLimit, []string{`no such resource: "mem"`}},
		{"unknown resource, optional by dot", `free.?mem.orValue(1.0)`, costLimit, []string{`no such resource: "mem"`}},
		{"unknown resource, in", `"mem" in free ? 1 : 0`, costLimit, []string{`no such resource: "mem"`}},
		{"unknown request", `pod.requests.mem`, costLimit, []string{`no such resource: "mem"`}},
		{"map plus string", `load + "x"`, costLimit, []string{"no matching overload for '_+_'"}},
		{"int times double", `100 * load.cpu`, costLimit, []string{"no matching overload for '_*_' applied to '(int, double)'", "write 100.0"}},
		{"bool", `load.cpu > 0.5`, costLimit, []string{"yields bool, want int or double"}},
		{"string", `pod.name`, costLimit, []string{"yields string, want int or double"}},
		{"dyn", `dyn(1)`, costLimit, []string{"yields dyn"}},
		{"uint", `1u`, costLimit, []string{"yields uint"}},
		{"optional", `load[?"cpu"]`, costLimit, []string{"want int or double"}},
		{"constant division by zero", `1 / 0`, costLimit, []string{"failed on each of 3 sample nodes", "division by zero"}},
		{"constant modulus by zero", `1 % 0`, costLimit, []string{"failed on each of 3 sample nodes", "modulus by zero"}},
		{"constant NaN", `0.0 / 0.0`, costLimit, []string{"NaN, not a finite number"}},
		{"constant infinity", `load.cpu / 0.0 + 1.0 / 0.0`, costLimit, []string{"+Inf, not a finite number"}},
		{"constant overflow", `9223372036854775807 + 1`, costLimit, []string{"overflow"}},
		{"too expensive", `[1,2,3,4,5,6,7,8,9].map(a, [1,2,3,4,5,6,7,8,9].map(b, a * b)).size()`, 50, []string{"cost limit exceeded", "raise the cost limit"}},
		{"no limit", `1`, 0, []string{"cost limit must be positive"}},
		{"bad regular expression", `node.name.matches("(") ? 1 : 0`, costLimit, []string{"invalid matches argument"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Compile(tc.expression, tc.costLimit)
			if err == nil {
				t.Fatal("compiled, want an error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q:\n%v", want, err)
				}
			}
		})
	}
}

// What fails only on some data must not stop the scheduler from starting.
func TestCompileAcceptsDataDependentFailure(t *testing.T) {
	for _, e := range []string{
		`pod.labels["no-such-label"] == "x" ? 1 : 0`,
		`load["example.com/fpga"]`,
		`100 / size(pod.labels)`,
		`100 / int(pod.requests[?"nvidia.com/gpu"].orValue(0.0))`,
	} {
		if _, err := Compile(e, costLimit); err != nil {
			t.Errorf("%s: %v", e, err)
		}
	}
}

func TestEvalErrors(t *testing.T) {
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	many := input()
	many.Node.Labels = map[string]string{}
	for i := range 2000 {
		many.Node.Labels[strconv.Itoa(i)] = ""
	}
	empty := Input{Pod: &Pod{}, Node: &Node{}}
	for _, tc := range []struct {
		name, expression string
		ctx              context.Context
		in               Input
		want             Reason
	}{
		{"division by zero", `1 / size(pod.labels)`, context.Background(), empty, DivisionByZero},
		{"modulus by zero", `1 % size(pod.labels)`, context.Background(), empty, DivisionByZero},
		{"no such label", `pod.labels["rack"] == "x" ? 1 : 0`, context.Background(), input(), NoSuchKey},
		{"no such label by dot", `pod.labels.rack == "x" ? 1 : 0`, context.Background(), input(), NoSuchKey},
		{"label of a pod without labels", `pod.labels["rack"] == "x" ? 1 : 0`, context.Background(), empty, NoSuchKey},
		{"no such resource", `load["nvidia.com/gpu"]`, context.Background(), input(), NoSuchKey},
		{"computed key", `load[pod.name + "x"]`, context.Background(), input(), NoSuchKey},
		{"cost", `size(node.labels.map(k, node.labels.map(l, k + l)))`, context.Background(), many, CostLimit},
		{"context ended", `1`, cancelled, input(), Interrupted},
		{"NaN", `(load.cpu - load.cpu) / (load.cpu - load.cpu)`, context.Background(), input(), NotFinite},
		{"infinity", `load.cpu / pod.requests[?"memory"].orValue(0.0)`, context.Background(),
			Input{Pod: &Pod{}, Node: &Node{}, Amounts: []Amount{{"cpu", 1, 1}}}, NotFinite},
		{"not a number", `double(node.labels["zone"])`, context.Background(), input(), Other},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := Compile(tc.expression, costLimit)
			if err != nil {
				// NaN everywhere is rejected at start; evaluate it all the same.
				p = compileUntried(t, tc.expression)
			}
			got, err := p.Eval(tc.ctx, tc.in)
			var failed *EvalError
			if !errors.As(err, &failed) {
				t.Fatalf("got %v, %v, want an EvalError", got, err)
			}
			if failed.Reason != tc.want {
				t.Errorf("reason %q, want %q: %v", failed.Reason, tc.want, err)
			}
		})
	}
}

func compileUntried(t *testing.T, e string) *Program {
	t.Helper()
	env, err := environment()
	if err != nil {
		t.Fatal(err)
	}
	ast, issues := env.Compile(e)
	if issues.Err() != nil {
		t.Fatal(issues.Err())
	}
	program, err := env.Program(ast)
	if err != nil {
		t.Fatal(err)
	}
	return &Program{program: program}
}

// endsOnceRunning is a context that ends as soon as the evaluator, past its
// first check, asks for the channel.
type endsOnceRunning struct {
	context.Context
	cancel context.CancelFunc
}

func (c endsOnceRunning) Done() <-chan struct{} {
	c.cancel()
	return c.Context.Done()
}

// An evaluation that is under way ends when its context does.
func TestEvalInterrupted(t *testing.T) {
	p, err := Compile(`size(node.labels.map(k, node.labels.map(l, node.labels.map(m, 1))))`, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	in := input()
	in.Node.Labels = map[string]string{}
	for i := range 3000 { // 2.7e10 steps: hours
		in.Node.Labels[strconv.Itoa(i)] = ""
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var failed *EvalError
	if got, err := p.Eval(endsOnceRunning{ctx, cancel}, in); !errors.As(err, &failed) || failed.Reason != Interrupted {
		t.Errorf("got %v, %v, want reason %s", got, err, Interrupted)
	}
}

func TestNilAndHugeInputs(t *testing.T) {
	p, err := Compile(`free.cpu * 100.0`, costLimit)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Eval(context.Background(), Input{Pod: &Pod{}, Node: &Node{},
		Amounts: []Amount{{"cpu", math.MaxFloat64, 1}}})
	if err != nil || got != 0 {
		t.Errorf("over-full worker: got %v, %v, want 0", got, err)
	}
}

func TestPodFields(t *testing.T) {
	for _, tc := range []struct {
		expression string
		want       []string
	}{
		{`1`, []string{"requests"}},
		{`load.cpu`, []string{"requests"}},
		{`pod.labels["a"] == pod.name ? 1 : 0`, []string{"labels", "name", "requests"}},
		{`has(pod.annotations.x) ? 1 : 0`, []string{"annotations", "requests"}},
		{`pod.?labels[?"a"].orValue("b") == "b" ? 1 : 0`, []string{"annotations", "labels", "name", "namespace", "priority", "requests"}},
		{`[pod].all(p, p.name == "x") ? 1 : 0`, []string{"annotations", "labels", "name", "namespace", "priority", "requests"}},
	} {
		p, err := Compile(tc.expression, costLimit)
		if err != nil {
			t.Errorf("%s: %v", tc.expression, err)
			continue
		}
		if diff := cmp.Diff(tc.want, p.PodFields()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tc.expression, diff)
		}
	}
}

func BenchmarkEval(b *testing.B) {
	for name, e := range map[string]string{
		"constant": `7`,
		"mean":     `100.0 - 50.0 * (load.cpu + load.memory)`,
		"labels":   `pod.labels[?"team"] == node.labels[?"team"] ? 100.0 : 100.0 * free.cpu`,
		"taints":   `node.taints.exists(t, t.key == "dedicated") ? 0 : 100`,
	} {
		b.Run(name, func(b *testing.B) {
			p, err := Compile(e, costLimit)
			if err != nil {
				b.Fatal(err)
			}
			in := input()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Eval(context.Background(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := Compile(`100.0 - 50.0 * (load.cpu + load.memory)`, costLimit); err != nil {
			b.Fatal(err)
		}
	}
}
