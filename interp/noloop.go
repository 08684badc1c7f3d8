//go:build noloop

package interp

import "unsafe"

// With the build tag noloop, programs are executed by single steps: slowly, but
// without 50 KB of machine code and 500 KB of jump tables. Tools whose effort
// grows with the edges of a function, of which the loop has 65,000, can look at
// the rest of the package this way.
const hasLoop = false

func loop(*machine, unsafe.Pointer, uintptr, unsafe.Pointer) exitCode { return exitCorrupt }
