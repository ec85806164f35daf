// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"auriga.dev/auriga/test/fixtures"
)

// readmeTimeout bounds one command.
const readmeTimeout = 8 * time.Minute

// run says how the test runs a command of the README.
type run struct {
	// as replaces the command by a smaller case of the same; empty runs it as it is.
	as string
	// elsewhere says why the command is not run here.
	elsewhere string
}

// howToRun has what is not run literally.
func howToRun(image string) map[string]run {
	return map[string]run{
		"make demo":                           {as: "make demo NODES=20 JOBS=20"},
		"make test":                           {elsewhere: "this test is part of it"},
		"make image":                          {elsewhere: image},
		"make demo NODES=200 JOBS=500 SEED=7": {as: "make demo NODES=25 JOBS=25 SEED=7"},
		"make bench WORKLOADS=SchedulingBasic/1000 REPEAT=1": {elsewhere: "test/perf runs a small bench, and minutes of load would disturb its neighbours"},
	}
}

// Every command in the README's shell blocks works, in their order, on one
// local cluster that stands for the reader's.
func TestReadme(t *testing.T) {
	root := fixtures.Root(t)
	path := t.TempDir()
	// What a reader has in the PATH.
	if err := os.Symlink(fixtures.Binary(t, "tools/helm"), filepath.Join(path, "helm")); err != nil {
		t.Fatal(err)
	}
	local := fixtures.Binary(t, "auriga-local")
	script := "#!/bin/sh\nexec " + local + " kubectl \"$@\"\n"
	if err := os.WriteFile(filepath.Join(path, "kubectl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	env := append(os.Environ(),
		"PATH="+path+":"+os.Getenv("PATH"),
		"XDG_STATE_HOME="+home, "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home,
		"MAKEFLAGS=", "MAKELEVEL=")
	sh := func(command string, env ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), readmeTimeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, "sh", "-c", command)
		cmd.Dir, cmd.Env = root, env
		output, err := cmd.CombinedOutput()
		return string(output), err
	}

	// The reader's cluster, for helm and kubectl.
	data := filepath.Join(t.TempDir(), "cluster")
	if output, err := sh(local+" up --data-dir="+data, env...); err != nil {
		t.Fatalf("start the cluster: %v\n%s", err, output)
	}
	t.Cleanup(func() {
		down := exec.Command(local, "down", "--data-dir="+data)
		if output, err := down.CombinedOutput(); err != nil {
			t.Errorf("end the cluster: %v\n%s", err, output)
		}
	})
	kubeconfig, err := sh(local+" kubeconfig --path --data-dir="+data, env...)
	if err != nil {
		t.Fatalf("find the kubeconfig: %v\n%s", err, kubeconfig)
	}
	env = append(env, "KUBECONFIG="+strings.TrimSpace(kubeconfig))

	commands := shellCommands(t, filepath.Join(root, "README.md"))
	if len(commands) < 8 {
		t.Fatalf("the README has the commands %q: were its blocks found?", commands)
	}
	image := ""
	if _, err := exec.LookPath("buildah"); err != nil {
		image = "buildah is not installed here, and a test installs no packages"
	}
	special := howToRun(image)
	for command := range special {
		if !slices.Contains(commands, command) {
			t.Errorf("the README no longer has %q", command)
		}
	}
	for _, command := range commands {
		how := special[command]
		if how.elsewhere != "" {
			t.Logf("%s: not run here: %s", command, how.elsewhere)
			continue
		}
		if how.as == "" {
			how.as = command
		}
		if output, err := sh(how.as, env...); err != nil {
			t.Errorf("%s: %v\n%s", how.as, err, output)
		}
	}
}

// shellCommands are the lines of the blocks marked sh.
func shellCommands(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	inside := false
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
		case inside && line != "":
			commands = append(commands, line)
		}
	}
	return commands
}
