package lower

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/verifier"
)

func TestMerge(t *testing.T) {
	const bytes = "r3 = *(u8 *)(r10 - 8); r4 = *(u8 *)(r10 - 7); r5 = *(u8 *)(r10 - 6); r6 = *(u8 *)(r10 - 5); "
	for _, c := range []struct{ name, prog, want string }{
		{"two", bytes + "r4 <<= 8; r4 |= r3; r0 = r4; exit", "r0 = u16[r10-8]; exit"},
		{"two, added", bytes + "w4 <<= 8; r4 += r3; r0 = r4; exit", "r0 = u16[r10-8]; exit"},
		{"two, swapped", bytes + "r3 <<= 8; r3 |= r4; r0 = r3; exit", "r3 = u16[r10-8]; r0 = swap16 r3; exit"},
		{"four", bytes + "r4 <<= 8; r4 |= r3; r5 <<= 16; r5 |= r4; r6 <<= 24; r6 |= r5; r0 = r6; exit", "r0 = u32[r10-8]; exit"},
		{"four in pairs", bytes + "w4 <<= 8; w4 |= w3; w6 <<= 8; w6 |= w5; w6 <<= 16; w6 |= w4; w0 = w6; exit", "r0 = u32[r10-8]; exit"},
		{"four, swapped", bytes + "r3 <<= 8; r3 |= r4; r3 <<= 8; r3 |= r5; r3 <<= 8; r3 |= r6; r0 = r3; exit", "r3 = u32[r10-8]; r0 = swap32 r3; exit"},
		{"two halves", "r3 = *(u16 *)(r10 - 8); r4 = *(u16 *)(r10 - 6); r4 <<= 16; r4 |= r3; r0 = r4; exit", "r0 = u32[r10-8]; exit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := build(t, c.prog, Env{})
			optimiseBlocks(p)
			require.Equal(t, c.want, p.text())
		})
	}
	for name, text := range map[string]string{
		"not adjacent":         "r3 = *(u8 *)(r10 - 8); r4 = *(u8 *)(r10 - 6); r4 <<= 8; r4 |= r3; r0 = r4; exit",
		"other shift":          "r3 = *(u8 *)(r10 - 8); r4 = *(u8 *)(r10 - 7); r4 <<= 9; r4 |= r3; r0 = r4; exit",
		"other base":           "r3 = *(u8 *)(r10 - 8); r4 = *(u8 *)(r1 - 7); r4 <<= 8; r4 |= r3; r0 = r4; exit",
		"signed":               "r3 = *(s8 *)(r10 - 8); r4 = *(u8 *)(r10 - 7); r4 <<= 8; r4 |= r3; r0 = r4; exit",
		"checked":              "r3 = *(u8 *)(r1 - 8); r4 = *(u8 *)(r1 - 7); r4 <<= 8; r4 |= r3; r0 = r4; exit",
		"store between":        "r3 = *(u8 *)(r10 - 8); *(u64 *)(r10 - 8) = r1; r4 = *(u8 *)(r10 - 7); r4 <<= 8; r4 |= r3; r0 = r4; exit",
		"half in other order":  "r3 = *(u16 *)(r10 - 8); r4 = *(u16 *)(r10 - 6); r3 <<= 16; r4 |= r3; r0 = r4; exit",
		"shifted out":          "r3 = *(u8 *)(r10 - 8); r4 = *(u8 *)(r10 - 7); w4 <<= 28; w4 >>= 20; r4 |= r3; r0 = r4; exit",
		"too many for 32 bits": "r3 = *(u32 *)(r10 - 8); r4 = *(u32 *)(r10 - 4); r4 <<= 32; w4 |= w3; r0 = r4; exit",
	} {
		p := build(t, text, Env{})
		optimiseBlocks(p)
		require.GreaterOrEqual(t, strings.Count(p.text(), "["), 2, name)
	}
}

