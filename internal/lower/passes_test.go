package lower

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/mem"
)

// shows has, for each pass, a program that it does something to.
var shows = map[Pass]string{
	PassLookups:     "call bpf_get_smp_processor_id; exit",
	PassCalls:       "r1 = 3; call f; exit; f: r0 = r1; exit",
	PassConstants:   "r3 = 7; again: r1 += r3; r2 -= 1; if r2 != 0 goto again; r0 = r1; exit",
	PassParts:       "r0 = 0; r3 = 0; again: r4 = r3; r4 &= 255; r0 += r4; r3 = *(u8 *)(r1 + 0); r1 += 1; if r0 < 99 goto again; exit",
	PassBlocks:      "r3 = r1; r0 = r3; exit",
	PassExtensions:  "r0 = r1; r0 <<= 32; r0 >>= 32; exit",
	PassRotations:   "r3 = r1; r3 <<= 13; r0 = r1; r0 >>= 51; r0 |= r3; exit",
	PassStrength:    "r0 = r1; r0 *= 8; exit",
	PassSums:        "r0 = r1; r0 += 4; r0 += 8; exit",
	PassMulAdd:      "r0 = r1; r0 *= 33; r0 += r2; exit",
	PassPopcount:    "r1 = *(u64 *)(r1 + 0); " + countBits("w", 0x55555555, 0x33333333, 0x0f0f0f0f, 0x01010101, 24),
	PassLowest:      "r2 = r1; r2 = -r2; r2 &= r1; r0 = r1; r0 ^= r2; exit",
	PassMerge:       "r3 = *(u8 *)(r10 - 8); r4 = *(u8 *)(r10 - 7); r4 <<= 8; r4 |= r3; r0 = r4; exit",
	PassLea:         "r0 = r1; r0 <<= 2; r0 += r2; exit",
	PassForward:     "*(u64 *)(r10 - 8) = r1; r0 = *(u64 *)(r10 - 8); exit",
	PassAddresses:   "r3 = r1; r3 += 4; r0 = *(u32 *)(r3 + 8); exit",
	PassUnroll:      "r0 = 0; again: r0 += r1; if r0 < r2 goto again; exit",
	PassSink:        "r0 = 0; again: r3 = r2; r3 += 7; if r0 != 5 goto a; r0 *= r3; a: r0 += 3; r2 += 1; if r2 != 80 goto again; exit",
	PassReassociate: "r0 = 0; r3 = r2; r3 += 64; again: r1 = *(u8 *)(r2 + 0); r0 += r1; r2 += 1; if r2 != r3 goto again; exit",
	PassOperands:    "r0 = r1; r2 = *(u64 *)(r10 - 8); r0 ^= r2; exit",
	PassAlign:       "r0 = 0; again: r0 += r1; if r0 < r2 goto again; exit",
}

// TestPasses leaves out each pass, and sees that it is gone.
func TestPasses(t *testing.T) {
	lowered := func(text string, without Pass) (lines []string) {
		p := build(t, text, Env{Without: without, Popcount: true, Cells: func(uint64) (c mem.Cells, ok bool) { return c, false }})
		Run(p)
		allOperands(p)
		for i := range p.Blocks {
			text := p.Blocks[i].text()
			if p.Blocks[i].Align {
				text = "align " + text
			}
			lines = append(lines, text)
		}
		return lines
	}
	seen := make(map[string]bool)
	for pass, name := range Passes() {
		require.False(t, seen[name], name)
		seen[name] = true
		require.NotEqual(t, lowered(shows[pass], 0), lowered(shows[pass], pass), name)
	}
	require.Len(t, seen, len(shows))
	require.Len(t, seen, len(passNames))
}
