// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClaim(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
		stale   bool
		err     string   // part of the error
		left    []string // in the folder afterwards; nil if there is none
	}{
		{name: "no folder", prepare: func(*testing.T, string) {}, left: []string{lockFile}},
		{name: "empty folder", prepare: mkdir, left: []string{lockFile}},
		{
			name: "left by a dead cluster",
			prepare: func(t *testing.T, dir string) {
				mkdir(t, filepath.Join(dir, "etcd", "member"))
				write(t, filepath.Join(dir, lockFile), "1\n")
				write(t, filepath.Join(dir, "etcd", "member", "wal"), "x")
			},
			stale: true, left: []string{lockFile},
		},
		{
			name: "somebody's folder",
			prepare: func(t *testing.T, dir string) {
				mkdir(t, dir)
				write(t, filepath.Join(dir, "thesis.txt"), "x")
			},
			err: "not empty", left: []string{"thesis.txt"},
		},
		{
			name:    "below a file",
			prepare: func(t *testing.T, dir string) { write(t, filepath.Dir(dir), "x") },
			err:     "choose another with --data-dir",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "parent", "data")
			if test.err == "" || test.left != nil {
				mkdir(t, filepath.Dir(dir))
			}
			test.prepare(t, dir)
			lock, stale, err := claim(t.Context(), dir)
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Fatalf("error %v, want %q", err, test.err)
			}
			if stale != test.stale {
				t.Errorf("stale %t, want %t", stale, test.stale)
			}
			if test.left != nil {
				if diff := cmp.Diff(test.left, entries(t, dir)); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			}
			if err == nil && lock.Close() != nil {
				t.Error("the lock was closed already")
			}
		})
	}
}

func TestClaimExcludes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	lock, _, err := claim(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "precious"), "x")
	_, _, err = claim(t.Context(), dir)
	want := &RunningError{DataDir: dir, PID: os.Getpid()}
	var got *RunningError
	if !errors.As(err, &got) {
		t.Fatalf("a second claim: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{lockFile, "precious"}, entries(t, dir)); diff != "" {
		t.Errorf("the second claim changed the folder (-want +got)\n%s", diff)
	}

	// A lock on a file that has been removed excludes nobody.
	if err := removeDir(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	second, stale, err := claim(t.Context(), dir)
	if err != nil || stale {
		t.Fatalf("a claim after the removal: stale %t, error %v", stale, err)
	}
	if err := errors.Join(lock.Close(), second.Close()); err != nil {
		t.Error(err)
	}
}

// TestLockOfRemovedFile: who waits for the lock while the holder removes the
// folder must not end up with a lock on nothing.
func TestLockOfRemovedFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, lockFile)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	for _, test := range []struct {
		name   string
		change func() error
		want   bool
	}{
		{"unchanged", func() error { return nil }, true},
		{"removed", func() error { return os.Remove(path) }, false},
		{"replaced", func() error { return os.WriteFile(path, nil, 0o600) }, false},
	} {
		if err := test.change(); err != nil {
			t.Fatal(err)
		}
		got, err := isFile(f, path)
		if err != nil || got != test.want {
			t.Errorf("%s: %t, %v; want %t", test.name, got, err, test.want)
		}
	}
}

func TestStateIsReplacedWhole(t *testing.T) {
	dir := t.TempDir()
	small := State{Phase: Ready, PID: 1}
	large := State{Phase: Failed, PID: 2, Error: strings.Repeat("x", 1<<16)}
	if err := writeState(dir, small); err != nil {
		t.Fatal(err)
	}
	stop, wrote := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				wrote <- nil
				return
			default:
				if err := errors.Join(writeState(dir, large), writeState(dir, small)); err != nil {
					wrote <- err
					return
				}
			}
		}
	}()
	for range 500 {
		got, err := readState(dir)
		if err != nil {
			t.Fatal(err)
		}
		want := small
		if got.PID == large.PID {
			want = large
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got)\n%.500s", diff)
		}
	}
	close(stop)
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{stateFile}, entries(t, dir)); diff != "" {
		t.Errorf("temporary files are left (-want +got)\n%s", diff)
	}
}

func TestBrokenState(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, stateFile), `{"phase": 3}`)
	if _, err := readState(dir); err == nil || !strings.Contains(err.Error(), stateFile) {
		t.Errorf("%v, want an error that names the file", err)
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
