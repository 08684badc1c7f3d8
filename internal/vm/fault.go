package vm

import (
	"errors"
	"fmt"

	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// What can stop a run. Every [Fault] is one of them, by errors.Is.
var (
	ErrAccess      = errors.New("access outside the memory that the program was given")
	ErrPermission  = errors.New("access that the memory's permissions forbid")
	ErrMisaligned  = errors.New("misaligned atomic access")
	ErrCallDepth   = errors.New("calls nested too deeply")
	ErrBudget      = errors.New("instruction budget used up")
	ErrInstruction = errors.New("instruction that no runtime executes")
	ErrHelper      = errors.New("call of a helper failed")
	ErrUninit      = errors.New("read of stack bytes that were never written")
	ErrReleased    = errors.New("access to a record that was already released")
	ErrUnchecked   = errors.New("read of packet bytes that were never compared with data_end")
	ErrThrow       = errors.New("program threw an exception")
)

// Fault says why a run was stopped, and where.
type Fault struct {
	Err    error // one of the errors above
	Detail string
	Cause  error // what a helper's body returned, if it was no Fault

	Prog string
	Slot int       // the instruction
	Line prog.Line // its source line, zero if not known
	// Placed says that the engine has filled in the three above.
	Placed bool

	// What follows is set for faults about memory.
	Addr   uint64
	Size   int
	Write  bool
	Region mem.Region // the region that Addr is in or just outside of; Kind 0 if there is none near
}

// Error returns one line: instruction, what was wrong, where that is in the source.
func (f *Fault) Error() string {
	s := fmt.Sprintf("instruction %d: %v", f.Slot, f.Err)
	if f.Prog != "" {
		s = f.Prog + ": " + s
	}
	if f.Size != 0 {
		verb := "read"
		if f.Write {
			verb = "write"
		}
		s += fmt.Sprintf(": %s of %d bytes at %s", verb, f.Size, f.Where())
	}
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	if f.Line.Number != 0 {
		s += fmt.Sprintf(" (%s)", f.Line)
	}
	return s
}

// Where returns the address as region and offset, and what the region allows.
func (f *Fault) Where() string {
	r := f.Region
	if r.Kind == 0 {
		return fmt.Sprintf("%#x, which is in no region", f.Addr)
	}
	name := r.Kind.String()
	if r.Name != "" {
		name += " of " + r.Name
	}
	off, limit := int64(f.Addr)-int64(r.Addr), fmt.Sprintf("[0, %d)", r.Len)
	if r.Kind == mem.KindStack { // offsets from the frame pointer, as everybody counts them
		off -= int64(r.Len)
		limit = fmt.Sprintf("[-%d, 0)", r.Len)
	}
	return fmt.Sprintf("%s%+d, allowed: %s in %s", name, off, r.Perm, limit)
}

// Unwrap returns the sentinel and the cause, for errors.Is.
func (f *Fault) Unwrap() []error {
	if f.Cause == nil {
		return []error{f.Err}
	}
	return []error{f.Err, f.Cause}
}

// PlaceFault returns the fault that err is, or becomes, as that of the instruction at slot of p, and
// whether it has not been placed before, by a callback that a helper ran.
func PlaceFault(err error, p *prog.Program, slot int) (f *Fault, first bool) {
	f, ok := err.(*Fault)
	if !ok {
		f = &Fault{Err: ErrHelper, Detail: err.Error(), Cause: err}
	}
	if f.Placed {
		return f, false
	}
	f.Prog, f.Slot, f.Line, f.Placed = p.Name, slot, p.LineAt(slot), true
	return f, true
}
