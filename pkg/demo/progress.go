// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// plainInterval is how often progress is written where there is no terminal.
const plainInterval = 5 * time.Second

// progress shows how far the workload is: a bar on a terminal, else now and
// then a line.
type progress struct {
	out   io.Writer
	total int
	bar   *progressbar.ProgressBar // nil where there is no terminal
	last  time.Time
	text  string
}

func newProgress(out io.Writer, terminal bool, total int) *progress {
	p := &progress{out: out, total: total}
	if terminal {
		p.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(out),
			progressbar.OptionSetWidth(30),
			progressbar.OptionShowCount(),
			progressbar.OptionSetTheme(progressbar.ThemeUnicode),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetPredictTime(false),
		)
	}
	return p
}

// show is called at any rate; it writes no more often than a reader wants.
func (p *progress) show(now time.Time, c counts) error {
	text := fmt.Sprintf("%d pods, %d scheduled, %d running, %d jobs done", c.created, c.scheduled, c.running, c.ended())
	if p.bar != nil {
		p.bar.Describe(text)
		return p.bar.Set(c.ended())
	}
	if text == p.text || now.Sub(p.last) < plainInterval {
		return nil
	}
	p.last, p.text = now, text
	_, err := fmt.Fprintf(p.out, "      %s of %d\n", text, p.total)
	return err
}

// done takes the bar away.
func (p *progress) done() error {
	if p.bar != nil {
		return p.bar.Clear()
	}
	return nil
}

// indent writes lines under the stage that they belong to.
type indent struct{ out io.Writer }

func (i indent) Write(lines []byte) (int, error) {
	for line := range bytes.Lines(lines) {
		if _, err := fmt.Fprintf(i.out, "      %s", line); err != nil {
			return 0, err
		}
	}
	return len(lines), nil
}
