package lower

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/verifier"
)

func TestJoinStores(t *testing.T) {
	const copyHalf = "r3 = *(u32 *)(r1 + 24); *(u32 *)(r10 - 8) = r3; "
	for _, c := range []struct{ name, prog, want string }{
		{"constants", "*(u32 *)(r10 - 8) = 1; *(u32 *)(r10 - 4) = 0; ", "u64[r10-8] = 1"},
		{"the upper half first", "*(u32 *)(r10 - 4) = -1; *(u32 *)(r10 - 8) = -2; ", "u64[r10-8] = -2"},
		{"bytes", "*(u8 *)(r10 - 4) = 1; *(u8 *)(r10 - 3) = 2; *(u8 *)(r10 - 2) = 3; *(u8 *)(r10 - 1) = 4; ", "u32[r10-4] = 67305985"},
		{"bytes backwards", "*(u8 *)(r10 - 1) = -1; *(u8 *)(r10 - 2) = -2; ", "u16[r10-2] = -2"},
		{"a byte that is negative", "*(u8 *)(r10 - 2) = -1; *(u8 *)(r10 - 1) = 0; ", "u16[r10-2] = 255"},
		{"the upper half of a word negative", "*(u16 *)(r10 - 4) = 1; *(u16 *)(r10 - 2) = 0x8000; ", "u32[r10-4] = -2147483647"},
		{"a constant too long", "*(u32 *)(r10 - 8) = 1; *(u32 *)(r10 - 4) = 1; ", "u32[r10-8] = 1; u32[r10-4] = 1"},
		{"copied", copyHalf + "r3 = *(u32 *)(r1 + 28); *(u32 *)(r10 - 4) = r3; ", "r1 = u64[r1+24]; u64[r10-8] = r1"},
		{"copied within the frame", "r3 = *(u32 *)(r10 - 24); *(u32 *)(r10 - 8) = r3; r3 = *(u32 *)(r10 - 20); *(u32 *)(r10 - 4) = r3; ",
			"r3 = u32[r10-24]; u32[r10-8] = r3; r3 = u32[r10-20]; u32[r10-4] = r3"},
		{"copied byte by byte", "r3 = *(u8 *)(r1 + 24); *(u8 *)(r10 - 8) = r3; r3 = *(u8 *)(r1 + 25); *(u8 *)(r10 - 7) = r3; " +
			"r3 = *(u8 *)(r1 + 27); *(u8 *)(r10 - 5) = r3; r3 = *(u8 *)(r1 + 26); *(u8 *)(r10 - 6) = r3; ", "r1 = u32[r1+24]; u32[r10-8] = r1"},
		{"copied in other order", copyHalf + "r3 = *(u32 *)(r1 + 20); *(u32 *)(r10 - 4) = r3; ",
			"r3 = u32[r1+24]; u32[r10-8] = r3; r1 = u32[r1+20]; u32[r10-4] = r1"},
		{"another size", "*(u16 *)(r10 - 6) = 1; *(u32 *)(r10 - 4) = 1; ", "u16[r10-6] = 1; u32[r10-4] = 1"},
		{"read between", "*(u32 *)(r10 - 8) = 1; r3 = *(u16 *)(r10 - 7); *(u32 *)(r10 - 4) = 0; *(u64 *)(r10 - 16) = r3; ",
			"u32[r10-8] = 1; r3 = u16[r10-7]; u32[r10-4] = 0; u64[r10-16] = r3"},
		{"read with what is behind", "*(u16 *)(r10 - 6) = 1; r3 = *(u64 *)(r10 - 8); *(u16 *)(r10 - 8) = 0; *(u64 *)(r10 - 16) = r3; ",
			"u16[r10-6] = 1; r3 = u64[r10-8]; u16[r10-8] = 0; u64[r10-16] = r3"},
		{"written to between", "*(u32 *)(r10 - 8) = 1; *(u8 *)(r10 - 7) = 2; *(u32 *)(r10 - 4) = 0; ", "u32[r10-8] = 1; u8[r10-7] = 2; u32[r10-4] = 0"},
		{"something else between", "*(u32 *)(r10 - 8) = 1; *(u32 *)(r10 - 16) = r1; r3 = *(u64 *)(r10 - 32); *(u32 *)(r10 - 4) = 0; *(u64 *)(r10 - 32) = r3; ",
			"u32[r10-16] = r1; r3 = u64[r10-32]; u64[r10-8] = 1; u64[r10-32] = r3"},
		{"source written to between", copyHalf + "*(u8 *)(r1 + 26) = 0; r3 = *(u32 *)(r1 + 28); *(u32 *)(r10 - 4) = r3; ",
			"r3 = u32[r1+24]; u32[r10-8] = r3; u8[r1+26] = 0; r1 = u32[r1+28]; u32[r10-4] = r1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := build(t, c.prog+"r0 = 0; exit", Env{})
			for i := range p.Blocks[0].Ins {
				if in := &p.Blocks[0].Ins[i]; in.A == Reg(asm.R1) {
					in.Check, in.Place = false, Packet
				}
			}
			optimiseBlocks(p)
			require.Equal(t, c.want+"; r0 = 0; exit", p.text())
		})
	}
}

// TestJoinStoresAcross has something between two stores that may look at what the first has stored.
func TestJoinStoresAcross(t *testing.T) {
	const text = "*(u32 *)(r10 - 8) = 1; *(u32 *)(r2 + 0) = 2; *(u32 *)(r10 - 4) = 0; r0 = 0; exit"
	for memory, want := range map[verifier.Memory]bool{verifier.MemPacket: true, verifier.MemMapValue: true, verifier.MemStack: false, verifier.MemSized: false} {
		proof := &verifier.Proof{Insns: make([]verifier.InsnProof, 5)}
		for i := range proof.Insns {
			proof.Insns[i] = verifier.InsnProof{Seen: true, Access: verifier.Access{Memory: verifier.MemStack, Proved: true}}
		}
		proof.Insns[1].Access.Memory = memory
		p := build(t, text, Env{Proof: proof})
		optimiseBlocks(p)
		require.Equal(t, want, strings.Contains(p.text(), "u64[r10-8] = 1"), "%v: %s", memory, p.text())
	}
	env := Env{Cells: func(uint64) (mem.Cells, bool) { return mem.Cells{Base: 0x1000, Stride: 8, Len: 4}, true }}
	const lookup = "r2 = r10; r2 += -8; r1 = 0x777 ll; call bpf_map_lookup_elem; "
	p := build(t, "*(u16 *)(r10 - 8) = r1; *(u16 *)(r10 - 6) = 0; "+lookup+"*(u16 *)(r10 - 8) = 7; exit", env)
	optimiseBlocks(p)
	require.Equal(t, "u16[r10-8] = r1; u16[r10-6] = 0; r0 = lookup 0 u0[r10-8]; u16[r10-8] = 7; exit\n", p.text())
}
