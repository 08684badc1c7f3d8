package jit

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/isa"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// upper returns the product of n and the factor, less its lowest bits, as many as n has.
func (r reciprocal) upper(n uint64, width int) uint64 {
	h, l := bits.Mul64(n, r.factor)
	return h<<(64-width) | l>>(width-1)>>1
}

// unsigned computes n / d as the formulas for unsigned numbers say.
func (r reciprocal) unsigned(n uint64, width int) uint64 {
	n >>= r.before
	h, carry := r.upper(n, width), uint64(0)
	if r.wide {
		h, carry = bits.Add64(h, n, 0)
	}
	return h>>r.shift | carry<<(64-r.shift)
}

// signed does so for signed ones. The factor is positive, so that it need not be known whether it is wide.
func (r reciprocal) signed(n int64, width int) int64 {
	if n < 0 { // rounded down
		h, l := bits.Mul64(uint64(-n), r.factor)
		l, borrow := bits.Sub64(0, l, 0)
		h, _ = bits.Sub64(0, h, borrow)
		h = h<<(64-width) | l>>(width-1)>>1
		return int64(h)>>r.shift + 1
	}
	return int64(r.upper(uint64(n), width)) >> r.shift
}

// TestReciprocal divides, by constants of all lengths, numbers around multiples of them.
func TestReciprocal(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	seen := make(map[string]int)
	for range 40000 {
		d := rng.Uint64()>>rng.IntN(62) | uint64(rng.IntN(2))
		if d < 3 || d&(d-1) == 0 {
			continue
		}
		for _, width := range [...]int{32, 64} {
			largest := uint64(math.MaxUint64) >> (64 - width)
			if d > largest {
				continue
			}
			r := reciprocalOf(d, width, false)
			seen[fmt.Sprintf("%d, wide %v, before %v", width, r.wide, r.before != 0)]++
			for range 10 {
				n := rng.Uint64() & largest >> rng.IntN(width)
				for _, n := range [...]uint64{n, n / d * d, n/d*d - 1, largest, largest - n%d, largest/d*d - 1} {
					n &= largest
					if got := r.unsigned(n, width); got != n/d {
						t.Fatalf("%d / %d is %d, with %d bits", n, d, got, width)
					}
				}
			}
			if d > largest>>1 {
				continue
			}
			s, r := int64(d), reciprocalOf(d, width, true)
			seen[fmt.Sprintf("%d, signed, wide %v", width, r.wide)]++
			for range 10 {
				n := int64(rng.Uint64()&(largest>>1)) >> rng.IntN(width-1)
				most := int64(largest >> 1)
				for _, n := range [...]int64{n, n / s * s, n/s*s - 1, most, most - n%s, most/s*s - 1} {
					for _, n := range [...]int64{n, -n, -n - 1} {
						if got := r.signed(n, width); got != n/s {
							t.Fatalf("%d s/ %d is %d, with %d bits", n, s, got, width)
						}
					}
				}
			}
		}
	}
	require.Len(t, seen, 10, "every kind of reciprocal")
}

// edges are numbers at the ends of what operations distinguish.
var edges = func() (list []uint64) {
	add := func(v uint64) { list = append(list, v, -v, v<<32|v&math.MaxUint32, v|1<<63) }
	for _, v := range [...]uint64{0, 1, 2, 3, 7, 10, 25, 1000, 1e9, 0x123456789abcdef} {
		add(v)
	}
	for _, k := range [...]int{3, 8, 15, 30, 31, 32, 33, 40, 62, 63} {
		add(1<<k - 1)
		add(1 << k)
		add(1<<k + 1)
	}
	return list
}()

var divisions = [...]struct {
	op  lower.Op
	isa asm.ALUOp
}{{lower.Div, asm.Div}, {lower.Mod, asm.Mod}, {lower.SDiv, asm.SDiv}, {lower.SMod, asm.SMod}}

// divider runs one division on registers r0 to r8. R9 has the memory that they are loaded from.
type divider struct {
	t    *testing.T
	rig  *enginetest.Rig
	load string // a program with an instruction to be replaced
	rng  *rand.Rand
}

func newDivider(t *testing.T) *divider {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	var text strings.Builder
	text.WriteString("r9 = r1\n")
	for r := range 9 {
		fmt.Fprintf(&text, "r%d = *(u64 *)(r9 + %d)\n", r, 8*r)
	}
	text.WriteString("r0 = -r0\n")
	for r := range 9 {
		fmt.Fprintf(&text, "*(u64 *)(r9 + %d) = r%d\n", 8*r, r)
	}
	return &divider{t, enginetest.NewRig(t), text.String() + "r0 = 0\nexit", rand.New(rand.NewPCG(5, 6))}
}

