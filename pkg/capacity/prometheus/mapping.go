// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
)

// mapper is a compiled NodeMapping.
type mapper struct {
	NodeMapping
	label  model.LabelName
	regexp *regexp.Regexp // nil: strip the port.
}

func newMapper(m NodeMapping) mapper {
	compiled := mapper{NodeMapping: m, label: model.LabelName(m.Label)}
	if m.Regexp != "" {
		compiled.regexp = regexp.MustCompile(m.Regexp) // Validated.
	}
	return compiled
}

// key is what the label's value says of the node; "" is nothing.
func (m mapper) key(value string) string {
	if m.regexp == nil {
		return stripPort(value)
	}
	if groups := m.regexp.FindStringSubmatch(value); groups != nil {
		return groups[1]
	}
	return ""
}

// stripPort takes a trailing :port, and the brackets of an IPv6 address, away.
func stripPort(value string) string {
	if rest, bracketed := strings.CutPrefix(value, "["); bracketed {
		if host, port, closed := strings.Cut(rest, "]"); closed && (port == "" || isPort(port)) {
			return host
		}
		return value
	}
	// More than one colon is an IPv6 address without a port.
	if at := strings.IndexByte(value, ':'); at >= 0 && isPort(value[at:]) {
		return value[:at]
	}
	return value
}

// isPort says whether s is a colon and digits.
func isPort(s string) bool {
	return len(s) > 1 && s[0] == ':' && strings.Trim(s[1:], "0123456789") == ""
}

// ambiguous is of an address that two nodes have.
const ambiguous = -1

// nodeIndex finds nodes by what series say of them. It is never changed.
type nodeIndex struct {
	mapper
	nodes     []*corev1.Node // By name.
	names     map[string]int
	internal  map[string]int // By InternalIP.
	hostnames map[string]int // By address of type Hostname.
}

func newNodeIndex(m mapper, nodes []*corev1.Node) *nodeIndex {
	sorted := slices.SortedFunc(slices.Values(nodes), func(a, b *corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	x := &nodeIndex{
		mapper: m, nodes: sorted,
		names:     make(map[string]int, len(nodes)),
		internal:  make(map[string]int, len(nodes)),
		hostnames: make(map[string]int, len(nodes)),
	}
	for i, node := range sorted {
		x.names[node.Name] = i
		for _, a := range node.Status.Addresses {
			switch a.Type {
			case corev1.NodeInternalIP:
				add(x.internal, canonical(a.Address), i)
			case corev1.NodeHostName:
				add(x.hostnames, a.Address, i)
			}
		}
	}
	return x
}

func add(index map[string]int, key string, i int) {
	if other, taken := index[key]; taken && other != i {
		i = ambiguous
	}
	index[key] = i
}

// canonical writes an IP address in one way only.
func canonical(address string) string {
	if ip, err := netip.ParseAddr(address); err == nil {
		return ip.Unmap().String()
	}
	return address
}

// find is the index in nodes of the node that a key is of.
func (x *nodeIndex) find(key string) (int, bool) {
	if key == "" {
		return 0, false
	}
	if x.Match != MatchInternalIP {
		if i, ok := x.names[key]; ok {
			return i, true
		}
	}
	if x.Match != MatchName {
		i, ok := x.internal[key]
		if !ok { // Perhaps written in another way.
			i, ok = x.internal[canonical(key)]
		}
		if ok {
			return i, i != ambiguous
		}
	}
	if x.Match == MatchNameOrInternalIP {
		if i, ok := x.hostnames[key]; ok {
			return i, i != ambiguous
		}
	}
	return 0, false
}

// of is the index in nodes of the node that a series is of.
func (x *nodeIndex) of(series model.Metric) (int, bool) {
	return x.find(x.key(string(series[x.label])))
}

// internalIP is a node's first, "" if it has none.
func internalIP(node *corev1.Node) string {
	for _, a := range node.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return a.Address
		}
	}
	return ""
}
