// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const lockFile = "lock"

// RunningError says that another supervisor holds the data folder.
type RunningError struct {
	// DataDir is the folder.
	DataDir string
	// PID is the supervisor's process id, 0 if it has not written it yet.
	PID int
}

// Error implements error.
func (e *RunningError) Error() string {
	return fmt.Sprintf("a local cluster is running already in %s (supervisor pid %d)", e.DataDir, e.PID)
}

// claim makes dir, or takes over what a dead supervisor left of it, and locks
// it. The folder is empty afterwards, apart from the lock; stale says whether
// there was something to remove. The lock ends with the process or with Close.
func claim(ctx context.Context, dir string) (lock *os.File, stale bool, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("make the data folder: %w: choose another with --data-dir", err)
	}
	if err := checkOurs(dir); err != nil {
		return nil, false, err
	}
	lock, err = openLock(dir, os.O_CREATE)
	if err != nil {
		return nil, false, err
	}
	entries, err := os.ReadDir(dir)
	if err == nil {
		stale = len(entries) > 1
		err = removeContents(ctx, dir)
	}
	if err == nil {
		err = writePID(lock)
	}
	if err != nil {
		return nil, false, errors.Join(fmt.Errorf("prepare the data folder %s: %w", dir, err), lock.Close())
	}
	return lock, stale, nil
}

// checkOurs refuses a folder with content that is not a local cluster's.
func checkOurs(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the data folder: %w: choose another with --data-dir", err)
	}
	if len(entries) == 0 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, lockFile)); err != nil {
		return fmt.Errorf("%s is not empty and not a local cluster's data folder: choose another with --data-dir", dir)
	}
	return nil
}

// openLock opens and locks the lock file. It fails with *RunningError if a
// supervisor holds it, and with fs.ErrNotExist if there is none and flags
// does not say os.O_CREATE.
func openLock(dir string, flags int) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	for {
		f, err := os.OpenFile(path, os.O_RDWR|flags, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the lock of the data folder: %w: choose another with --data-dir", err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			defer f.Close() //nolint:errcheck // nothing was written
			if !errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, fmt.Errorf("lock %s: %w", path, err)
			}
			content, err := io.ReadAll(f)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", path, err)
			}
			// Empty for an instant after it was locked: pid 0 then.
			pid, _ := strconv.Atoi(strings.TrimSpace(string(content)))
			return nil, &RunningError{DataDir: dir, PID: pid}
		}
		// The holder removes the file while it holds the lock; a lock on a
		// removed file excludes nobody.
		same, err := isFile(f, path)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if same {
			return f, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// isFile says whether path still names the open file f.
func isFile(f *os.File, path string) (bool, error) {
	held, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return os.SameFile(held, named), nil
}

func writePID(lock *os.File) error {
	if err := lock.Truncate(0); err != nil {
		return err
	}
	_, err := lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// removeContents removes everything in dir but the lock. The processes of a
// supervisor that was killed die with it, but not in the same instant, and may
// still create files, so it tries for a while.
func removeContents(ctx context.Context, dir string) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 5*time.Second, true, func(context.Context) (bool, error) {
		var entries []os.DirEntry
		entries, last = os.ReadDir(dir)
		for _, e := range entries {
			if e.Name() != lockFile {
				last = errors.Join(last, os.RemoveAll(filepath.Join(dir, e.Name())))
			}
		}
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("remove what is in %s: %w", dir, errors.Join(last, err))
	}
	return nil
}

// removeDir removes the whole folder; the caller holds its lock. If another
// supervisor claims the folder as soon as the lock file is gone, it is theirs.
func removeDir(ctx context.Context, dir string) error {
	if err := removeContents(ctx, dir); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, lockFile)); err != nil {
		return fmt.Errorf("remove the data folder: %w", err)
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, syscall.ENOTEMPTY) {
		return fmt.Errorf("remove the data folder: %w", err)
	}
	return nil
}