// check compares in, a division, with package isa: its result, and that no other register changes.
func (d *divider) check(in lower.Ins, op asm.ALUOp, pairs [][2]uint64) {
	d.t.Helper()
	p := enginetest.Parse(d.t, d.load)
	for _, blind := range [...]bool{false, true} {
		env := Env{Blind: blind, Without: math.MaxUint32}
		low, err := lower.Build(p, env.lower(p))
		require.NoError(d.t, err)
		at := &low.Blocks[0].Ins[10]
		require.Equal(d.t, lower.Neg, at.Op)
		in.Slot = at.Slot
		*at = in
		code := &Code{p: p, env: env, machines: vm.NewMachines[machine](0), depth: 1, noStack: true}
		require.NoError(d.t, emit(low, code))
		low.Free()
		for _, pair := range pairs {
			d.run(code, in, op, pair[0], pair[1])
		}
		require.NoError(d.t, code.Close())
		if in.B != lower.None { // there is nothing to hide
			break
		}
	}
}

func (d *divider) run(code *Code, in lower.Ins, op asm.ALUOp, a, b uint64) {
	var regs [9]uint64
	for r := range regs {
		regs[r] = d.rng.Uint64()
	}
	regs[in.A] = a
	if in.B == lower.None {
		b = uint64(in.Imm)
	} else {
		regs[in.B] = b
		a = regs[in.A] // which may be the same
	}
	data := make([]byte, 0, len(regs)*8)
	for _, v := range regs {
		data = binary.LittleEndian.AppendUint64(data, v)
	}
	_, after, err := d.rig.Run(code, data)
	require.NoError(d.t, err)
	regs[in.Dst] = isa.ALU(op, in.Wide, a, b)
	for r, want := range regs {
		if got := binary.LittleEndian.Uint64(after[8*r:]); got != want {
			d.t.Fatalf("%v of %#x and %#x, %+v: r%d is %#x, not %#x", op, a, b, in, r, got, want)
		}
	}
}

// each calls f for all kinds of divisions, on registers that are still to be set.
func (d *divider) each(f func(in lower.Ins, op asm.ALUOp)) {
	for _, kind := range divisions {
		for _, wide := range [...]bool{false, true} {
			f(lower.Ins{Op: kind.op, Wide: wide, Index: lower.None}, kind.isa)
		}
	}
}

// TestDivideByRegister divides all edges by all, and a few in all combinations of registers.
func TestDivideByRegister(t *testing.T) {
	d := newDivider(t)
	var pairs [][2]uint64
	for _, a := range edges {
		for _, b := range edges {
			pairs = append(pairs, [2]uint64{a, b})
		}
	}
	d.each(func(in lower.Ins, op asm.ALUOp) {
		in.Dst, in.A, in.B = 1, 2, 3
		d.check(in, op, pairs)
		for in.Dst = range lower.Reg(9) {
			for in.A = range lower.Reg(9) {
				for in.B = range lower.Reg(9) {
					some := [][2]uint64{{1 << 63, math.MaxUint64}, {1<<31 | 5<<32, math.MaxUint32}, {1<<40 + 77, 0}, {77, 1 << 32}}
					for range 4 {
						some = append(some, pairs[d.rng.IntN(len(pairs))])
					}
					d.check(in, op, some)
				}
			}
		}
	})
}

// TestDivideByConstant divides all edges by those that instructions can have, in several registers for each.
func TestDivideByConstant(t *testing.T) {
	d := newDivider(t)
	var dividends [][2]uint64
	for _, a := range edges {
		dividends = append(dividends, [2]uint64{a})
	}
	d.each(func(in lower.Ins, op asm.ALUOp) {
		in.B = lower.None
		for _, k := range edges {
			if in.Imm = int64(k); in.Imm != int64(int32(k)) {
				continue
			}
			// Around multiples of the divisor there is more to see.
			near := dividends
			for range 20 {
				m := d.rng.Uint64() >> d.rng.IntN(60) * k
				near = append(near, [2]uint64{m}, [2]uint64{m - 1}, [2]uint64{m + 1})
			}
			in.Dst = lower.Reg(d.rng.IntN(9))
			for in.A = range lower.Reg(9) {
				d.check(in, op, near)
				in.Dst = (in.Dst + 1) % 9
			}
			in.A = in.Dst
			d.check(in, op, near)
		}
	})
}
