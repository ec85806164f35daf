// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/interpreter"
)

// Reason says in one word why an evaluation failed. There are only these, so
// it can label a metric.
type Reason string

// The reasons for which an evaluation fails.
const (
	// DivisionByZero is an integer division or modulus by zero.
	DivisionByZero Reason = "division_by_zero"
	// NoSuchKey is a label, annotation or resource that this pod or node does not have.
	NoSuchKey Reason = "no_such_key"
	// CostLimit means that the evaluation was stopped at the cost limit.
	CostLimit Reason = "cost_limit"
	// Interrupted means that the context ended.
	Interrupted Reason = "interrupted"
	// NotFinite is a result of NaN or an infinity, such as 1.0/0.0.
	NotFinite Reason = "not_finite"
	// Other is any other failure, such as an integer overflow or double("x").
	Other Reason = "other"
)

// Reasons lists all of them.
func Reasons() []Reason {
	return []Reason{DivisionByZero, NoSuchKey, CostLimit, Interrupted, NotFinite, Other}
}

// EvalError is a failed evaluation.
type EvalError struct {
	Reason Reason
	err    error
}

// Error implements error.
func (e *EvalError) Error() string { return fmt.Sprintf("evaluating the expression: %v", e.err) }

// Unwrap gives the cause.
func (e *EvalError) Unwrap() error { return e.err }

// Eval evaluates the expression. The result is finite, and any error an
// *EvalError. It stops early when the context ends, but looks at it only
// between iterations of a comprehension: the cost limit bounds the rest.
func (p *Program) Eval(ctx context.Context, in Input) (float64, error) {
	if err := ctx.Err(); err != nil {
		return 0, &EvalError{Interrupted, err}
	}
	out, _, err := p.program.ContextEval(ctx, &variables{Input: in})
	if err != nil {
		return 0, &EvalError{reasonOf(err), err}
	}
	var x float64
	switch v := out.(type) {
	case types.Int:
		x = float64(v)
	case types.Double:
		x = float64(v)
	default:
		return 0, &EvalError{Other, fmt.Errorf("the result is a %s, want int or double", out.Type().TypeName())}
	}
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, &EvalError{NotFinite, fmt.Errorf("the result is %v, not a finite number", x)}
	}
	return x, nil
}

// reasonOf classifies an error of CEL, which exports a type for the cost limit
// only; the others are known by their text, on which the tests keep an eye.
func reasonOf(err error) Reason {
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded {
		return CostLimit
	}
	switch text := err.Error(); {
	case strings.Contains(text, "operation interrupted"):
		return Interrupted
	case strings.Contains(text, "division by zero"), strings.Contains(text, "modulus by zero"):
		return DivisionByZero
	case strings.Contains(text, "no such key"):
		return NoSuchKey
	default:
		return Other
	}
}
