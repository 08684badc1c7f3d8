package domain

import "github.com/sandbpf/sandbpf/asm"

// Rules says how much is deduced. Both are sound; they differ in precision.
type Rules uint8

const (
	// Linux deduces what Linux 6.18.44 does, limit for limit, so that a verifier
	// comes to the same verdict. It does not notice contradictions.
	Linux Rules = iota
	// Tight deduces more. It never knows less than Linux of the result of one operation.
	Tight
)

// Sync returns s with each part as narrow as the others make it. It returns false
// if no number satisfies all parts; Linux never says so.
func (r Rules) Sync(s Scalar) (Scalar, bool) {
	if r == Linux {
		linuxSync[w64](&s)
		return s, true
	}
	ok := sync[w64](&s)
	return s, ok
}

// ALU returns what is known of dst op src, on 64 bits if wide, else on the lower 32 bits with
// a zero upper half (RFC 9669, section 4.1). Immediate operands are constants, sign-extended. An
// op that does not exist gives an unknown scalar.
func (r Rules) ALU(op asm.ALUOp, wide bool, dst, src Scalar) Scalar {
	return aluOf[w64](r, op, wide, dst, src)
}

func aluOf[W width](r Rules, op asm.ALUOp, wide bool, dst, src Scalar) Scalar {
	if op == asm.Mov {
		return move[W](r, wide, src)
	}
	if r == Linux {
		return linuxALU[W](op, wide, &dst, &src)
	}
	n := bitsOf[W]()
	h := n / 2
	if !wide {
		a, b := dst.low(h), src.low(h)
		t := tnumALU(op, a.t, b, h)
		return settle[W](extend(word{t, boundsALU(op, a, b, t, h)}.flat(), h))
	}
	return settle[W](wideALU[W](op, &dst, &src))
}
