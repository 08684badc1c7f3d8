package isa

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

// edges are the values at which an operation may turn: around zero, the sign
// bits and the widths of 8, 16, 32 and 64 bits, and shift counts.
var edges = func() []uint64 {
	var v []uint64
	for _, bit := range []uint{0, 1, 4, 5, 6, 7, 8, 15, 16, 31, 32, 33, 47, 63} {
		for d := -1; d <= 1; d++ {
			v = append(v, 1<<bit+uint64(d), -(1<<bit)+uint64(d), 1<<63|1<<bit+uint64(d), 0xffffffff<<32|1<<bit+uint64(d))
		}
	}
	return append(v, 0x0123456789abcdef, 0xfedcba9876543210, 0x5555555555555555)
}()

// values returns the edges, or a third of them where time is short: under an
// emulator all pairs take minutes.
func values() []uint64 {
	if !testing.Short() {
		return edges
	}
	var some []uint64
	for i := 0; i < len(edges); i += 3 {
		some = append(some, edges[i])
	}
	return some
}

// Integers without a width are the oracle: they know nothing of wrapping.

func unsigned(x uint64, bits uint) *big.Int { return truncate(new(big.Int).SetUint64(x), bits) }

func signed(x uint64, bits uint) *big.Int {
	v := unsigned(x, bits)
	if v.Bit(int(bits)-1) == 1 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), bits))
	}
	return v
}

// truncate returns v modulo 2^bits, not negative.
func truncate(v *big.Int, bits uint) *big.Int {
	mod := new(big.Int).Lsh(big.NewInt(1), bits)
	return new(big.Int).Mod(v, mod)
}

func oracleALU(op asm.ALUOp, bits uint, x, y uint64) uint64 {
	a, b, z := unsigned(x, bits), unsigned(y, bits), new(big.Int)
	sa, sb := signed(x, bits), signed(y, bits)
	shift := uint(y) & (bits - 1)
	switch op {
	case asm.Add:
		z.Add(a, b)
	case asm.Sub:
		z.Sub(a, b)
	case asm.Mul:
		z.Mul(a, b)
	case asm.And:
		z.And(a, b)
	case asm.Or:
		z.Or(a, b)
	case asm.Xor:
		z.Xor(a, b)
	case asm.Mov:
		z.Set(b)
	case asm.LSh:
		z.Lsh(a, shift)
	case asm.RSh:
		z.Rsh(a, shift)
	case asm.ArSh:
		z.Rsh(sa, shift)
	case asm.Div:
		if b.Sign() != 0 {
			z.Quo(a, b)
		}
	case asm.SDiv:
		if sb.Sign() != 0 {
			z.Quo(sa, sb)
		}
	case asm.Mod:
		if z.Set(a); b.Sign() != 0 {
			z.Rem(a, b)
		}
	case asm.SMod:
		if z.Set(sa); sb.Sign() != 0 {
			z.Rem(sa, sb)
		}
	}
	return truncate(z, bits).Uint64()
}

// width returns what the flag of an instruction means in bits.
func width(wide bool) uint {
	if wide {
		return 64
	}
	return 32
}

func TestALU(t *testing.T) {
	for _, op := range []asm.ALUOp{asm.Add, asm.Sub, asm.Mul, asm.Div, asm.Or, asm.And, asm.LSh, asm.RSh, asm.Mod, asm.Xor,
		asm.Mov, asm.ArSh, asm.SDiv, asm.SMod} {
		for _, wide := range []bool{false, true} {
			for _, x := range values() {
				for _, y := range values() {
					if want, got := oracleALU(op, width(wide), x, y), ALU(op, wide, x, y); want != got {
						t.Fatalf("%v wide=%v %#x, %#x = %#x, should be %#x", op, wide, x, y, got, want)
					}
				}
			}
		}
	}
}

