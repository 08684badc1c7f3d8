package verifier

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLiveSlots has the slots that are live before each instruction, by their offsets from r10.
func TestLiveSlots(t *testing.T) {
	for _, c := range []struct {
		name, text string
		live       map[int][]int // by instruction; nothing is live before those that are not in it
	}{
		{
			"both ways of a jump",
			"r6 = r1\n*(u64 *)(r10 - 8) = 1\n*(u64 *)(r10 - 16) = 2\nr0 = *(u32 *)(r6 + 0)\nif r0 == 0 goto +2\n" +
				"r0 = *(u64 *)(r10 - 8)\ngoto +1\nr0 = *(u64 *)(r10 - 16)\nexit\n",
			map[int][]int{2: {-8}, 3: {-8, -16}, 4: {-8, -16}, 5: {-8}, 7: {-16}},
		},
		{
			"a part that is read is the whole slot, a part that is written is none",
			"*(u64 *)(r10 - 8) = 1\n*(u32 *)(r10 - 8) = 2\nr0 = *(u8 *)(r10 - 1)\nexit\n",
			map[int][]int{1: {-8}, 2: {-8}},
		},
		{
			"a store whose address differs by path has written neither slot",
			"r2 = r10\nr2 += -8\nr0 = *(u32 *)(r1 + 0)\nif r0 == 0 goto +1\nr2 += -8\n*(u64 *)(r2 + 0) = 1\n" +
				"r0 = *(u64 *)(r10 - 8)\nr0 = *(u64 *)(r10 - 16)\nexit\n",
			map[int][]int{
				0: {-8, -16}, 1: {-8, -16}, 2: {-8, -16}, 3: {-8, -16}, 4: {-8, -16}, 5: {-8, -16}, 6: {-8, -16}, 7: {-16},
			},
		},
		{
			"an address that is computed is known",
			"r2 = 8\nr3 = r10\nr3 += -16\nr3 += r2\n*(u64 *)(r3 + 0) = 1\nr0 = *(u64 *)(r10 - 8)\nexit\n",
			map[int][]int{5: {-8}},
		},
		{
			"a variable offset reads all slots that it may lie in",
			"r0 = *(u32 *)(r1 + 0)\nr0 &= 15\nr2 = r10\nr2 += -24\nr2 += r0\nr0 = *(u8 *)(r2 + 0)\nexit\n",
			map[int][]int{0: {-16, -24}, 1: {-16, -24}, 2: {-16, -24}, 3: {-16, -24}, 4: {-16, -24}, 5: {-16, -24}},
		},
		{
			"what a function reads of its caller, the call does",
			"*(u64 *)(r10 - 8) = 1\n*(u64 *)(r10 - 16) = 1\nr1 = r10\ncall f\nexit\nf: *(u64 *)(r10 - 8) = 0\nr0 = *(u64 *)(r1 - 8)\nexit\n",
			map[int][]int{1: {-8}, 2: {-8}, 3: {-8}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := new(verifier)
			v.begin(program(t, c.text), &Env{})
			require.NoError(t, v.verify())
			for i := range v.insns {
				live := uint64(0)
				for _, off := range c.live[i] {
					live |= slotsOf(off, off+8)
				}
				require.Equal(t, live, v.insns[i].slots, "instruction %d", i)
			}
		})
	}
}
