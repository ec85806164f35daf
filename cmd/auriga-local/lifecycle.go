// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"auriga.dev/auriga/pkg/localcluster"
)

// target chooses a cluster by its name or its data folder.
type target struct{ name, dataDir string }

func (t *target) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&t.name, "name", "default", "name of the cluster; its data is in $XDG_STATE_HOME/auriga-local/NAME, by default ~/.local/state/auriga-local/NAME")
	flags.StringVar(&t.dataDir, "data-dir", "", "folder of the cluster's data, instead of --name")
}

// dir is the absolute data folder.
func (t *target) dir() (string, error) {
	if t.dataDir != "" {
		return filepath.Abs(t.dataDir)
	}
	dir, err := localcluster.DefaultDataDir(t.name)
	if err != nil {
		return "", usageError{err}
	}
	return dir, nil
}

// interruptible ends with Ctrl-C, termination or the terminal's end.
func interruptible() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
}

func newUpCommand() *cobra.Command {
	var t target
	var toolsDir string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a cluster in the background and wait until it is ready",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := t.dir()
			if err != nil {
				return err
			}
			ctx, stop := interruptible()
			defer stop()
			return up(ctx, cmd.OutOrStdout(), dir, "--data-dir="+dir, "--tools-dir="+toolsDir, "--timeout="+timeout.String())
		},
	}
	t.addFlags(cmd.Flags())
	addStartFlags(cmd.Flags(), &toolsDir, &timeout)
	return cmd
}

func addStartFlags(flags *pflag.FlagSet, toolsDir *string, timeout *time.Duration) {
	flags.StringVar(toolsDir, "tools-dir", "", "folder of the binaries kwok and prometheus (default: the folder tools beside auriga-local)")
	flags.DurationVar(timeout, "timeout", 2*time.Minute, "how long the start may take")
}

// up starts "auriga-local supervise" and shows what it says until it is ready.
// When ctx ends before that, the start is undone.
func up(ctx context.Context, out io.Writer, dir string, flags ...string) error {
	state, err := localcluster.Inspect(ctx, dir)
	if err == nil && state.Phase == localcluster.Ready {
		return printUse(out, "already running, since "+state.Started.Format(time.DateTime)+"\n", state)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	supervisor := exec.Command(self, append([]string{"supervise"}, flags...)...)
	// Its own session: neither Ctrl-C nor the end of the terminal reaches it.
	supervisor.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	progress, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer progress.Close() //nolint:errcheck // nothing was written
	supervisor.Stdout, supervisor.Stderr = theirs, theirs
	if err := supervisor.Start(); err != nil {
		return errors.Join(err, theirs.Close())
	}
	if err := theirs.Close(); err != nil {
		return err
	}
	// If it has ended already, Wait below says how.
	undo := context.AfterFunc(ctx, func() { _ = supervisor.Process.Signal(syscall.SIGTERM) })

	// The supervisor closes the pipe when it is ready or has ended.
	if _, err := io.Copy(out, progress); err != nil {
		return fmt.Errorf("read the supervisor's progress: %w", err)
	}
	state, err = localcluster.Inspect(context.WithoutCancel(ctx), dir)
	if undo() && err == nil && state.Phase == localcluster.Ready && state.PID == supervisor.Process.Pid {
		return errors.Join(printUse(out, "", state), supervisor.Process.Release())
	}
	// It has said why.
	err = supervisor.Wait()
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return fmt.Errorf("the cluster did not start: %w", err)
}

func printUse(out io.Writer, intro string, state localcluster.State) error {
	_, err := fmt.Fprintf(out, "%s\nexport KUBECONFIG=%s\nkubectl get nodes\n", intro, state.Kubeconfig)
	return err
}

// newSuperviseCommand is what up starts: it lives as long as the cluster.
func newSuperviseCommand() *cobra.Command {
	var t target
	var toolsDir string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:    "supervise",
		Short:  "Start a cluster and supervise it until a signal",
		Hidden: true,
		Args:   noArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			dir, err := t.dir()
			if err != nil {
				return err
			}
			// Who started us may stop reading; that is no reason to end.
			signal.Ignore(syscall.SIGPIPE)
			ctx, stop := interruptible()
			defer stop()
			return supervise(ctx, localcluster.Options{DataDir: dir, ToolsDir: toolsDir, StartTimeout: timeout, Log: os.Stdout})
		},
	}
	t.addFlags(cmd.Flags())
	addStartFlags(cmd.Flags(), &toolsDir, &timeout)
	return cmd
}

