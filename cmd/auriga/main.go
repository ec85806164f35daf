// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Command auriga is Auriga's command line tool. Installed as kubectl-auriga it
// is also a plugin of kubectl.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

// Exit codes of every subcommand.
const (
	exitOK     = 0
	exitFailed = 1 // the command did its work, and the answer is no, or it could not do it
	exitUsage  = 2 // the command line makes no sense
)

func main() {
	// Upstream's configuration loader logs each plugin that a file overrides.
	// What a user of this tool must know, the tool says itself.
	klog.SetLogger(logr.Discard())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, filepath.Base(os.Args[0]), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// failure is an error of the work, as opposed to one of the command line. Its
// error may be nil: then everything has been said.
type failure struct{ err error }

func (f failure) Error() string {
	if f.err == nil {
		return "failed"
	}
	return f.err.Error()
}

func (f failure) Unwrap() error { return f.err }

// run executes one command line and returns the exit code.
func run(ctx context.Context, program string, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot(program)
	root.SetArgs(append([]string{}, args...)) // nil would mean os.Args
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)

	command, err := root.ExecuteContextC(ctx)
	var failed failure
	switch {
	case err == nil:
		return exitOK
	case !errors.As(err, &failed):
		fmt.Fprintf(stderr, "Error: %v\nSee '%s --help'.\n", err, command.CommandPath()) //nolint:errcheck // nowhere to say it
		return exitUsage
	case failed.err != nil:
		fmt.Fprintf(stderr, "Error: %v\n", err) //nolint:errcheck // nowhere to say it
	}
	return exitFailed
}

// newRoot assembles the command tree. program is the name by which it is called.
func newRoot(program string) *cobra.Command {
	output := outputTable
	root := &cobra.Command{
		Use:   "auriga",
		Short: "Check and understand the Auriga scheduler",
		Long: `auriga checks configurations of the Auriga scheduler.

Every subcommand prints a table for people, or with -o json the same for
programs, and exits with 0 (ok), 1 (failed) or 2 (wrong usage).`,
		Args:              cobra.NoArgs,
		SilenceErrors:     true, // run says them
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		// Without this, a misspelled subcommand would print the help and succeed.
		RunE: func(*cobra.Command, []string) error { return errors.New("which command?") },
	}
	if name, isPlugin := strings.CutPrefix(program, "kubectl-"); isPlugin {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl " + name}
	}
	root.PersistentFlags().VarP(&output, "output", "o", "how to print results: table or json")
	root.AddCommand(
		newEval(&output),
		newValidate(&output),
		newVersion(&output),
	)
	return root
}

// outputFormat is the value of --output.
type outputFormat string

const (
	outputTable outputFormat = "table"
	outputJSON  outputFormat = "json"
)

// String, Set and Type make outputFormat a flag.
func (o *outputFormat) String() string { return string(*o) }

// Set accepts table and json.
func (o *outputFormat) Set(s string) error {
	switch f := outputFormat(s); f {
	case outputTable, outputJSON:
		*o = f
		return nil
	}
	return errors.New("must be table or json")
}

// Type names the flag's value in the help.
func (o *outputFormat) Type() string { return "table|json" }

// writeText prints a result. One that does not arrive is a failure.
func writeText(w io.Writer, text string) error {
	if _, err := io.WriteString(w, text); err != nil {
		return failure{fmt.Errorf("writing the result: %w", err)}
	}
	return nil
}

// writeJSON prints a result for programs.
func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		return failure{fmt.Errorf("writing the result: %w", err)}
	}
	return nil
}

// compactJSON prints a decoded value in one line, as it could stand in a file.
func compactJSON(v any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSpace(text.String())
}
