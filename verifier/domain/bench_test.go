package domain

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

// operands are scalars as programs have them: bytes and words loaded, masked,
// compared, added and shifted.
func operands(r Rules) []Scalar {
	byteLoad, word := r.Truncate(Unknown(), 8), r.Truncate(Unknown(), 32)
	length, limit := word, Const(1500)
	r.Refine(asm.JLE, true, true, &length, &limit)
	index := r.ALU(asm.LSh, true, byteLoad, Const(3))
	index = r.ALU(asm.Add, true, index, Const(14))
	offset := r.ALU(asm.And, true, Unknown(), Const(0xfffc))
	delta := r.MovSX(true, Unknown(), 16)
	return []Scalar{Unknown(), Const(8), byteLoad, word, length, index, offset, delta}
}

// hot are the operations that a verifier spends its time in.
func hot(r Rules, values []Scalar) map[string]func(i int) {
	n := len(values)
	at := func(i int) (a, b Scalar) { return values[i%n], values[(i/n+i)%n] }
	ops := map[string]func(i int){
		"sync": func(i int) {
			a, _ := at(i)
			a.S32 = Bounds[int32]{-1 << 31, 1<<31 - 1} // something to find out
			sink, sinkBool = r.Sync(a)
		},
		"movsx":    func(i int) { a, _ := at(i); sink = r.MovSX(true, a, 32) },
		"truncate": func(i int) { a, _ := at(i); sink = r.Truncate(a, 16) },
		"bswap":    func(i int) { a, _ := at(i); sink = r.BSwap(a, 16) },
		"neg":      func(i int) { a, _ := at(i); sink = r.Neg(true, a) },
		"includes": func(i int) { a, b := at(i); sinkBool = a.Includes(&b) },
		"decide":   func(i int) { a, b := at(i); sinkBool, _ = r.Decide(asm.JGT, true, &a, &b) },
	}
	for _, op := range []asm.JumpOp{asm.JEq, asm.JNE, asm.JGT, asm.JSLT, asm.JSet} {
		ops[fmt.Sprintf("refine %v", op)] = func(i int) {
			a, b := at(i)
			sinkBool = r.Refine(op, true, i&1 != 0, &a, &b)
			sink = a
		}
	}
	for _, op := range aluOps {
		ops[op.String()] = func(i int) { a, b := at(i); sink = r.ALU(op, true, a, b) }
		ops[op.String()+"32"] = func(i int) { a, b := at(i); sink = r.ALU(op, false, a, b) }
	}
	return ops
}

var (
	sink     Scalar
	sinkTnum Tnum
	sinkBool bool
)

var ruleNames = map[Rules]string{Linux: "linux", Tight: "tight"}

func BenchmarkRules(b *testing.B) {
	for _, r := range bothRules {
		for name, op := range hot(r, operands(r)) {
			b.Run(ruleNames[r]+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for i := range b.N {
					op(i)
				}
			})
		}
	}
}

func BenchmarkMul(b *testing.B) {
	r := newRand(5)
	var values [64]Tnum
	for i := range values {
		s, _ := randomScalar[w64](r, Linux)
		values[i] = s.Tnum
	}
	for name, mul := range map[string]func(a, b Tnum) Tnum{"both orders": Tnum.Mul, "Linux 6.18": Tnum.LongMul, "Linux 5.14": kernelMul} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				sinkTnum = mul(values[i%64], values[i/64%64])
			}
		})
	}
}

// TestAllocs shows that no operation allocates.
func TestAllocs(t *testing.T) {
	for _, r := range bothRules {
		values := operands(r)
		for name, op := range hot(r, values) {
			i := 0
			allocs := testing.AllocsPerRun(2*len(values)*len(values), func() { op(i); i++ })
			require.Zero(t, allocs, "%s %s", ruleNames[r], name)
		}
	}
}
