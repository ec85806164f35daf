// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	_ "embed" // the page's template
	"fmt"
	"html/template"
	"os"
	"path/filepath"

	"auriga.dev/auriga/pkg/demo/heatmap"
)

//go:embed page.html
var pageTemplate string

// The most that a map of the page shows singly.
const (
	pageRows    = 200
	pageColumns = 400
)

// page is what page.html is filled with.
type page struct {
	*Report
	Headline, Endings, Neighbour, Limit, Sampling string
	Latencies                                     []pageLatency
	// Rows is how many the maps have, Row what each of them is; First and Last
	// are the outermost workers.
	Rows             int
	Row, First, Last string
	// End is the moment of the last column, seconds.
	End       float64
	Resources []pageResource
	Groups    []pageGroups
}

type pageLatency struct {
	latencyRow
	Verdict string
}

type pageResource struct {
	Name                string
	Use                 ResourceUse
	Requested, Measured template.HTML
}

type pageGroups struct {
	Title  string
	Groups []Group
}

// Page writes the report as one HTML page that needs nothing else.
func (r *Report) Page() ([]byte, error) {
	parsed, err := template.New("page").Funcs(template.FuncMap{
		"percent": percent,
		"seconds": seconds,
		"classes": heatmap.Classes,
	}).Parse(pageTemplate)
	if err != nil {
		return nil, fmt.Errorf("make the report's page: %w", err)
	}
	p := page{
		Report: r, Headline: r.headline(), Endings: r.endings(), Neighbour: r.neighbour(), Limit: r.limit(), Sampling: r.sampling(),
		Groups: []pageGroups{{"tenant", r.ByTenant}, {"priority", r.ByPriority}},
	}
	for _, l := range r.latencyTable() {
		p.Latencies = append(p.Latencies, pageLatency{l, l.verdict()})
	}
	p.draw()
	var out bytes.Buffer
	if err := parsed.Execute(&out, p); err != nil {
		return nil, fmt.Errorf("make the report's page: %w", err)
	}
	return out.Bytes(), nil
}

// draw adds the maps, if anything was measured.
func (p *page) draw() {
	workers, moments := p.Load.Workers, p.Load.Seconds
	if p.Measured.Samples == 0 {
		return
	}
	p.Rows = min(pageRows, len(workers))
	p.Row = rowMeaning(len(workers), p.Rows)
	p.First, p.Last, p.End = workers[0], workers[len(workers)-1], moments[len(moments)-1]
	for _, resource := range []struct {
		name string
		pair Pair
		use  ResourceUse
	}{{"CPU", p.Load.CPU, p.Measured.CPU}, {"Memory", p.Load.Memory, p.Measured.Memory}} {
		draw := func(kind string, m heatmap.Matrix, mean, peak float64) template.HTML {
			title := fmt.Sprintf("%s %s per worker over time", resource.name, kind)
			description := fmt.Sprintf("%d workers from top to bottom, %d moments from left to right. Mean %s of the capacity, peak %s.",
				len(workers), len(moments), percent(mean), percent(peak))
			svg := heatmap.SVG(m.Shrink(pageRows, pageColumns), resource.name+"-"+kind, title, description)
			return template.HTML(svg) // SVG escapes what it is given
		}
		p.Resources = append(p.Resources, pageResource{
			Name: resource.name, Use: resource.use,
			Requested: draw("requested", resource.pair.Requested, resource.use.RequestedMean, resource.use.RequestedPeak),
			Measured:  draw("measured", resource.pair.Measured, resource.use.MeasuredMean, resource.use.MeasuredPeak),
		})
	}
}

// WritePage stores the page.
func (r *Report) WritePage(path string) error {
	data, err := r.Page()
	if err != nil {
		return err
	}
	return store(path, data)
}

// store writes a file of the report, with its folder.
func store(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("store the report: %w", err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		return fmt.Errorf("store the report: %w", err)
	}
	return nil
}