func supervise(ctx context.Context, options localcluster.Options) error {
	cluster, err := localcluster.Start(ctx, options)
	if err != nil {
		return err
	}
	if err := detach(cluster.SupervisorLog()); err != nil {
		return errors.Join(err, cluster.Stop(context.WithoutCancel(ctx)))
	}
	select {
	case <-cluster.Done():
		// The data folder stays, for status and for its logs.
		return cluster.Err()
	case <-ctx.Done():
		return cluster.Stop(context.WithoutCancel(ctx))
	}
}

// detach sends all further output, a panic's too, to the log. It closes the
// pipe to the command that started us, which takes that for readiness.
func detach(log string) error {
	f, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	for _, fd := range []int{1, 2} {
		if err := unix.Dup2(int(f.Fd()), fd); err != nil {
			return fmt.Errorf("send output to %s: %w", log, err)
		}
	}
	return nil
}

func newDownCommand() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End a cluster and remove its data",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := t.dir()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 30*time.Second)
			defer cancel()
			was, err := localcluster.Down(ctx, dir)
			if err != nil {
				return err
			}
			message := "ended; %s is removed\n"
			if !was {
				message = "nothing to do: no local cluster in %s\n"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), message, dir)
			return err
		},
	}
	t.addFlags(cmd.Flags())
	return cmd
}

func newStatusCommand() *cobra.Command {
	var t target
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the components of a cluster; exit 1 unless all are well",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return usageError{fmt.Errorf("--output=%s: must be table or json", output)}
			}
			dir, err := t.dir()
			if err != nil {
				return err
			}
			state, err := localcluster.Inspect(cmd.Context(), dir)
			if err != nil {
				return err
			}
			if err := printState(cmd.OutOrStdout(), state, output); err != nil {
				return err
			}
			if !state.Healthy() {
				return fmt.Errorf("the cluster in %s is not healthy: %s", dir, state.Phase)
			}
			return nil
		},
	}
	t.addFlags(cmd.Flags())
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

func printState(out io.Writer, state localcluster.State, format string) error {
	if format == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(state)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	// The tabwriter keeps the first error for Flush.
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	line("COMPONENT\tPID\tPORT\tSTATE\tUPTIME\tMESSAGE")
	row := func(name string, pid, port int, state string, started time.Time, running bool, message string) {
		uptime := "-"
		if running {
			uptime = time.Since(started).Round(time.Second).String()
		}
		address := "-"
		if port != 0 {
			address = fmt.Sprint(port)
		}
		line("%s\t%d\t%s\t%s\t%s\t%s", name, pid, address, state, uptime, firstLine(message))
	}
	alive := state.Phase != localcluster.Killed && state.Phase != localcluster.Failed
	row("supervisor", state.PID, 0, string(state.Phase), state.Started, alive, "")
	for _, p := range state.Processes {
		row(p.Name, p.PID, p.Port, string(p.Phase), p.Started, p.Phase != localcluster.ProcessExited, p.Message)
	}
	err := w.Flush()
	if alive && state.Prometheus != "" && err == nil {
		_, err = fmt.Fprintf(out, "\nPrometheus: %s\n", state.Prometheus)
	}
	if state.Error != "" && err == nil {
		_, err = fmt.Fprintf(out, "\n%s\n", state.Error)
	}
	return err
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func newKubeconfigCommand() *cobra.Command {
	var t target
	var pathOnly bool
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the administrator's kubeconfig",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := t.dir()
			if err != nil {
				return err
			}
			state, err := localcluster.Inspect(cmd.Context(), dir)
			if err != nil {
				return err
			}
			if state.Phase != localcluster.Ready {
				return fmt.Errorf("the cluster in %s is not ready: %s", dir, state.Phase)
			}
			if pathOnly {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), state.Kubeconfig)
				return err
			}
			data, err := os.ReadFile(state.Kubeconfig)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(data)
			return err
		},
	}
	t.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&pathOnly, "path", false, "print the path of the file instead of its content")
	return cmd
}
