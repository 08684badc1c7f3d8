package jit

// enter runs native code from m.pc until it exits. m is on the heap, so it does not
// move while the code holds its address.
func enter(m *machine)
