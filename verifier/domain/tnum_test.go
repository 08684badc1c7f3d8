package domain

import (
	"fmt"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

// tnumOp is an operation on tnums of n bits and what it stands for.
type tnumOp struct {
	name     string
	optimal  bool // no smaller tnum is right
	abstract func(a, b Tnum, n uint) Tnum
	concrete func(x, y uint64, n uint) uint64
}

// modulo makes an operation on 64 bits one on n.
func modulo(f func(a, b Tnum) Tnum) func(a, b Tnum, n uint) Tnum {
	return func(a, b Tnum, n uint) Tnum { return f(a, b).Truncate(n) }
}

var tnumOps = []tnumOp{
	{"add", true, modulo(Tnum.Add), func(x, y uint64, n uint) uint64 { return trunc(x+y, n) }},
	{"sub", true, modulo(Tnum.Sub), func(x, y uint64, n uint) uint64 { return trunc(x-y, n) }},
	{"and", true, modulo(Tnum.And), func(x, y uint64, _ uint) uint64 { return x & y }},
	{"or", true, modulo(Tnum.Or), func(x, y uint64, _ uint) uint64 { return x | y }},
	{"xor", true, modulo(Tnum.Xor), func(x, y uint64, _ uint) uint64 { return x ^ y }},
	{"mul", false, modulo(Tnum.Mul), func(x, y uint64, n uint) uint64 { return trunc(x*y, n) }},
	{"long mul", false, modulo(Tnum.LongMul), func(x, y uint64, n uint) uint64 { return trunc(x*y, n) }},
	{"div", false, modulo(Tnum.UDiv), func(x, y uint64, n uint) uint64 { return compute(asm.Div, x, y, n) }},
	{"mod", false, modulo(Tnum.UMod), func(x, y uint64, n uint) uint64 { return compute(asm.Mod, x, y, n) }},
	{"smod", false, Tnum.SMod, func(x, y uint64, n uint) uint64 { return compute(asm.SMod, x, y, n) }},
}

// kernelMul is tnum_mul of Linux 5.14 to 6.17 (Vishwanathan et al., CGO 2022): the
// product of the known bits, and what the unknown ones add to it.
func kernelMul(a, b Tnum) Tnum {
	known, unknown := a.Value*b.Value, Tnum{}
	for ; a.Max() != 0; a, b = a.RShift(1), b.LShift(1) {
		if a.Value&1 != 0 {
			unknown = unknown.Add(Tnum{Mask: b.Mask})
		} else if a.Mask&1 != 0 {
			unknown = unknown.Add(Tnum{Mask: b.Max()})
		}
	}
	return TnumConst(known).Add(unknown)
}

// halfMul is tnum_mul of Linux before 5.14 (Regehr and Duongsaa, LCTES 2006).
func halfMul(a, b Tnum) Tnum {
	acc := TnumConst(a.Value * b.Value)
	for k := range uint(64) {
		if a.Mask>>k&1 != 0 {
			acc = acc.Add(Tnum{Mask: b.Max() << k})
		}
	}
	for k := range uint(64) {
		if b.Mask>>k&1 != 0 {
			acc = acc.Add(Tnum{Mask: a.Value << k})
		}
	}
	return acc
}

// knownBitsMul is how LLVM multiplies (KnownBits::mul): the low bits as far as
// the known low bits of both reach, and the leading zeros of the largest product.
func knownBitsMul(a, b Tnum, n uint) Tnum {
	zerosA, zerosB := bits.TrailingZeros64(a.Max()), bits.TrailingZeros64(b.Max())
	reach := min(bits.TrailingZeros64(a.Mask)-zerosA, bits.TrailingZeros64(b.Mask)-zerosB) + zerosA + zerosB
	if a.Max() == 0 || b.Max() == 0 {
		return Tnum{}
	}
	above := ^umaxBelow(min(reach, 64))
	low := Tnum{Value: a.Value * b.Value &^ above, Mask: above}
	if hi, most := bits.Mul64(a.Max(), b.Max()); hi == 0 && most <= umax(n) {
		low = low.Intersect(TnumRange(0, most))
	}
	return low.Truncate(n)
}

func tnumWidth() uint {
	if *deep {
		return 7
	}
	return 6
}

// TestTnumOps tries each operation on all words of all pairs of tnums: no result is
// missing, and where the operation is said to be optimal, none of the bits could have
// been known that is not.
func TestTnumOps(t *testing.T) {
	n := tnumWidth()
	for _, op := range tnumOps {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			tnums(n, func(a Tnum) {
				tnums(n, func(b Tnum) {
					got, want := op.abstract(a, b, n), bestOf(op, a, b, n)
					if !got.Includes(want) || op.optimal && got != want || got.Value&got.Mask != 0 {
						require.Equal(t, want, got, "%v %v %v", a, op.name, b)
					}
				})
			})
		})
	}
}

// bestOf returns the smallest tnum of all results of op.
func bestOf(op tnumOp, a, b Tnum, n uint) Tnum {
	r := newBest()
	a.words(func(x uint64) {
		b.words(func(y uint64) { r.add(op.concrete(x, y, n)) })
	})
	return r.tnum()
}

