//go:build !amd64

package mem

import "sync/atomic"

// AddOwned adds n to a counter that only one goroutine at a time writes, and others read with
// [atomic.Uint64.Load].
func AddOwned(p *atomic.Uint64, n uint64) { p.Add(n) }
