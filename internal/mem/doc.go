// Package mem is the off-heap memory of the sandbox: every byte that a program
// can see or that native code walks lives here.
//
//   - [Arena] is one run of zeroed pages with guard pages on both sides.
//   - [Slab] cuts fixed-size blocks from arenas, for things smaller than a page.
//   - [Code] is machine code: written first, then executable, never mapped as both.
//   - [Region] and [Finder] say what a program may touch.
//
// # What keeps it sound
//
// Arenas are mapped outside the Go heap (a plain slice where the OS has no
// page mapping), so the garbage collector neither moves nor frees them and the
// race detector and checkptr do not track them. Their addresses are stable from
// New to Close. Pointers are derived from an arena's base with unsafe.Add, after a
// bounds check; [Pointer] is for addresses that an arena has handed out before.
// No integer that a program made up is ever followed.
package mem
