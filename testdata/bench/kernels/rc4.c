// SPDX-License-Identifier: Apache-2.0
//
// RC4 keyed by 16 bytes of the packet, its 256 bytes of state on the stack, xored
// with 512 bytes of the packet: swaps at computed stack offsets.
#include "../bench.h"

SEC("xdp")
int rc4(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u8 state[256];
	u8 j = 0;
	u32 ret = 0;

	for (int i = 0; i < 256; i++)
		state[i] = i;
	for (int i = 0; i < 256; i++) {
		u8 si = state[i];

		j += si + p[i & 15];
		state[i] = state[j];
		state[j] = si;
	}
	j = 0;
	for (int n = 0; n < 512; n++) {
		int i = (n + 1) & 255;
		u8 si = state[i], sj;

		j += si;
		sj = state[j];
		state[i] = sj;
		state[j] = si;
		ret = ret * 31 + (p[n] ^ state[(u8)(si + sj)]);
	}
	return ret;
}
