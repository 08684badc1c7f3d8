package sandbpf

import (
	"errors"
	"fmt"
	"os"

	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// Fault says why a run was stopped, and where: instruction, source line, and for
// a bad access which memory and what was allowed. Get at it with [errors.As].
type Fault = vm.Fault

// What can stop a run. Every [Fault] is one of these, by [errors.Is].
var (
	ErrAccess      = vm.ErrAccess
	ErrPermission  = vm.ErrPermission
	ErrMisaligned  = vm.ErrMisaligned
	ErrCallDepth   = vm.ErrCallDepth
	ErrBudget      = vm.ErrBudget
	ErrInstruction = vm.ErrInstruction
	ErrHelper      = vm.ErrHelper
	ErrUninit      = vm.ErrUninit
	ErrReleased    = vm.ErrReleased
	ErrUnchecked   = vm.ErrUnchecked
	ErrThrow       = vm.ErrThrow
)

// ProgramError says what is wrong with a program, and where: slot and source line. It is about
// names of what is not there (maps, functions, labels), and about the structure of programs that
// are not verified; those that are get a [*verifier.Error] with a Code.
type ProgramError = prog.Error

// Errors of loading, running and attaching.
var (
	ErrInvalidProgram  = prog.ErrInvalid // every [ProgramError] is one
	ErrNotSupported    = errors.ErrUnsupported
	ErrUnknownHook     = errors.New("unknown hook")
	ErrUnknownHelper   = errors.New("unknown helper")
	ErrNotAllowed      = errors.New("helper not allowed")
	ErrNotExist        = os.ErrNotExist
	ErrMapIncompatible = errors.New("map is not as the object wants it")
	ErrClosed          = os.ErrClosed
	ErrInput           = hooks.ErrInput
	ErrLeak            = hooks.ErrLeak
	ErrReturn          = hooks.ErrReturn
)

// CallError says which call a program may not make.
type CallError struct {
	Program string
	Func    string // "bpf_skb_load_bytes", "helper#999", or a kernel function
	Slot    int
	Line    Line  // the source line, zero if not known
	Err     error // ErrUnknownHelper, ErrNotAllowed or ErrNotSupported
	Reason  string
}

// Error returns one line: program, instruction, function, reason, source.
func (e *CallError) Error() string {
	s := fmt.Sprintf("program %s: instruction %d: call of %s: %v", e.Program, e.Slot, e.Func, e.Err)
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Line.Number != 0 {
		s += fmt.Sprintf(" (%s)", e.Line)
	}
	return s
}

// Unwrap returns the sentinel, for [errors.Is].
func (e *CallError) Unwrap() error { return e.Err }
