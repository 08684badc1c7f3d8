package domain

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

// under returns Linux's state of a register of which prandom's result is masked
// and compared.
func under(mask uint64, conditions ...condition) Scalar {
	s := Linux.ALU(asm.And, true, Unknown(), Const(mask))
	for _, c := range conditions {
		b := Const(uint64(c.imm))
		Linux.Refine(c.op, !c.narrow, c.taken, &s, &b)
	}
	return s
}

type condition struct {
	op     asm.JumpOp
	imm    int64
	taken  bool
	narrow bool
}

// TestLinuxAnswers has answers of Linux 6.18.44 on questions that tell the kernels,
// and the rules, apart.
func TestLinuxAnswers(t *testing.T) {
	const all = ^uint64(0)

	t.Run("range and bits meet in one number", func(t *testing.T) {
		s := under(12, condition{op: asm.JGT, imm: 7}, condition{op: asm.JLT, imm: 3})
		require.Equal(t, Const(4), s)
	})
	t.Run("the bounds of a word touch one end of its signed ones", func(t *testing.T) {
		s := under(all, condition{op: asm.JSLT, imm: -8, narrow: true}, condition{op: asm.JSGT, imm: 100, narrow: true},
			condition{op: asm.JGT, imm: int64(int32(-0x7ffffff0)), narrow: true})
		b := Const(100)
		known, taken := Linux.Decide(asm.JLE, false, &s, &b)
		require.True(t, known && taken, "%v", s)
	})
	t.Run("a bit test that fails forgets the bounds", func(t *testing.T) {
		s := under(all, condition{op: asm.JGT, imm: 10}, condition{op: asm.JSet, imm: 1})
		require.Equal(t, uint64(14), s.U64.Max)
		s = under(all, condition{op: asm.JSet, imm: 1}, condition{op: asm.JGT, imm: 10})
		require.Equal(t, uint64(10), s.U64.Max)
	})
	t.Run("bits that differ decide equality", func(t *testing.T) {
		a, b := under(6), under(6)
		b = Linux.ALU(asm.Or, true, b, Const(1))
		known, taken := Linux.Decide(asm.JEq, true, &a, &b)
		require.True(t, known && !taken)
	})
	t.Run("no folding", func(t *testing.T) {
		for _, op := range []asm.ALUOp{asm.Div, asm.Mod, asm.SDiv, asm.SMod} {
			require.Equal(t, Unknown(), Linux.ALU(op, true, Const(12), Const(4)))
			require.Equal(t, Unknown(), Linux.ALU(op, false, Const(12), Const(4)))
		}
		require.Equal(t, Unknown(), Linux.ALU(asm.LSh, true, Const(1), Const(70)))
		require.Equal(t, Unknown(), Linux.ALU(asm.Xor, true, Unknown(), Unknown()))
	})
	t.Run("a left shift gives up bounds that it need not", func(t *testing.T) {
		s := Unknown()
		s.U64.Max = 1<<62 + 1
		s, _ = Linux.Sync(s)
		require.Equal(t, unsigned{0, all - 1}, Linux.ALU(asm.LSh, true, s, Const(1)).U64)
		require.Equal(t, unsigned{0, 1<<63 + 2}, Tight.ALU(asm.LSh, true, s, Const(1)).U64)
	})
	t.Run("a byte swap moves known bits", func(t *testing.T) {
		require.Equal(t, Const(5), Linux.BSwap(Const(0x500), 16))
	})
	t.Run("a sign spread forks", func(t *testing.T) {
		sign, mask := Linux.ALU(asm.ArSh, true, Unknown(), Const(63)), Const(7)
		zero, ones, ok := Linux.Forks(asm.And, &sign, &mask)
		require.True(t, ok)
		require.Equal(t, Const(0), zero)
		require.Equal(t, Const(all), ones)
		_, _, ok = Linux.Forks(asm.Xor, &sign, &mask)
		require.False(t, ok)
		low, u := sign, Unknown()
		low.U64, low.S64 = u.U64, u.S64
		zero, ones, ok = Linux.Forks(asm.Or, &low, &mask)
		require.True(t, ok)
		require.True(t, zero.IsConst32() && ones.IsConst32() && zero.U32.Max == 0 && ones.U32.Min == 1<<32-1)
		_, _, ok = Linux.Forks(asm.Or, &mask, &mask)
		require.False(t, ok)
	})
	t.Run("a contradiction forgets the bounds and nothing else", func(t *testing.T) {
		u := Unknown()
		for _, broken := range []func(*Scalar){
			func(s *Scalar) { s.U64 = unsigned{21, 10} },
			func(s *Scalar) { s.S32.Min = s.S32.Max + 1 },
			func(s *Scalar) { s.Tnum = TnumConst(3) },
			func(s *Scalar) { s.Tnum = Tnum{3, 0xffffffff00000000} },
		} {
			s := under(15)
			broken(&s)
			want := u
			want.Tnum = s.Tnum
			linuxSane[w64](&s)
			require.Equal(t, want, s)
		}
		s := under(15)
		sane := s
		linuxSane[w64](&s)
		require.Equal(t, sane, s)
	})
}

