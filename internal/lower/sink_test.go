package lower

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

// TestSinkInto moves what one way onward needs there, with what that needs alone, and leaves what somebody else reads,
// or would read something else.
func TestSinkInto(t *testing.T) {
	const r0, r1, r2, r3, r4, r5 = Regs(1), Regs(2), Regs(4), Regs(8), Regs(16), Regs(32)
	for _, c := range []struct {
		name, block   string
		to, others    Regs // that are read there
		left, moved   string
		begin, behind Regs // that are read at the beginning of where it goes, and behind the block
	}{
		{"one", "r3 = r1; r3 += 1", r3 | r2, r2, "nop; nop", "r3 = r1; r3 = r3 + 1; r0 = 0", r1 | r2, r1 | r2},
		{"what others need too", "r4 = r1; r3 = r4; r3 += 1", r3, r4, "r4 = r1; nop; nop", "r3 = r4; r3 = r3 + 1; r0 = 0", r4, r4},
		{"both ways", "r3 = r1", r3, r3, "r3 = r1", "r0 = 0", r3, r3},
		{"read meanwhile", "r3 = r1; r0 = r3", r3, r0, "r3 = r1; r0 = r3", "r0 = 0", r3, r3 | r0},
		{"read by the jump", "r1 += 1", r1 | r2, r2, "r1 = r1 + 1", "r0 = 0", r1 | r2, r1 | r2},
		{"an operand changes", "r3 = r2; r2 += 1; r4 = r2", r3 | r4, r2, "r3 = r2; r2 = r2 + 1; nop", "r4 = r2; r0 = 0", r2 | r3, r2 | r3},
		{"computed again", "r3 = 5; r3 = *(u8 *)(r2 + 0)", r3, 0, "r3 = 5; r3 = u8[r2]?", "r0 = 0", r3, r3},
		{"computed from itself", "r3 = 5; r3 += r2; r3 *= r2", r3, r2, "nop; nop; nop", "r3 = 5; r3 = r3 + r2; r3 = r3 * r2; r0 = 0", r2, r2},
		{"a load", "r3 = *(u8 *)(r2 + 0); r3 += 1", r3, 0, "r3 = u8[r2]?; nop", "r3 = r3 + 1; r0 = 0", r3, r3},
	} {
		p := build(t, c.block+"; if r1 == 7 goto l; l: r0 = 0; exit", Env{})
		b, to := &p.Blocks[0], &p.Blocks[1]
		to.Ins = to.Ins[:1]
		to.LiveIn, b.LiveOut = c.to, c.to|c.others
		require.Equal(t, c.moved != "r0 = 0", p.sinkInto(b, to, c.others), c.name)
		require.Equal(t, c.left+"; if r1 jeq 7 goto 1", b.text(), c.name)
		require.Equal(t, c.moved, to.text(), c.name)
		require.Equal(t, c.begin, to.LiveIn, c.name)
		require.Equal(t, c.behind, b.LiveOut, c.name)
		if c.moved != "r0 = 0" {
			require.Equal(t, int32(-1), to.Origin, "%s: what was known there is known of other registers", c.name)
		}
	}
}

// TestSinkShift leaves a shift that changes a register beside its result.
func TestSinkShift(t *testing.T) {
	p := build(t, "r3 = r1; r3 <<= r2; if r1 == 7 goto l; l: r0 = 0; exit", Env{})
	b, to := &p.Blocks[0], &p.Blocks[1]
	to.LiveIn = bit(Reg(asm.R3))
	b.Ins[1].Scale = 1 // it may leave the count in r4
	require.False(t, p.sinkInto(b, to, 0))
	b.Ins[1].Scale = 0
	require.True(t, p.sinkInto(b, to, 0))
}
