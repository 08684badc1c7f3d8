// Package mem is the off-heap memory of the sandbox: every byte that a program
// can see or that native code walks lives here.
//
//   - [Arena] is one run of zeroed pages with guard pages on both sides.
//   - [Slab] cuts fixed-size blocks from arenas, for things smaller than a page.
//   - [Code] holds machine code: written first, then executable, never both.
//   - [Region] and [Table] say what a program may touch.
//
// # What keeps it sound
//
// Arenas are mapped outside the Go heap (a plain slice where the OS has no
// page mapping), so the garbage collector neither moves nor frees them and the
// race detector and checkptr do not track them. Their addresses are stable from
// New to Close. Nothing here converts an integer to a pointer: every pointer is
// derived from an arena's base with unsafe.Add, after a bounds check.
package mem