// TestLinuxConstants shows that Linux's steps come to the constant that the shortcuts
// of linuxSync and of alu return.
func TestLinuxConstants(t *testing.T) {
	r := newRand(6)
	for range randomTries() / 10 {
		s, v := randomScalar[w64](r, Linux)
		s.Tnum = TnumConst(v)
		linuxSteps[w64](&s)
		require.Equal(t, Const(v), s)

		w := random(r)
		for _, op := range []asm.ALUOp{asm.Add, asm.Sub, asm.Mul, asm.And, asm.Or, asm.Xor} {
			for _, wide := range []bool{true, false} {
				c, got := Const(w), s
				linuxALU[w64](op, wide, &got, &c)
				require.Equal(t, got, Linux.ALU(op, wide, s, c))
				same, _ := randomScalar[w64](r, Linux)
				want := Linux.ALU(op, wide, same, same)
				Linux.ALUTo(op, wide, &same, &same)
				require.Equal(t, want, same)
			}
		}
	}
}

// TestLinuxSmall shows that numbers for which there is a shortcut come out of it as they do of all
// steps, and that there are such.
func TestLinuxSmall(t *testing.T) {
	small := 0
	rawScalars(97, func(raw Scalar) { small += requireSmall[w4](t, raw) })
	require.Positive(t, small)
	small = 0
	r := newRand(8)
	for range randomTries() {
		a, _ := randomScalar[w64](r, Linux)
		b, _ := randomScalar[w64](r, Linux)
		raw := a.intersect(&b)
		small += requireSmall[w64](t, raw) + requireSmall[w64](t, a)
		raw.S64, raw.U32 = a.S64, b.U32
		small += requireSmall[w64](t, raw)
	}
	require.Greater(t, small, randomTries()/100)
}

// requireSmall returns 1 if linuxSmall applies to raw.
func requireSmall[W width](t *testing.T, raw Scalar) int {
	got, want := raw, raw
	if !linuxSmall[W](&got) {
		return 0
	}
	linuxDeduce[W](&want)
	linuxToBits[W](&want)
	if got != want {
		require.Fail(t, "shortcut", "%v becomes %v, by all steps %v", raw, got, want)
	}
	return 1
}

// TestLinuxSettled shows that what linuxSettled says is in order stays as it is, and that most
// results are.
func TestLinuxSettled(t *testing.T) {
	rawScalars(97, func(raw Scalar) { requireSettled[w4](t, raw) })
	settledAtRandom[w8](t)
	settledAtRandom[w64](t)
	for _, s := range []Scalar{Unknown(), Linux.Truncate(Unknown(), 32), Linux.Truncate(Unknown(), 8)} {
		require.Equal(t, 1, requireSettled[w64](t, s))
	}
}

func settledAtRandom[W width](t *testing.T) {
	r, settled := newRand(9), 0
	for range randomTries() {
		s, _ := randomScalar[W](r, Linux)
		settled += requireSettled[W](t, s)
		s.U32.Max--
		requireSettled[W](t, s)
	}
	require.Greater(t, settled, randomTries()/100)
}

// requireSettled returns 1 if s is in order.
func requireSettled[W width](t *testing.T, s Scalar) int {
	if !linuxSettled[W](&s) {
		return 0
	}
	got := s
	linuxSteps[W](&got)
	if got != s {
		require.Fail(t, "not settled", "%v becomes %v", s, got)
	}
	return 1
}

// TestTighter has what Tight knows and Linux does not.
func TestTighter(t *testing.T) {
	require.Equal(t, Const(3), Tight.ALU(asm.Div, true, Const(12), Const(4)))
	require.Equal(t, unsigned{0, 9}, Tight.ALU(asm.Mod, true, Unknown(), Const(10)).U64)
	require.Equal(t, signed{-9, 9}, Tight.ALU(asm.SMod, true, Unknown(), Const(10)).S64)
	minutes := Tight.ALU(asm.Div, false, Unknown(), Const(60))
	require.Equal(t, uint64(1<<32-1)/60, minutes.U64.Max)

	count := Tight.ALU(asm.And, true, Unknown(), Const(7))
	require.Equal(t, unsigned{1, 128}, Tight.ALU(asm.LSh, true, Const(1), count).U64)

	a, b := Unknown(), Const(10)
	require.True(t, Tight.Refine(asm.JLE, true, true, &a, &b))
	one := Const(1)
	require.True(t, Tight.Refine(asm.JSet, true, false, &a, &one))
	require.Equal(t, uint64(10), a.U64.Max)
	eleven := Const(11)
	require.False(t, Tight.Refine(asm.JEq, true, true, &a, &eleven))

	zero := Const(0)
	s := Unknown()
	require.True(t, Tight.Refine(asm.JSet, true, true, &s, &eleven))
	require.Equal(t, uint64(1), s.U64.Min)
	require.False(t, Tight.Refine(asm.JSet, true, true, &s, &zero))
	_, _, ok := Tight.Forks(asm.And, &s, &zero)
	require.False(t, ok)
}
