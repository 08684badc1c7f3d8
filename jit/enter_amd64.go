package jit

// enter runs native code from m.pc until it exits. m is on the heap, so it does not
// move while the code holds its address.
func enter(m *machine)

// start is enter at the beginning of a program that reads of its registers only r1, r2 and r10
// before it writes them, as any that compiles.
func start(m *machine)

// enterBatch runs native code for each packet of b from b.next on, until one run exits otherwise
// than by returning (m.exit is not exitDone), has no context, or b.end is reached.
func enterBatch(m *machine, b *batch)