// TestMergeOverBase has the register of the address used for the last of the bytes.
func TestMergeOverBase(t *testing.T) {
	proof := &verifier.Proof{Insns: make([]verifier.InsnProof, 6)}
	for i := range proof.Insns {
		proof.Insns[i] = verifier.InsnProof{Seen: true, Access: verifier.Access{Memory: verifier.MemPacket, Proved: true}}
	}
	p := build(t, "r0 = *(u8 *)(r1 + 0); r1 = *(u8 *)(r1 + 1); r0 <<= 8; r0 |= r1; exit", Env{Proof: proof})
	optimiseBlocks(p)
	require.Equal(t, "r1 = u16[r1]; r0 = swap16 r1; exit", p.text())
}

// TestMergeOfShared has another load between two that are adjacent: other CPUs may have
// written both, in this order, which the program could tell.
func TestMergeOfShared(t *testing.T) {
	const between = "r3 = *(u8 *)(r1 + 0); r5 = *(u64 *)(r1 + 8); r4 = *(u8 *)(r1 + 1); r4 <<= 8; r4 |= r3; r4 += r5; r0 = r4; exit"
	const adjacent = "r3 = *(u8 *)(r1 + 0); r4 = *(u8 *)(r1 + 1); r5 = *(u64 *)(r1 + 8); r4 <<= 8; r4 |= r3; r4 += r5; r0 = r4; exit"
	loads := func(text string, m verifier.Memory) int {
		proof := &verifier.Proof{Insns: make([]verifier.InsnProof, 8)}
		for i := range proof.Insns {
			proof.Insns[i] = verifier.InsnProof{Seen: true, Access: verifier.Access{Memory: m, Proved: true}}
		}
		p := build(t, text, Env{Proof: proof})
		optimiseBlocks(p)
		return strings.Count(p.text(), "[")
	}
	require.Equal(t, 2, loads(between, verifier.MemPacket))
	require.Equal(t, 3, loads(between, verifier.MemMapValue))
	require.Equal(t, 3, loads(adjacent, verifier.MemMapValue), "it would be done behind the other")
}

// TestMergeAcross has a store between two loads that are adjacent. If it goes to other memory for sure, it may
// as well come first.
func TestMergeAcross(t *testing.T) {
	const text = "r3 = *(u8 *)(r1 + 0); *(u64 *)(r2 + 0) = r5; r4 = *(u8 *)(r1 + 1); r4 <<= 8; r4 |= r3; r0 = r4; exit"
	for _, c := range []struct {
		name         string
		loads, store verifier.Memory
		want         bool
	}{
		{"packet, frame", verifier.MemPacket, verifier.MemStack, true},
		{"map, frame", verifier.MemMapValue, verifier.MemStack, true},
		{"packet, map", verifier.MemPacket, verifier.MemMapValue, true},
		{"packet", verifier.MemPacket, verifier.MemPacket, false},
		{"map", verifier.MemMapValue, verifier.MemMapValue, false},
		{"frame", verifier.MemStack, verifier.MemStack, false},
		{"what a helper gives, frame", verifier.MemSized, verifier.MemStack, false},
		{"packet, what a helper gives", verifier.MemPacket, verifier.MemSized, false},
	} {
		proof := &verifier.Proof{Insns: make([]verifier.InsnProof, 7)}
		for i := range proof.Insns {
			proof.Insns[i] = verifier.InsnProof{Seen: true, Access: verifier.Access{Memory: c.loads, Proved: true}}
		}
		proof.Insns[1].Access.Memory = c.store
		p := build(t, text, Env{Proof: proof})
		optimiseBlocks(p)
		require.Equal(t, c.want, strings.Contains(p.text(), "= u16[r1]"), "%s: %s", c.name, p.text())
	}
	p := build(t, "r3 = *(u8 *)(r10 - 8); *(u64 *)(r10 - 16) = r1; r4 = *(u8 *)(r10 - 7); r4 <<= 8; r4 |= r3; r0 = r4; exit", Env{})
	optimiseBlocks(p)
	require.Equal(t, "u64[r10-16] = r1; r0 = u16[r10-8]; exit", p.text(), "elsewhere in the frame")
}
