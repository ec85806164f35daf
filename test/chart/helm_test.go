// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/test/fixtures"
)

const (
	root    = "../.."
	chart   = root + "/manifests/chart/auriga"
	samples = root + "/manifests/samples"
	release = "auriga"

	commandTimeout = time.Minute
)

// valueSets are the installations that every test of the rendered chart covers.
var valueSets = map[string][]string{
	"default":    nil,
	"gang":       {"-f", samples + "/values/gang.yaml"},
	"controller": {"-f", "testdata/controller.yaml"},
	"profiles":   {"-f", "testdata/profiles.yaml"},
	"single":     {"-f", "testdata/single.yaml"},
}

// command runs a command and returns its output; err holds what it printed
// on standard error.
func command(t *testing.T, stdin io.Reader, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	// Nothing of the user's own Helm is read or written.
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), errors.Join(err, errors.New(strings.TrimSpace(stderr.String())))
	}
	return stdout.String(), nil
}

// template runs `helm template`.
func template(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return command(t, nil, fixtures.Binary(t, "tools/helm"), append([]string{
		"template", release, chart, "--namespace", names.Namespace, "--kube-version", "1.35.8"}, args...)...)
}

// objects are rendered Kubernetes objects.
type objects []*unstructured.Unstructured

// render returns the objects of the chart, hooks included.
func render(t *testing.T, args ...string) objects {
	t.Helper()
	out, err := template(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, out)
}

// parse reads YAML documents.
func parse(t *testing.T, manifests string) objects {
	t.Helper()
	var list objects
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) > 0 {
			list = append(list, object)
		}
	}
}

// find returns the objects of a kind.
func (o objects) find(kind string) objects {
	var found objects
	for _, object := range o {
		if object.GetKind() == kind {
			found = append(found, object)
		}
	}
	return found
}

// one converts the only object of a kind into a typed one.
func one[T any](t *testing.T, o objects, kind string) *T {
	t.Helper()
	found := o.find(kind)
	if len(found) != 1 {
		t.Fatalf("%d objects of kind %s, want 1", len(found), kind)
	}
	return as[T](t, found[0])
}

// as converts an object into a typed one; fields that the type has not are errors.
func as[T any](t *testing.T, object *unstructured.Unstructured) *T {
	t.Helper()
	var typed T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &typed, true); err != nil {
		t.Fatalf("%s %s: %v", object.GetKind(), object.GetName(), err)
	}
	return &typed
}
