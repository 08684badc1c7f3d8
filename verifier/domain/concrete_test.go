package domain

import (
	"flag"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/isa"
)

// deep makes the exhaustive tests try wider words, and all values where they take a
// sample by default: minutes instead of seconds.
var deep = flag.Bool("deep", false, "exhaustive tests on wider words and without sampling")

// Small widths. The pairs of a width and its half are 8 and 4, and 4 and 2.
type (
	w8 = [8]struct{}
	w4 = [4]struct{}
)

var aluOps = []asm.ALUOp{
	asm.Add, asm.Sub, asm.Mul, asm.Div, asm.Or, asm.And, asm.LSh, asm.RSh, asm.Mod, asm.Xor, asm.Mov, asm.ArSh, asm.SDiv, asm.SMod,
}

var jumpOps = []asm.JumpOp{
	asm.JEq, asm.JGT, asm.JGE, asm.JSet, asm.JNE, asm.JSGT, asm.JSGE, asm.JLT, asm.JLE, asm.JSLT, asm.JSLE,
}

// compute returns x op y for words of n bits, as RFC 9669 has it for 32 and 64.
func compute(op asm.ALUOp, x, y uint64, n uint) uint64 {
	sx, sy, count := sext(x, n), sext(y, n), y&uint64(n-1)
	switch op {
	case asm.Add:
		x += y
	case asm.Sub:
		x -= y
	case asm.Mul:
		x *= y
	case asm.Or:
		x |= y
	case asm.And:
		x &= y
	case asm.Xor:
		x ^= y
	case asm.Mov:
		x = y
	case asm.LSh:
		x <<= count
	case asm.RSh:
		x >>= count
	case asm.ArSh:
		x = uint64(sx >> count)
	case asm.Div:
		if y == 0 {
			return 0
		}
		x /= y
	case asm.Mod:
		if y != 0 {
			x %= y
		}
	case asm.SDiv:
		if y == 0 {
			return 0
		}
		x = uint64(sx / sy)
	case asm.SMod:
		if y != 0 {
			x = uint64(sx % sy)
		}
	}
	return trunc(x, n)
}

// computeALU returns dst op src for registers of n bits, half of them if not wide.
func computeALU(op asm.ALUOp, wide bool, dst, src uint64, n uint) uint64 {
	if !wide {
		n /= 2
	}
	return compute(op, trunc(dst, n), trunc(src, n), n)
}

// holds reports whether x op y for words of n bits.
func holds(op asm.JumpOp, x, y uint64, n uint) bool {
	sx, sy := sext(x, n), sext(y, n)
	switch op {
	case asm.JEq:
		return x == y
	case asm.JNE:
		return x != y
	case asm.JSet:
		return x&y != 0
	case asm.JGT:
		return x > y
	case asm.JGE:
		return x >= y
	case asm.JLT:
		return x < y
	case asm.JLE:
		return x <= y
	case asm.JSGT:
		return sx > sy
	case asm.JSGE:
		return sx >= sy
	case asm.JSLT:
		return sx < sy
	}
	return sx <= sy
}

func holdsALU(op asm.JumpOp, wide bool, x, y uint64, n uint) bool {
	if !wide {
		n /= 2
	}
	return holds(op, trunc(x, n), trunc(y, n), n)
}

// TestConcrete holds the oracle of the other tests against the project's definition
// of each instruction, at the widths that this has.
func TestConcrete(t *testing.T) {
	var values []uint64
	for _, n := range []uint{8, 31, 32, 63, 64} {
		for d := range uint64(5) {
			values = append(values, trunc(1<<(n-1), n)+d-2, trunc(^uint64(0), n)+d-2, d)
		}
	}
	for _, x := range values {
		for _, y := range values {
			for _, wide := range []bool{true, false} {
				for _, op := range aluOps {
					require.Equal(t, isa.ALU(op, wide, x, y), computeALU(op, wide, x, y, 64), "%v wide=%v %#x %#x", op, wide, x, y)
				}
				for _, op := range jumpOps {
					require.Equal(t, isa.Compare(op, wide, x, y), holdsALU(op, wide, x, y, 64), "%v wide=%v %#x %#x", op, wide, x, y)
				}
			}
		}
	}
}

