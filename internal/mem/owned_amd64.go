package mem

import "sync/atomic"

// AddOwned adds n to a counter that only one goroutine at a time writes, and others read with
// [atomic.Uint64.Load]. It is a plain addition, which takes a quarter of the time of an atomic
// one: the CPU keeps it whole, and its stores in order.
//
//go:noescape
func AddOwned(p *atomic.Uint64, n uint64)
