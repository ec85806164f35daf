// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	celast "github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
)

// interruptEvery is the number of iterations of a comprehension between two
// looks at the context. With more than 1, nested comprehensions go on long
// after the end, since only one look in so many sees it.
const interruptEvery = 1

// Program is a compiled expression. It is immutable and safe for concurrent use.
type Program struct {
	program   cel.Program
	podFields []string
}

// Compile parses and type-checks an expression, limits the cost of one
// evaluation to costLimit (CEL cost units, roughly one per operation; must be
// positive) and tries it on sample pods and nodes. It fails if
//   - the expression has a syntax or type error, names an unknown variable,
//     field or resource (with the position and the line),
//   - its result is neither an int nor a double,
//   - it costs more than costLimit on a sample, or
//   - it fails on every sample, unless for a missing map key, which other
//     pods and nodes may have.
func Compile(expression string, costLimit uint64) (*Program, error) {
	if costLimit == 0 {
		return nil, errors.New("the cost limit must be positive")
	}
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("setting up CEL: %w", err)
	}
	ast, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("the expression does not compile: %w%s", err, hint(err))
	}
	if t := ast.OutputType(); !t.IsExactType(types.IntType) && !t.IsExactType(types.DoubleType) {
		return nil, fmt.Errorf("the expression yields %s, want int or double: a score is a number from 0 to 100", t)
	}
	program, err := env.Program(ast,
		cel.EvalOptions(cel.OptOptimize, cel.OptTrackCost),
		cel.CostLimit(costLimit),
		cel.InterruptCheckFrequency(interruptEvery),
	)
	if err != nil {
		return nil, fmt.Errorf("the expression cannot be planned: %w", err)
	}
	p := &Program{program: program, podFields: podFields(ast.NativeRep())}
	if err := p.try(); err != nil {
		return nil, err
	}
	return p, nil
}

// PodFields lists the fields of the pod that the score can depend on, sorted:
// two pods that agree in them get the same score on every node. It always has
// "requests", on which load and the other maps depend.
func (p *Program) PodFields() []string { return slices.Clone(p.podFields) }

func environment() (*cel.Env, error) {
	perResource := cel.MapType(cel.StringType, cel.DoubleType)
	return cel.NewEnv(
		cel.OptionalTypes(), // must come before the native types
		ext.NativeTypes(reflect.TypeFor[Pod](), reflect.TypeFor[Node](), ext.ParseStructTags(true)),
		cel.Variable("pod", cel.ObjectType("expression.Pod")),
		cel.Variable("node", cel.ObjectType("expression.Node")),
		cel.Variable("load", perResource),
		cel.Variable("free", perResource),
		cel.Variable("requested", perResource),
		cel.Variable("allocatable", perResource),
		ext.Math(),
		ext.Bindings(),
		cel.CrossTypeNumericComparisons(true),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals(),
			cel.ValidateHomogeneousAggregateLiterals(), resourceNames{}),
	)
}

// hint explains the type error that everybody makes first.
func hint(err error) string {
	for _, line := range strings.Split(err.Error(), "\n") {
		if strings.Contains(line, "no matching overload") &&
			strings.Contains(line, "int") && strings.Contains(line, "double") {
			return "\nhint: CEL does not mix int and double: write 100.0 instead of 100, or double(x)"
		}
	}
	return ""
}

// podFields finds the fields that are selected from pod. A bare use of pod
// counts as all of them, and so does a local variable of that name, which is
// more than needed and never less.
func podFields(a *celast.AST) []string {
	fields := map[string]bool{"requests": true}
	bare := false
	root := celast.NavigateAST(a)
	for _, e := range celast.MatchDescendants(root, celast.KindMatcher(celast.IdentKind)) {
		if e.AsIdent() != "pod" {
			continue
		}
		parent, ok := e.Parent()
		if ok && parent.Kind() == celast.SelectKind {
			fields[parent.AsSelect().FieldName()] = true
		} else {
			bare = true
		}
	}
	if bare {
		for f := range reflect.TypeFor[Pod]().Fields() {
			fields[f.Tag.Get("cel")] = true
		}
	}
	names := make([]string, 0, len(fields))
	for f := range fields {
		names = append(names, f)
	}
	slices.Sort(names)
	return names
}

// resourceNames rejects a constant key of a resource map that can be no
// resource, such as load.cpuu, which would otherwise fail on every node at run time.
type resourceNames struct{}

var _ cel.ASTValidator = resourceNames{}

// Name implements cel.ASTValidator.
func (resourceNames) Name() string { return "auriga.validator.resource_names" }

// Validate implements cel.ASTValidator.
func (resourceNames) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *celast.AST, issues *cel.Issues) {
	check := func(id int64, m celast.Expr, key string) {
		if isResourceMap(m) && !isResource(key) {
			issues.ReportErrorAtID(id, "no such resource: %q (a resource is cpu, memory, ephemeral-storage, hugepages-SIZE or a name with a slash such as nvidia.com/gpu)", key)
		}
	}
	for _, e := range celast.MatchDescendants(celast.NavigateAST(a), celast.AllMatcher()) {
		switch e.Kind() {
		case celast.SelectKind:
			check(e.ID(), e.AsSelect().Operand(), e.AsSelect().FieldName())
		case celast.CallKind:
			call := e.AsCall()
			args := call.Args()
			if len(args) != 2 {
				continue
			}
			m, key := args[0], args[1]
			switch call.FunctionName() {
			case operators.Index, operators.OptIndex, operators.OptSelect:
			case operators.In:
				m, key = key, m
			default:
				continue
			}
			if key.Kind() == celast.LiteralKind {
				if s, ok := key.AsLiteral().(types.String); ok {
					check(key.ID(), m, string(s))
				}
			}
		}
	}
}

func isResourceMap(e celast.Expr) bool {
	switch e.Kind() {
	case celast.IdentKind:
		return slices.Contains([]string{"load", "free", "requested", "allocatable"}, e.AsIdent())
	case celast.SelectKind:
		s := e.AsSelect()
		return s.FieldName() == "requests" && s.Operand().Kind() == celast.IdentKind && s.Operand().AsIdent() == "pod"
	default:
		return false
	}
}

func isResource(name string) bool {
	return name == "cpu" || name == "memory" || name == "ephemeral-storage" ||
		strings.HasPrefix(name, "hugepages-") || strings.Contains(name, "/")
}