// TestTnumUnary tries the operations on one tnum, all of them optimal.
func TestTnumUnary(t *testing.T) {
	const n = 8
	type unary struct {
		abstract func(Tnum) Tnum
		concrete func(uint64) uint64
	}
	ops := map[string]unary{
		"neg":      {func(a Tnum) Tnum { return a.Neg().Truncate(n) }, func(x uint64) uint64 { return trunc(-x, n) }},
		"truncate": {func(a Tnum) Tnum { return a.Truncate(5) }, func(x uint64) uint64 { return x & 31 }},
		"sext":     {func(a Tnum) Tnum { return a.SignExtend(5) }, func(x uint64) uint64 { return uint64(sext(x, 5)) }},
		"bswap16":  {func(a Tnum) Tnum { return a.BSwap(16) }, func(x uint64) uint64 { return x << 8 }},
		"bswap64":  {func(a Tnum) Tnum { return a.LShift(20).BSwap(64) }, func(x uint64) uint64 { return bits.ReverseBytes64(x << 20) }},
	}
	for k := range uint(n) {
		ops[fmt.Sprint("lsh ", k)] = unary{func(a Tnum) Tnum { return a.LShift(k).Truncate(n) }, func(x uint64) uint64 { return trunc(x<<k, n) }}
		ops[fmt.Sprint("rsh ", k)] = unary{func(a Tnum) Tnum { return a.RShift(k) }, func(x uint64) uint64 { return x >> k }}
		ops[fmt.Sprint("arsh ", k)] = unary{func(a Tnum) Tnum { return a.ARShift(k, n) }, func(x uint64) uint64 { return trunc(uint64(sext(x, n)>>k), n) }}
	}
	for name, op := range ops {
		tnums(n, func(a Tnum) {
			want := newBest()
			a.words(func(x uint64) { want.add(op.concrete(x)) })
			if got := op.abstract(a); got != want.tnum() {
				require.Equal(t, want.tnum(), got, "%v %v", name, a)
			}
		})
	}
}

// TestTnumSets tries the relations between tnums, and of tnums to bounds, on sets of
// words.
func TestTnumSets(t *testing.T) {
	const n = 4
	set := func(a Tnum) (s uint64) {
		a.words(func(x uint64) { s |= 1 << x })
		return s
	}
	tnums(n, func(a Tnum) {
		sa := set(a)
		require.Equal(t, uint64(bits.TrailingZeros64(sa)), a.Value)
		require.Equal(t, uint64(bits.Len64(sa)-1), a.Max())
		require.Equal(t, bits.OnesCount64(sa) == 1, a.IsConst())
		for x := range uint64(1) << n {
			require.Equal(t, sa>>x&1 != 0, a.Contains(x))
			v, ok := a.Ceil(x)
			require.Equal(t, sa>>x != 0, ok)
			require.True(t, !ok || v == x+uint64(bits.TrailingZeros64(sa>>x)), "ceil of %d in %v is %d", x, a, v)
			below := sa & (2<<x - 1)
			v, ok = a.Floor(x)
			require.Equal(t, below != 0, ok)
			require.True(t, !ok || v == uint64(bits.Len64(below)-1), "floor of %d in %v is %d", x, a, v)
		}
		for k := range uint64(n) {
			aligned := true
			a.words(func(x uint64) { aligned = aligned && x%(1<<k) == 0 })
			require.Equal(t, aligned, a.Aligned(1<<k))
		}
		tnums(n, func(b Tnum) {
			sb := set(b)
			require.Equal(t, sb&^sa == 0, a.Includes(b))
			require.Equal(t, sa&sb != 0, a.Overlaps(b))
			if sa&sb != 0 {
				require.Equal(t, sa&sb, set(a.Intersect(b)))
			}
			join := newBest()
			a.words(join.add)
			b.words(join.add)
			require.Equal(t, join.tnum(), a.Join(b))
		})
	})
	for lo := range uint64(1) << n {
		for hi := lo; hi < 1<<n; hi++ {
			r := newBest()
			for x := lo; x <= hi; x++ {
				r.add(x)
			}
			require.Equal(t, r.tnum(), TnumRange(lo, hi))
		}
	}
	require.Equal(t, TnumUnknown, TnumRange(0, ^uint64(0)))
	require.Equal(t, TnumUnknown, TnumRange(1<<63-1, 1<<63))
}

// TestMulPrecision compares multiplications: how often each is the best that there
// is, and how many bits it does not know that could be known.
func TestMulPrecision(t *testing.T) {
	muls := []struct {
		name string
		mul  func(a, b Tnum, n uint) Tnum
	}{
		{"Mul: both orders", modulo(Tnum.Mul)},
		{"long, Linux 6.18", modulo(Tnum.LongMul)},
		{"Linux 5.14, CGO 2022", modulo(kernelMul)},
		{"half multiply, Linux 4.14", modulo(halfMul)},
		{"LLVM KnownBits", knownBitsMul},
	}
	op := tnumOp{concrete: func(x, y uint64, n uint) uint64 { return trunc(x*y, n) }}
	for n := uint(3); n <= tnumWidth(); n++ {
		total := 0
		exact, excess := make([]int, len(muls)), make([]int, len(muls))
		tnums(n, func(a Tnum) {
			tnums(n, func(b Tnum) {
				want := bestOf(op, a, b, n)
				total++
				for i, m := range muls {
					got := m.mul(a, b, n)
					if !got.Includes(want) {
						require.Equal(t, want, got, "%s: %v * %v", m.name, a, b)
					}
					exact[i] += count(got == want)
					excess[i] += got.size() - want.size()
				}
			})
		})
		for i, m := range muls {
			t.Logf("%d bits: %-26s best %6.2f%%, %.4f bits in excess", n, m.name, percent(exact[i], total), float64(excess[i])/float64(total))
		}
		require.GreaterOrEqual(t, exact[0], max(exact[1], exact[2], exact[3], exact[4]), "%d bits", n)
	}
}
