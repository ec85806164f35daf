// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"auriga.dev/auriga/test/fixtures"
)

const (
	schemaDir  = root + "/out/schemas"
	refPrefix  = "#/definitions/"
	kindKey    = "x-kubernetes-group-version-kind"
	preserveXK = "x-kubernetes-preserve-unknown-fields"
)

// writeSchemas writes a JSON schema for each kind of the Kubernetes API, from
// the OpenAPI document in the Kubernetes module, and for each of the chart's
// custom resources, under the names that kubeconform looks for. Unlike the
// API's own document they refuse unknown fields.
func writeSchemas(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(schemaDir, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := command(t, nil, "go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(dir), "api/openapi-spec/swagger.json"))
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	for name, definition := range document.Definitions {
		document.Definitions[name] = tighten(name, definition)
	}
	for name, definition := range document.Definitions {
		kinds, _ := definition[kindKey].([]any)
		if len(kinds) != 1 {
			// Not a kind, or one that all groups share, such as DeleteOptions.
			continue
		}
		kind := kinds[0].(map[string]any)
		// kubeconform takes the first part of a group: rbac.authorization.k8s.io is rbac.
		group, _, _ := strings.Cut(kind["group"].(string), ".")
		definitions := map[string]any{}
		collect(document.Definitions, name, definitions)
		writeSchema(t, kind["kind"].(string), group, kind["version"].(string), map[string]any{
			"$schema":     "http://json-schema.org/draft-07/schema#",
			"$ref":        refPrefix + name,
			"definitions": definitions,
		})
	}
	for _, crd := range render(t, valueSets["gang"]...).find("CustomResourceDefinition") {
		writeCRDSchema(t, as[apiextensionsv1.CustomResourceDefinition](t, crd))
	}
}

// tighten turns a definition of the API's document into a schema of what a
// client may send.
func tighten(name string, definition map[string]any) map[string]any {
	switch name {
	case "io.k8s.apimachinery.pkg.util.intstr.IntOrString", "io.k8s.apimachinery.pkg.api.resource.Quantity":
		// The document says string, the API also reads numbers.
		return map[string]any{"type": []any{"string", "number"}}
	}
	_, free := definition["additionalProperties"]
	preserve, _ := definition[preserveXK].(bool)
	if properties, ok := definition["properties"].(map[string]any); ok && !free && !preserve {
		definition["additionalProperties"] = false
		for key, property := range properties {
			if p, ok := property.(map[string]any); ok && p["type"] == "object" {
				properties[key] = tighten("", p)
			}
		}
	}
	return definition
}

// collect adds to all the definition of a name and those that it refers to.
func collect(definitions map[string]map[string]any, name string, all map[string]any) {
	if _, seen := all[name]; seen {
		return
	}
	all[name] = definitions[name]
	var walk func(any)
	walk = func(node any) {
		switch node := node.(type) {
		case map[string]any:
			if ref, ok := node["$ref"].(string); ok {
				collect(definitions, strings.TrimPrefix(ref, refPrefix), all)
			}
			for _, child := range node {
				walk(child)
			}
		case []any:
			for _, child := range node {
				walk(child)
			}
		}
	}
	walk(definitions[name])
}

// writeCRDSchema writes the schemas of a custom resource's versions.
func writeCRDSchema(t *testing.T, crd *apiextensionsv1.CustomResourceDefinition) {
	t.Helper()
	group, _, _ := strings.Cut(crd.Spec.Group, ".")
	for _, version := range crd.Spec.Versions {
		data, err := json.Marshal(version.Schema.OpenAPIV3Schema)
		if err != nil {
			t.Fatal(err)
		}
		var schema map[string]any
		if err := json.Unmarshal(data, &schema); err != nil {
			t.Fatal(err)
		}
		schema = tighten("", schema)
		// Not for us to say what metadata has; x-kubernetes-int-or-string has no type.
		schema["properties"].(map[string]any)["metadata"] = map[string]any{"type": "object"}
		writeSchema(t, crd.Spec.Names.Kind, group, version.Name, schema)
	}
}

func writeSchema(t *testing.T, kind, group, version string, schema map[string]any) {
	t.Helper()
	data, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	if group != "" {
		version = group + "-" + version
	}
	name := strings.ToLower(fmt.Sprintf("%s-%s.json", kind, version))
	if err := os.WriteFile(filepath.Join(schemaDir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// kubeconform checks manifests against the schemas and returns its complaints.
func kubeconform(t *testing.T, manifests string) error {
	t.Helper()
	out, err := command(t, strings.NewReader(manifests), fixtures.Binary(t, "tools/kubeconform"),
		"-strict", "-summary",
		"-schema-location", schemaDir+"/{{.ResourceKind}}{{.KindSuffix}}.json",
		// The Prometheus operator's; its schema is not ours to keep.
		"-skip", "monitoring.coreos.com/v1/ServiceMonitor")
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	t.Log(strings.TrimSpace(out))
	return nil
}

func TestKubeconform(t *testing.T) {
	writeSchemas(t)
	for name, args := range valueSets {
		t.Run(name, func(t *testing.T) {
			out, err := template(t, args...)
			if err != nil {
				t.Fatal(err)
			}
			if err := kubeconform(t, out); err != nil {
				t.Error(err)
			}
		})
	}
	for _, sample := range []string{"job.yaml", "gang.yaml", "quota.yaml"} {
		t.Run(sample, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(samples, sample))
			if err != nil {
				t.Fatal(err)
			}
			if err := kubeconform(t, string(data)); err != nil {
				t.Error(err)
			}
		})
	}
	// The check itself: what a typing error looks like.
	for name, broken := range map[string]string{
		"unknown field": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, nmaespace: b}\n",
		"wrong type":    "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: a}\nspec: {maxUnavailable: [1]}\n",
		"no such kind":  "apiVersion: apps/v1\nkind: Deploymint\nmetadata: {name: a}\n",
		"missing field": "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: a}\n",
		"gang":          "apiVersion: scheduling.x-k8s.io/v1alpha1\nkind: PodGroup\nmetadata: {name: a}\nspec: {minMembers: 1}\n",
	} {
		t.Run(name, func(t *testing.T) {
			if err := kubeconform(t, broken); err == nil {
				t.Errorf("accepted:\n%s", broken)
			}
		})
	}
}
