package leaftest

// Regs are the registers that a leaf is called with, and AX after it.
type Regs struct {
	DI, SI, DX, CX, R8 uint64
	AX                 uint64
	Lost               uint64
}

// call calls a leaf once. Lost is not 0 if it has changed a register that it has to keep.
func call(entry uintptr, r *Regs)

// loop calls a leaf n times, with SI growing by step, until it returns r.AX. Lost is the
// number of calls that were left.
func loop(entry uintptr, r *Regs, n, step int)

// Call calls the leaf at entry with r and sets r.AX. It panics if the leaf has changed a
// register that it has to keep.
func Call(entry uintptr, r *Regs) uint64 {
	call(entry, r)
	if r.Lost != 0 {
		panic("leaf changed a register that it has to keep")
	}
	return r.AX
}

// Loop calls the leaf at entry n times, with r.SI growing by step bytes from one call to
// the next. It stops early when the leaf returns r.AX, and reports whether it did not.
func Loop(entry uintptr, r *Regs, n, step int) bool {
	loop(entry, r, n, step)
	return r.Lost == 0
}
