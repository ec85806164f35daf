// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"testing"

	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func node(name string, addresses ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, a := range addresses {
		n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
	}
	return n
}

func TestMapping(t *testing.T) {
	named := node("c")
	named.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "c.example"}, {Type: corev1.NodeExternalIP, Address: "1.2.3.4"}}
	nodes := []*corev1.Node{
		named,
		node("a", "10.0.0.1", "fd00::1"),
		node("10.0.0.1", "10.0.0.2"), // Named like another's address.
		node("d", "10.0.0.9"),
		node("e", "10.0.0.9"),
	}
	for _, tc := range []struct {
		name    string
		mapping NodeMapping
		value   string
		want    string // "" is none.
	}{
		{"name", NodeMapping{Match: MatchName}, "a", "a"},
		{"name with port", NodeMapping{Match: MatchName}, "a:9100", "a"},
		{"an address is no name", NodeMapping{Match: MatchName}, "fd00::1", ""},
		{"address", NodeMapping{Match: MatchInternalIP}, "10.0.0.1:9100", "a"},
		{"a name is no address", NodeMapping{Match: MatchInternalIP}, "a", ""},
		{"name first", NodeMapping{Match: MatchNameOrInternalIP}, "10.0.0.1:9100", "10.0.0.1"},
		{"then address", NodeMapping{Match: MatchNameOrInternalIP}, "10.0.0.2", "10.0.0.1"},
		{"then hostname", NodeMapping{Match: MatchNameOrInternalIP}, "c.example:9100", "c"},
		{"hostname is no InternalIP", NodeMapping{Match: MatchInternalIP}, "c.example", ""},
		{"ExternalIP", NodeMapping{Match: MatchNameOrInternalIP}, "1.2.3.4", ""},
		{"IPv6", NodeMapping{Match: MatchInternalIP}, "fd00::1", "a"},
		{"IPv6 with port", NodeMapping{Match: MatchInternalIP}, "[fd00::1]:9100", "a"},
		{"IPv6 in brackets", NodeMapping{Match: MatchInternalIP}, "[fd00::1]", "a"},
		{"IPv6 at length", NodeMapping{Match: MatchInternalIP}, "[fd00:0:0:0:0:0:0:1]:9100", "a"},
		{"IPv4 in IPv6", NodeMapping{Match: MatchInternalIP}, "[::ffff:10.0.0.1]:9100", "a"},
		{"broken brackets", NodeMapping{Match: MatchInternalIP}, "[fd00::1", ""},
		{"two nodes' address", NodeMapping{Match: MatchInternalIP}, "10.0.0.9", ""},
		{"regexp", NodeMapping{Match: MatchName, Regexp: `^node-([a-z]+)\.`}, "node-a.example:9100", "a"},
		{"regexp keeps the port", NodeMapping{Match: MatchName, Regexp: `^(.*)$`}, "a:9100", ""},
		{"regexp does not match", NodeMapping{Match: MatchName, Regexp: `^x(.*)`}, "a", ""},
		{"empty", NodeMapping{Match: MatchNameOrInternalIP}, "", ""},
		{"no port after all", NodeMapping{Match: MatchName}, "a:http", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.mapping.Label = "instance"
			index := newNodeIndex(newMapper(tc.mapping), nodes)
			got := ""
			if n, ok := index.of(model.Metric{"instance": model.LabelValue(tc.value)}); ok {
				got = index.nodes[n].Name
			}
			if got != tc.want {
				t.Errorf("%q is %q's, want %q's", tc.value, got, tc.want)
			}
		})
	}
}

func FuzzStripPort(f *testing.F) {
	for _, seed := range []string{"", ":", "[", "[]", "[]:", "a:1", "[::1]:9", "::1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := stripPort(value); len(got) > len(value) {
			t.Errorf("stripPort(%q) = %q", value, got)
		}
	})
}
