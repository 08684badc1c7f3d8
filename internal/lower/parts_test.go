package lower

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

// TestNarrows finds what of a register's parts may be left behind a block.
func TestNarrows(t *testing.T) {
	for _, c := range []struct {
		name, block string
		before      uint64 // what r1 may be
		want        uint64 // what r0 may be, behind
	}{
		{"nothing", "r0 = r1", allBits, allBits},
		{"a copy", "r0 = r1", 0xff, 0xff},
		{"a copy of a copy", "r3 = r1; r0 = r3", 0xffff, 0xffff},
		{"the lower half", "w0 = w1", allBits, 0xffffffff},
		{"the lower half of a byte", "w0 = w1", 0xff, 0xff},
		{"a byte", "r0 = *(u8 *)(r2 + 0)", allBits, 0xff},
		{"two", "r0 = *(u16 *)(r2 + 0)", allBits, 0xffff},
		{"four", "r0 = *(u32 *)(r2 + 0)", allBits, 0xffffffff},
		{"eight", "r0 = *(u64 *)(r2 + 0)", allBits, allBits},
		{"a signed byte", "r0 = *(s8 *)(r2 + 0)", allBits, allBits},
		{"a constant", "r0 = 0x100", allBits, 0xffff},
		{"a negative one", "r0 = -1", allBits, allBits},
		{"a negative one of 32 bits", "w0 = -1", allBits, 0xffffffff},
		{"a mask", "r0 = r1; r0 &= 0xfff", allBits, 0xffff},
		{"a mask with a hole", "r0 = r1; r0 &= 0xff0000", allBits, 0xffff00ff},
		{"a mask of a byte", "r0 = r1; r0 &= 0xfff", 0xff, 0xff},
		{"a negative mask", "r0 = r1; r0 &= -8", 0xffff, 0xffff},
		{"and a register", "r0 = r1; r0 &= r2", 0xff, 0xff},
		{"or", "r0 = r1; r0 |= 1", 0xff, allBits},
		{"a sum", "r0 = r1; r0 += 1", 0xff, allBits},
		{"a sum of 32 bits", "w0 = w1; w0 += 1", 0xff, 0xffffffff},
		{"shifted", "r0 = r1; r0 >>= 48", allBits, 0xffff},
		{"shifted, 32 bits", "r0 = r1; w0 >>= 24", allBits, 0xff},
		{"shifted by a register", "r0 = r1; r0 >>= r2", 0xff, allBits},
		{"shifted, signed", "r0 = r1; r0 s>>= 60", allBits, allBits},
		{"bytes turned round", "r0 = r1; r0 = be16 r0", allBits, 0xffff},
		{"two bytes", "r0 = r1; r0 = le16 r0", allBits, 0xffff},
		{"the last counts", "r0 = 5; r0 = *(u64 *)(r2 + 0)", allBits, allBits},
		{"fetched, 32 bits", "r0 = 5; w0 = atomic_fetch_add((u32 *)(r2 + 0), w0)", allBits, allBits},
		{"exchanged with r0", "r3 = 1; r0 = 5; r0 = cmpxchg_64(r2 + 0, r0, r3)", allBits, allBits},
		{"acquired", "r0 = 5; r0 = load_acquire((u64 *)(r2 + 0))", allBits, allBits},
		{"a helper", "r0 = 5; call bpf_get_prandom_u32", allBits, allBits},
		{"a function", "r0 = 5; r1 = 1; call f", allBits, allBits},
		{"fetched", "r0 = 5; r0 = atomic_fetch_add((u64 *)(r2 + 0), r0)", allBits, allBits},
	} {
		p := build(t, c.block+"; if r1 == 7 goto l; l: r0 = 0; exit; f: if r1 == 0 goto m; r0 = 1; m: exit", Env{})
		in := allRegisterParts &^ (registerParts(allParts) << (3 * asm.R1))
		in |= registerParts(partsOf(c.before)) << (3 * asm.R1)
		at := p.narrows(&p.Blocks[0])
		require.Equal(t, c.want, partBits[at.behind(in).of(Reg(asm.R0))], c.name)
	}
}

// TestParts knows bytes that a loop hands on to its next trip, and not those that one way makes longer.
func TestParts(t *testing.T) {
	const loop = "r0 = 0; r3 = 0; l: r4 = r3; r4 &= 255; r0 += r4; r3 = *(u8 *)(r1 + 0); if r0 == 5 goto m; {}; m: r1 += 1; if r0 < 99 goto l; exit"
	text := func(also string) string {
		p := build(t, strings.Replace(loop, "{}", also, 1), Env{Without: PassUnroll})
		Run(p)
		return p.text()
	}
	require.NotContains(t, text("r0 += 7"), "255")
	require.Contains(t, text("r3 += 1"), "r3 & 255")
	require.Contains(t, text("r3 = r0"), "r3 & 255")
	require.NotContains(t, text("r3 = 9"), "255")
	require.Contains(t, text("r3 = 999"), "r3 & 255")
}
