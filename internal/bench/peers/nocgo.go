//go:build !cgo

package peers

// cgoCalls is nil: there is no C compiler.
var cgoCalls func(n uint64) uint64
