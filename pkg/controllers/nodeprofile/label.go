// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package nodeprofile

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// LabelValue makes a text a valid label value: every character other than ASCII
// letters, digits, '-', '_' and '.' becomes '-', runs of '-' become one, the
// ends are cut to a letter or digit, and the length to 63. "Tesla V100 (32 GB)"
// becomes "Tesla-V100-32-GB". A text without letters and digits becomes "".
func LabelValue(text string) string {
	var b strings.Builder
	last := rune(0)
	for _, r := range text {
		if !inLabel(r) {
			r = '-'
		}
		if r == '-' && last == '-' {
			continue
		}
		b.WriteRune(r)
		last = r
	}
	value := strings.Trim(b.String(), "-_.")
	if len(value) > validation.LabelValueMaxLength {
		value = strings.TrimRight(value[:validation.LabelValueMaxLength], "-_.")
	}
	return value
}

func inLabel(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.'
}
