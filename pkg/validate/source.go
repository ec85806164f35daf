// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// maxSize is far above any real configuration (etcd's limit for a ConfigMap is
// as large), and keeps a wrong file name from filling the memory.
const maxSize = 1 << 20

// source is one configuration file's first document.
type source struct {
	data []byte
	// tree is the document as JSON values; numbers are json.Number. It is what
	// the scheduler's decoder sees.
	tree map[string]any
	// root is the same document with line numbers. It is nil if the parser that
	// keeps lines does not understand what the scheduler's parser does.
	root *yamlv3.Node
}

// read returns the content of a file, or of stdin for "-".
func read(path string, stdin io.Reader) ([]byte, *Problem) {
	in := stdin
	if path != "-" {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &Problem{Message: "the file does not exist"}
		case err != nil:
			return nil, &Problem{Message: fmt.Sprintf("the file cannot be read: %v", err)}
		case info.IsDir():
			return nil, &Problem{Message: "this is a directory", Accepted: []string{"a file with one KubeSchedulerConfiguration"}}
		}
		file, err := os.Open(path)
		if err != nil {
			return nil, &Problem{Message: fmt.Sprintf("the file cannot be read: %v", err)}
		}
		defer file.Close() //nolint:errcheck // nothing was written
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxSize+1))
	switch {
	case err != nil:
		return nil, &Problem{Message: fmt.Sprintf("the file cannot be read: %v", err)}
	case len(data) > maxSize:
		return nil, &Problem{Message: "the file is too large for a configuration", Accepted: []string{"at most 1 MiB"}}
	}
	return data, nil
}

// parse turns bytes into a document. It returns a nil source if there is
// nothing that could be judged further.
func parse(data []byte) (*source, []Problem) {
	var problems []Problem
	jsonData, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		problems = yamlProblems(err, bytes.Count(data, []byte("\n"))+1)
		// Repeated keys are the one thing that the lenient parser lets pass.
		if jsonData, err = yaml.YAMLToJSON(data); err != nil {
			return nil, problems
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(jsonData))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, append(problems, Problem{Message: fmt.Sprintf("the file is not valid YAML: %v", err)})
	}

	s := &source{data: data}
	documents := yamlv3.NewDecoder(bytes.NewReader(data))
	for n := 0; ; n++ {
		node := &yamlv3.Node{}
		err := documents.Decode(node)
		if errors.Is(err, io.EOF) {
			break
		}
		if n > 0 {
			problems = append(problems, Problem{
				Line:     node.Line, // 0 if it did not parse
				Message:  "the file has more than one document; the scheduler would ignore all but the first",
				Accepted: []string{"one document"},
			})
			break
		}
		if err != nil {
			break // the scheduler's parser did understand it: go on without lines
		}
		if len(node.Content) == 1 {
			s.root = node.Content[0]
		}
	}

	switch value := value.(type) {
	case nil:
		return nil, append(problems, Problem{Message: "the file is empty", Accepted: []string{"one KubeSchedulerConfiguration"}})
	case map[string]any:
		s.tree = value
		return s, problems
	default:
		return nil, append(problems, Problem{
			Line:     1,
			Message:  fmt.Sprintf("the document is %s", kindOf(value)),
			Accepted: []string{"a mapping with apiVersion, kind and profiles"},
		})
	}
}

var yamlError = regexp.MustCompile(`line (\d+): (.*)`)

// yamlProblems takes a YAML error apart into one problem for each line named.
// What misses at the end of a file is reported behind it, hence lastLine.
func yamlProblems(err error, lastLine int) []Problem {
	var problems []Problem
	for _, m := range yamlError.FindAllStringSubmatch(err.Error(), -1) {
		line, _ := strconv.Atoi(m[1]) // the pattern admits digits only
		message := "the file is not valid YAML: " + m[2]
		if strings.Contains(m[2], "already set in map") {
			message = strings.Replace(m[2], "already set in map", "is given twice", 1)
		}
		problems = append(problems, Problem{Line: min(line, lastLine), Message: message})
	}
	if len(problems) == 0 {
		problems = []Problem{{Message: fmt.Sprintf("the file is not valid YAML: %v", strings.TrimPrefix(err.Error(), "yaml: "))}}
	}
	return problems
}

// pathPart matches one step of a field path: a key, an [index] or a [key].
var pathPart = regexp.MustCompile(`[^.\[\]]+|\[[^\]]*\]`)

// value returns what the document has at a path.
func (s *source) value(path string) (any, bool) {
	var value any = s.tree
	for _, part := range pathPart.FindAllString(path, -1) {
		name, index := step(part)
		switch at := value.(type) {
		case map[string]any:
			next, ok := at[name]
			if !ok {
				return nil, false
			}
			value = next
		case []any:
			if index < 0 || index >= len(at) {
				return nil, false
			}
			value = at[index]
		default:
			return nil, false
		}
	}
	return value, true
}

// line returns where a path, or as much of it as the document has, is written.
func (s *source) line(path string) int {
	if s.root == nil || path == "" {
		return 0
	}
	node, line := s.root, s.root.Line
	for _, part := range pathPart.FindAllString(path, -1) {
		if node.Kind == yamlv3.AliasNode {
			node = node.Alias
		}
		name, index := step(part)
		var next *yamlv3.Node
		switch {
		case node.Kind == yamlv3.MappingNode:
			for i := 0; i+1 < len(node.Content); i += 2 {
				if node.Content[i].Value == name {
					next, line = node.Content[i+1], node.Content[i].Line
				}
			}
		case node.Kind == yamlv3.SequenceNode && index >= 0 && index < len(node.Content):
			next, line = node.Content[index], node.Content[index].Line
		}
		if next == nil {
			return line
		}
		node = next
	}
	return line
}

// step reads one part of a path as a key and, if it is one, as an index.
func step(part string) (name string, index int) {
	name = strings.Trim(part, "[]")
	index, err := strconv.Atoi(name)
	if err != nil {
		index = -1
	}
	return name, index
}
