//go:build cgo

package peers

// static unsigned long nothing(unsigned long n) { return n; }
import "C"

// cgoCalls calls a C function n times.
var cgoCalls = func(n uint64) (sum uint64) {
	for i := range n {
		sum += uint64(C.nothing(C.ulong(i)))
	}
	return sum
}
