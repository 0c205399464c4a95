// Package osspecific is a package of Argo Workflows. Its file for Linux is not in the published module, so the build adds this one.
package osspecific

import (
	"os"
	"syscall"

	"github.com/argoproj/argo-workflows/v4/util/errors"
)

// Term is the signal that asks a process to exit.
var Term = syscall.SIGTERM

// CanIgnoreSignal reports whether argoexec need not forward a signal: SIGCHLD is about its children, and the Go runtime sends SIGURG
// to itself.
func CanIgnoreSignal(s os.Signal) bool {
	return s == syscall.SIGCHLD || s == syscall.SIGURG
}

// Kill sends a signal to the process group of a process, or to the process alone if its group is unknown.
func Kill(pid int, s syscall.Signal) error {
	target := pid
	if group, err := syscall.Getpgid(pid); err == nil {
		target = -group
	}
	return syscall.Kill(target, s)
}

// Setpgid gives a new process a process group, so that Kill also reaches its children.
func Setpgid(attributes *syscall.SysProcAttr) {
	attributes.Setpgid = true
}

// Wait waits until a child exits, and returns its exit code as an error if it is not 0. It reaps all children, because the first
// process of a container inherits the processes whose parents have exited.
func Wait(child *os.Process) error {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return err
		case pid != child.Pid:
		case status.Signaled():
			return errors.NewExitErr(128 + int(status.Signal()))
		default:
			return errors.NewExitErr(status.ExitStatus())
		}
	}
}
