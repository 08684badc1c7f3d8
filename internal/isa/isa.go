// Package isa says what each instruction computes: the only place where it is
// written as plain Go, one function a kind. The engines and the verifier are
// tested against it.
//
// The rules are those of RFC 9669, sections 4.1 and 4.2: division by zero gives
// 0, modulo zero leaves the dividend, the most negative number divided by -1 is
// itself with remainder 0, shift counts are masked to the width, and 32-bit
// results are zero-extended.
package isa

import (
	"math"
	"math/bits"
	"unsafe"

	"github.com/sandbpf/sandbpf/asm"
)

// ALU returns dst op src, on 64 bits if wide, else on the lower 32 bits of both.
func ALU(op asm.ALUOp, wide bool, dst, src uint64) uint64 {
	if wide {
		return alu64(op, dst, src)
	}
	return uint64(alu32(op, uint32(dst), uint32(src)))
}

func alu64(op asm.ALUOp, x, y uint64) uint64 {
	switch op {
	case asm.Add:
		return x + y
	case asm.Sub:
		return x - y
	case asm.Mul:
		return x * y
	case asm.Or:
		return x | y
	case asm.And:
		return x & y
	case asm.Xor:
		return x ^ y
	case asm.Mov:
		return y
	case asm.LSh:
		return x << (y & 63)
	case asm.RSh:
		return x >> (y & 63)
	case asm.ArSh:
		return uint64(int64(x) >> (y & 63))
	case asm.Div:
		return Div64(x, y)
	case asm.Mod:
		return Mod64(x, y)
	case asm.SDiv:
		return SDiv64(x, y)
	case asm.SMod:
		return SMod64(x, y)
	}
	panic("isa: no such operation: " + op.String())
}

func alu32(op asm.ALUOp, x, y uint32) uint32 {
	switch op {
	case asm.LSh:
		return x << (y & 31)
	case asm.RSh:
		return x >> (y & 31)
	case asm.ArSh:
		return uint32(int32(x) >> (y & 31))
	case asm.Div:
		return Div32(x, y)
	case asm.Mod:
		return Mod32(x, y)
	case asm.SDiv:
		return SDiv32(x, y)
	case asm.SMod:
		return SMod32(x, y)
	}
	// What is left never carries information down from the upper half.
	return uint32(alu64(op, uint64(x), uint64(y)))
}

// Div64 returns x / y, 0 if y is 0.
func Div64(x, y uint64) uint64 {
	if y == 0 {
		return 0
	}
	return x / y
}

// Mod64 returns x mod y, x if y is 0.
func Mod64(x, y uint64) uint64 {
	if y == 0 {
		return x
	}
	return x % y
}

// SDiv64 returns x / y as signed numbers, rounded towards zero; 0 if y is 0.
func SDiv64(x, y uint64) uint64 {
	switch {
	case y == 0:
		return 0
	case y == math.MaxUint64: // -1: the negation, which wraps where Go's / would
		return -x
	}
	return uint64(int64(x) / int64(y))
}

// SMod64 returns the remainder of [SDiv64], with the sign of x; x if y is 0.
func SMod64(x, y uint64) uint64 {
	switch {
	case y == 0:
		return x
	case y == math.MaxUint64:
		return 0
	}
	return uint64(int64(x) % int64(y))
}

// Div32 is [Div64] on 32 bits.
func Div32(x, y uint32) uint32 {
	if y == 0 {
		return 0
	}
	return x / y
}

// Mod32 is [Mod64] on 32 bits.
func Mod32(x, y uint32) uint32 {
	if y == 0 {
		return x
	}
	return x % y
}

// SDiv32 is [SDiv64] on 32 bits.
func SDiv32(x, y uint32) uint32 {
	switch {
	case y == 0:
		return 0
	case y == math.MaxUint32:
		return -x
	}
	return uint32(int32(x) / int32(y))
}

