package domain

import (
	"math/bits"
	"sync"

	"github.com/sandbpf/sandbpf/asm"
)

// At width 4 a set of numbers is 16 bits, bit x for number x, and all sets that any
// scalar stands for can be listed. Each has one best scalar.

// set is what s stands for.
func set(s *Scalar) (r uint16) {
	for x := range uint64(16) {
		if contains[w4](s, x) {
			r |= 1 << x
		}
	}
	return r
}

// bestScalar returns the smallest scalar for the numbers of r, not empty.
func bestScalar(r uint16) Scalar {
	s := constant[w4](uint64(bits.TrailingZeros16(r)))
	for x := range uint64(16) {
		if r>>x&1 != 0 {
			c := constant[w4](x)
			s = s.Join(&c)
		}
	}
	return s
}

// parts returns the sets that each part of a scalar can stand for.
func parts() [][]uint16 {
	var families [][]uint16
	family := func(n uint, in func(i, j, x uint64) bool) {
		var sets []uint16
		for i := range uint64(1) << n {
			for j := range uint64(1) << n {
				var s uint16
				for x := range uint64(16) {
					if in(i, j, x) {
						s |= 1 << x
					}
				}
				if s != 0 {
					sets = append(sets, s)
				}
			}
		}
		families = append(families, sets)
	}
	family(4, func(i, j, x uint64) bool { return i&j == 0 && Tnum{i, j}.Contains(x) })
	for _, n := range []uint{4, 2} {
		family(n, func(i, j, x uint64) bool { return i <= trunc(x, n) && trunc(x, n) <= j })
		family(n, func(i, j, x uint64) bool { return sext(i, n) <= sext(x, n) && sext(x, n) <= sext(j, n) })
	}
	return families
}

// allScalars returns the best scalar of each set that a scalar of width 4 can stand
// for.
var allScalars = sync.OnceValue(func() []Scalar {
	sets := map[uint16]bool{0xffff: true}
	for _, family := range parts() {
		next := map[uint16]bool{}
		for s := range sets {
			for _, p := range family {
				if s&p != 0 {
					next[s&p] = true
				}
			}
		}
		sets = next
	}
	var all []Scalar
	for s := range uint32(1 << 16) {
		if sets[uint16(s)] {
			all = append(all, bestScalar(uint16(s)))
		}
	}
	return all
})

// image returns the set of op's results over the numbers of two sets.
func image(op func(x, y uint64) uint64, a, b uint16) (r uint16) {
	for ; a != 0; a &= a - 1 {
		x := uint64(bits.TrailingZeros16(a))
		for c := b; c != 0; c &= c - 1 {
			r |= 1 << op(x, uint64(bits.TrailingZeros16(c)))
		}
	}
	return r
}

// table makes op a look-up, at width 4.
func table(op func(x, y uint64) uint64) func(x, y uint64) uint64 {
	var t [16][16]uint64
	for x := range t {
		for y := range t {
			t[x][y] = op(uint64(x), uint64(y))
		}
	}
	return func(x, y uint64) uint64 { return t[x&15][y&15] }
}

// tableALU is computeALU at width 4.
func tableALU(op asm.ALUOp, wide bool) func(x, y uint64) uint64 {
	return table(func(x, y uint64) uint64 { return computeALU(op, wide, x, y, 4) })
}