// random returns numbers of which those that are small, or near a power of two, or
// have long runs of equal bits, are as frequent as any others.
func random(r *rand.Rand) uint64 {
	x := r.Uint64()
	switch r.IntN(6) {
	case 0:
		return x
	case 1:
		return x >> r.UintN(64)
	case 2:
		return ^(x >> r.UintN(64))
	case 3:
		return 1<<r.UintN(64) + x%5 - 2
	case 4:
		return (1<<r.UintN(64) - 1) << r.UintN(64)
	}
	return uint64(uint32(x)) >> r.UintN(32)
}

// randomScalar returns a scalar, synced by the rules, and a number in it. Each part is
// unknown, narrow, or whatever.
func randomScalar[W width](r *rand.Rand, rules Rules) (Scalar, uint64) {
	n := bitsOf[W]()
	v := trunc(random(r), n)
	s := unknown[W]()
	if r.IntN(8) == 0 {
		return constant[W](v), v
	}
	if r.IntN(2) == 0 {
		mask := trunc(random(r), n)
		if r.IntN(2) == 0 {
			mask |= trunc(r.Uint64(), n)
		}
		s.Tnum = Tnum{v &^ mask, mask}
	}
	if r.IntN(2) == 0 {
		s.U64 = around(r, v, n)
	}
	if r.IntN(2) == 0 {
		b := around(r, v^signBit(n), n)
		s.S64 = signed{sext(b.Min^signBit(n), n), sext(b.Max^signBit(n), n)}
	}
	h := n / 2
	low := trunc(v, h)
	if r.IntN(3) == 0 {
		s.setLowUnsigned(around(r, low, h))
	}
	if r.IntN(3) == 0 {
		b := around(r, low^signBit(h), h)
		s.setLowSigned(signed{sext(b.Min^signBit(h), h), sext(b.Max^signBit(h), h)})
	}
	if !syncBy[W](rules, &s) {
		panic("a scalar with a number in it was found empty")
	}
	return s, v
}

// around returns bounds with v in them.
func around(r *rand.Rand, v uint64, n uint) unsigned {
	b := unsigned{v - trunc(random(r), n), v + trunc(random(r), n)}
	if b.Min > v {
		b.Min = 0
	}
	if b.Max < v || b.Max > umax(n) {
		b.Max = umax(n)
	}
	return b
}

// corners returns v and those ends of s that are in s.
func corners[W width](s *Scalar, v uint64) []uint64 {
	n := bitsOf[W]()
	in := []uint64{v}
	for _, x := range []uint64{s.U64.Min, s.U64.Max, uint64(s.S64.Min), uint64(s.S64.Max), s.Tnum.Value, s.Tnum.Max()} {
		if x = trunc(x, n); contains[W](s, x) {
			in = append(in, x)
		}
	}
	return in
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 42)) }

// tnums calls f with every tnum of n bits.
func tnums(n uint, f func(Tnum)) {
	for mask := range uint64(1) << n {
		for rest, value := umax(n)&^mask, uint64(0); ; value = (value - rest) & rest {
			f(Tnum{value, mask})
			if value == rest {
				break
			}
		}
	}
}

// words calls f with every word of t.
func (t Tnum) words(f func(uint64)) {
	for sub := uint64(0); ; sub = (sub - t.Mask) & t.Mask {
		f(t.Value | sub)
		if sub == t.Mask {
			return
		}
	}
}

// best is the smallest tnum of the words that were added to it.
type best struct{ and, or uint64 }

func newBest() best          { return best{^uint64(0), 0} }
func (b *best) add(x uint64) { b.and &= x; b.or |= x }
func (b best) tnum() Tnum    { return Tnum{b.and, b.and ^ b.or} }

// size returns how many words t has, as a power of two.
func (t Tnum) size() int { return bits.OnesCount64(t.Mask) }