// SMod32 is [SMod64] on 32 bits.
func SMod32(x, y uint32) uint32 {
	switch {
	case y == 0:
		return x
	case y == math.MaxUint32:
		return 0
	}
	return uint32(int32(x) % int32(y))
}

// Neg returns -x, on 64 bits if wide, else on the lower 32 bits.
func Neg(wide bool, x uint64) uint64 {
	if wide {
		return -x
	}
	return uint64(-uint32(x))
}

// SignExtend returns the low bits (8, 16, 32 or 64) of x sign-extended to 64.
func SignExtend(x uint64, bits uint8) uint64 {
	shift := 64 - bits
	return uint64(int64(x<<shift) >> shift)
}

// MovSX returns the low bits of x sign-extended, to 64 bits if wide, else to
// 32 with a zero upper half.
func MovSX(wide bool, x uint64, bits uint8) uint64 {
	x = SignExtend(x, bits)
	if !wide {
		x = uint64(uint32(x))
	}
	return x
}

// BSwap returns the low n bits (16, 32 or 64) of x in reverse byte order.
func BSwap(x uint64, n uint8) uint64 { return bits.ReverseBytes64(x) >> (64 - n) }

// Truncate returns the low n bits of x.
func Truncate(x uint64, n uint8) uint64 { return x << (64 - n) >> (64 - n) }

// ToBE returns the low n bits of x, a number of this machine, in big-endian order.
func ToBE(x uint64, n uint8) uint64 {
	if BigEndian {
		return Truncate(x, n)
	}
	return BSwap(x, n)
}

// ToLE returns the low n bits of x, a number of this machine, in little-endian order.
func ToLE(x uint64, n uint8) uint64 {
	if BigEndian {
		return BSwap(x, n)
	}
	return Truncate(x, n)
}

// BigEndian reports whether this machine is big-endian, as programs see it.
var BigEndian = func() bool {
	x := uint16(1)
	return *(*byte)(unsafe.Pointer(&x)) == 0
}()

// Compare reports whether dst op src holds, on 64 bits if wide, else on the
// lower 32 bits of both.
func Compare(op asm.JumpOp, wide bool, dst, src uint64) bool {
	sd, ss := int64(dst), int64(src)
	if !wide {
		dst, src = uint64(uint32(dst)), uint64(uint32(src))
		sd, ss = int64(int32(dst)), int64(int32(src))
	}
	switch op {
	case asm.JEq:
		return dst == src
	case asm.JNE:
		return dst != src
	case asm.JGT:
		return dst > src
	case asm.JGE:
		return dst >= src
	case asm.JLT:
		return dst < src
	case asm.JLE:
		return dst <= src
	case asm.JSet:
		return dst&src != 0
	case asm.JSGT:
		return sd > ss
	case asm.JSGE:
		return sd >= ss
	case asm.JSLT:
		return sd < ss
	case asm.JSLE:
		return sd <= ss
	}
	panic("isa: no such condition: " + op.String())
}

// Atomic returns what an atomic read-modify-write leaves in memory that holds
// old. For compare-and-exchange r0 is the expected value. On 32 bits the
// operands count with their lower halves, and so does the result.
func Atomic(op asm.AtomicOp, wide bool, old, src, r0 uint64) uint64 {
	if !wide {
		old, src, r0 = uint64(uint32(old)), uint64(uint32(src)), uint64(uint32(r0))
	}
	var v uint64
	switch op {
	case asm.AtomicAdd, asm.AtomicFetchAdd:
		v = old + src
	case asm.AtomicOr, asm.AtomicFetchOr:
		v = old | src
	case asm.AtomicAnd, asm.AtomicFetchAnd:
		v = old & src
	case asm.AtomicXor, asm.AtomicFetchXor:
		v = old ^ src
	case asm.AtomicXchg:
		v = src
	case asm.AtomicCmpXchg:
		v = old
		if old == r0 {
			v = src
		}
	default:
		panic("isa: no such atomic operation: " + op.String())
	}
	if !wide {
		v = uint64(uint32(v))
	}
	return v
}
