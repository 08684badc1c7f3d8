package jit

// enter runs native code from m.pc until it exits. m is on the heap, so it does not
// move while the code holds its address.
func enter(m *machine)

// start is enter of a program that needs its frame at most, which uses no window and no
// frame but its own, and reads only r1 and r10 before it writes the others. r2 to r5 are zero,
// since helpers see them all.
func start(m *machine)

// enterBatch runs native code for each packet of b from b.next on, until one run exits otherwise
// than by returning (m.exit is not exitDone), has no context, or b.end is reached.
func enterBatch(m *machine, b *batch)
