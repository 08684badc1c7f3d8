// SPDX-License-Identifier: Apache-2.0
//
// Calls between subprograms: three levels deep, 64 words, with arguments and
// results in registers and one passed through the caller's stack.
#include "bench.h"

static NOINLINE u32 mix(u32 a, u32 b)
{
	a ^= b;
	a *= 0x9e3779b1;
	return a ^ a >> 15;
}

static NOINLINE u32 absorb(u32 *state, u32 word)
{
	state[0] = mix(state[0], word);
	state[1] = mix(state[1], state[0]);
	return state[0] + state[1];
}

static NOINLINE u32 step(const u32 *word, u32 *state, u32 i)
{
	return absorb(state, word[0] + i) ^ absorb(state, word[1] - i);
}

SEC("xdp")
int calls(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 state[2] = {1, 2};
	u32 ret = 0;

	for (u32 i = 0; i < 64; i++)
		ret = ret * 5 + step((u32 *)(p + i * 16), state, i);
	return ret;
}
