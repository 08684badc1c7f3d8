// SPDX-License-Identifier: Apache-2.0
//
// The ChaCha20 block function (RFC 8439) with a key and a nonce from the packet,
// three blocks: 32-bit additions, xors and rotates on sixteen words, more than
// there are registers.
#include "../bench.h"

#define ROTL(x, n) ((x) << (n) | (x) >> (32 - (n)))
#define QUARTER(a, b, c, d)                                                   \
	do {                                                                  \
		a += b, d = ROTL(d ^ a, 16);                                  \
		c += d, b = ROTL(b ^ c, 12);                                  \
		a += b, d = ROTL(d ^ a, 8);                                   \
		c += d, b = ROTL(b ^ c, 7);                                   \
	} while (0)

SEC("xdp")
int chacha(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	const u32 *key = (u32 *)p;
	u32 ret = 0;

	for (u32 counter = 1; counter <= 3; counter++) {
		u32 in[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574,
			      key[0], key[1], key[2], key[3],
			      key[4], key[5], key[6], key[7],
			      counter, key[8], key[9], key[10]};
		u32 x[16];

		for (int i = 0; i < 16; i++)
			x[i] = in[i];
		for (int round = 0; round < 10; round++) {
			QUARTER(x[0], x[4], x[8], x[12]);
			QUARTER(x[1], x[5], x[9], x[13]);
			QUARTER(x[2], x[6], x[10], x[14]);
			QUARTER(x[3], x[7], x[11], x[15]);
			QUARTER(x[0], x[5], x[10], x[15]);
			QUARTER(x[1], x[6], x[11], x[12]);
			QUARTER(x[2], x[7], x[8], x[13]);
			QUARTER(x[3], x[4], x[9], x[14]);
		}
		for (int i = 0; i < 16; i++)
			ret = ret * 31 + x[i] + in[i];
	}
	return ret;
}
