// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"auriga.dev/auriga/pkg/validate"
	"auriga.dev/auriga/plugins"
)

// validation is what `auriga validate -o json` prints.
type validation struct {
	Valid bool              `json:"valid"` // all files are
	Files []validate.Result `json:"files"`
}

func newValidate(output *outputFormat) *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use:   "validate FILE...",
		Short: "Say what is wrong with scheduler configurations",
		Long: `validate reads KubeSchedulerConfiguration files as auriga-scheduler would and
says for everything that is wrong where it is, what the value is and what would
be accepted. It needs no cluster. "-" stands for standard input.`,
		Example: `  auriga validate config/scheduler.yaml
  auriga validate --config a.yaml --config b.yaml -o json
  kubectl -n auriga-system get configmap auriga-scheduler -o 'jsonpath={.data.scheduler\.yaml}' | auriga validate -`,
		Args: func(_ *cobra.Command, args []string) error {
			files = append(files, args...)
			if len(files) == 0 {
				return errors.New("no file given: auriga validate FILE")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			validator, err := validate.New(cmd.Context(), plugins.Registry())
			if err != nil {
				return failure{err}
			}
			all := validation{Valid: true}
			for _, file := range files {
				result := validator.File(cmd.Context(), file, cmd.InOrStdin())
				all.Files = append(all.Files, result)
				all.Valid = all.Valid && result.Valid
			}
			if *output == outputJSON {
				err = writeJSON(cmd.OutOrStdout(), all)
			} else {
				err = writeText(cmd.OutOrStdout(), report(all))
			}
			if err == nil && !all.Valid {
				err = failure{}
			}
			return err
		},
	}
	cmd.Flags().StringArrayVar(&files, "config", nil, "a file to check; can be given several times, and the word --config left out")
	return cmd
}

// report is what people read: a line for each good file, a table for each other.
func report(all validation) string {
	var text strings.Builder
	for _, result := range all.Files {
		if result.Valid {
			fmt.Fprintf(&text, "%s: ok (%s: %s; %s)\n", result.File, plural(len(result.Profiles), "profile"),
				strings.Join(result.Profiles, ", "), plural(result.Plugins, "plugin"))
			continue
		}
		fmt.Fprintf(&text, "%s: %s\n", result.File, plural(len(result.Problems), "problem"))
		var rows []tableRow
		for _, p := range result.Problems {
			rows = append(rows, problemRow(p))
		}
		// Together as wide as a wide terminal.
		text.WriteString(table([]column{{"LINE", 5}, {"FIELD", 36}, {"VALUE", 18}, {"PROBLEM", 34}, {"ACCEPTED", 32}}, rows))
	}
	return text.String()
}

func problemRow(p validate.Problem) tableRow {
	line, value := "", ""
	if p.Line > 0 {
		line = strconv.Itoa(p.Line)
	}
	if p.Value != nil {
		value = compactJSON(p.Value)
	}
	// A compiler's message goes on with the source and a mark under it.
	message, below, _ := strings.Cut(p.Message, "\n")
	if below != "" {
		below = "        " + strings.ReplaceAll(below, "\n", "\n        ")
	}
	return tableRow{
		cells: []string{line, p.Field, shorten(value, maxValue), message, accepted(p.Accepted)},
		below: below,
	}
}

const (
	// maxValue is the number of characters that help to recognize a value.
	maxValue = 36
	// maxAccepted is the number of accepted values that a person wants to read.
	maxAccepted = 14
)

func accepted(values []string) string {
	if len(values) > maxAccepted {
		return fmt.Sprintf("one of %d: see -o json", len(values))
	}
	return strings.Join(values, ", ")
}

func shorten(s string, limit int) string {
	if r := []rune(s); len(r) > limit {
		return string(r[:limit-3]) + "..."
	}
	return s
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