func TestCompare(t *testing.T) {
	for op, holds := range map[asm.JumpOp]func(u, s int, and bool) bool{
		asm.JEq:  func(u, _ int, _ bool) bool { return u == 0 },
		asm.JNE:  func(u, _ int, _ bool) bool { return u != 0 },
		asm.JGT:  func(u, _ int, _ bool) bool { return u > 0 },
		asm.JGE:  func(u, _ int, _ bool) bool { return u >= 0 },
		asm.JLT:  func(u, _ int, _ bool) bool { return u < 0 },
		asm.JLE:  func(u, _ int, _ bool) bool { return u <= 0 },
		asm.JSGT: func(_, s int, _ bool) bool { return s > 0 },
		asm.JSGE: func(_, s int, _ bool) bool { return s >= 0 },
		asm.JSLT: func(_, s int, _ bool) bool { return s < 0 },
		asm.JSLE: func(_, s int, _ bool) bool { return s <= 0 },
		asm.JSet: func(_, _ int, and bool) bool { return and },
	} {
		for _, wide := range []bool{false, true} {
			n := width(wide)
			for _, x := range values() {
				for _, y := range values() {
					a, b := unsigned(x, n), unsigned(y, n)
					want := holds(a.Cmp(b), signed(x, n).Cmp(signed(y, n)), new(big.Int).And(a, b).Sign() != 0)
					if got := Compare(op, wide, x, y); got != want {
						t.Fatalf("%v wide=%v %#x, %#x is %v", op, wide, x, y, got)
					}
				}
			}
		}
	}
}

func TestUnary(t *testing.T) {
	for _, x := range values() {
		for _, wide := range []bool{false, true} {
			n := width(wide)
			require.Equal(t, truncate(new(big.Int).Neg(unsigned(x, n)), n).Uint64(), Neg(wide, x))
			for _, bits := range []uint8{8, 16, 32} {
				require.Equal(t, truncate(signed(x, uint(bits)), n).Uint64(), MovSX(wide, x, bits), "%#x %d", x, bits)
			}
		}
		for _, bits := range []uint8{8, 16, 32, 64} {
			require.Equal(t, unsigned(x, uint(bits)).Uint64(), Truncate(x, bits))
			require.Equal(t, truncate(signed(x, uint(bits)), 64).Uint64(), SignExtend(x, bits))
		}
	}
}

// TestByteOrder goes through memory, as the instructions are meant.
func TestByteOrder(t *testing.T) {
	for _, x := range values() {
		for _, bits := range []uint8{16, 32, 64} {
			t.Run(fmt.Sprintf("%#x/%d", x, bits), func(t *testing.T) {
				n := int(bits) / 8
				var be, le [8]byte
				binary.BigEndian.PutUint64(be[:], x)
				binary.LittleEndian.PutUint64(le[:], x)
				low := Truncate(x, bits)
				big, little := be[8-n:], le[:n] // the low bits in either order
				require.Equal(t, native(big), ToBE(x, bits))
				require.Equal(t, native(little), ToLE(x, bits))
				if BigEndian {
					require.Equal(t, low, ToBE(x, bits))
				} else {
					require.Equal(t, low, ToLE(x, bits))
				}
				require.Equal(t, low, BSwap(BSwap(x, bits), bits))
				require.NotEqual(t, ToBE(0x0102030405060708, bits), ToLE(0x0102030405060708, bits))
			})
		}
	}
}

func native(b []byte) uint64 {
	switch len(b) {
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	}
	return binary.NativeEndian.Uint64(b)
}

func TestAtomic(t *testing.T) {
	plain := map[asm.AtomicOp]asm.ALUOp{
		asm.AtomicAdd: asm.Add, asm.AtomicOr: asm.Or, asm.AtomicAnd: asm.And, asm.AtomicXor: asm.Xor,
		asm.AtomicFetchAdd: asm.Add, asm.AtomicFetchOr: asm.Or, asm.AtomicFetchAnd: asm.And, asm.AtomicFetchXor: asm.Xor,
		asm.AtomicXchg: asm.Mov,
	}
	for _, wide := range []bool{false, true} {
		n := width(wide)
		for _, old := range values() {
			for _, src := range values() {
				for op, alu := range plain {
					require.Equal(t, oracleALU(alu, n, old, src), Atomic(op, wide, old, src, 0), "%v wide=%v %#x %#x", op, wide, old, src)
				}
				same := Atomic(asm.AtomicCmpXchg, wide, old, src, old)
				require.Equal(t, unsigned(src, n).Uint64(), same)
				other := Atomic(asm.AtomicCmpXchg, wide, old, src, old^1)
				require.Equal(t, unsigned(old, n).Uint64(), other)
				if !wide { // what is in the upper halves does not matter
					require.Equal(t, same, Atomic(asm.AtomicCmpXchg, wide, old, src, old^1<<40))
				}
			}
		}
	}
}
