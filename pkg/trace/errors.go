// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"strings"
)

// InputError says what is wrong in a file that the user gave, where, and what
// would be accepted. Readers return it (wrapped or not) for everything that
// the user can mend in the file; match it with errors.As.
type InputError struct {
	// File is the path as the user would type it.
	File string
	// Line counts from 1, the header included; 0 if the whole file is meant.
	Line int
	// Column is the name in the header; empty if the whole line is meant.
	Column string
	// Value is what was found. It is printed if Column is set.
	Value string
	// Problem says what is wrong.
	Problem string
	// Want says what is accepted.
	Want string
	// Err is the cause, nil if there is none beneath.
	Err error
}

// Error puts all of it on one line: FILE:LINE: column "C": value "V": problem
// (cause); want WANT.
func (e *InputError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": ")
	if e.Column != "" {
		fmt.Fprintf(&b, "column %q: value %s: ", e.Column, quote(e.Value))
	}
	b.WriteString(e.Problem)
	if e.Err != nil {
		fmt.Fprintf(&b, " (%v)", e.Err)
	}
	if e.Want != "" {
		b.WriteString("; want " + e.Want)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *InputError) Unwrap() error { return e.Err }

// quote keeps a message readable when the value is not: at most 60 bytes of it.
func quote(v string) string {
	const most = 60
	if len(v) > most {
		return fmt.Sprintf("%q... (%d bytes)", v[:most], len(v))
	}
	return fmt.Sprintf("%q", v)
}
