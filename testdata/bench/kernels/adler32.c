// SPDX-License-Identifier: Apache-2.0
//
// Adler-32 (RFC 1950) of the packet, three times, each started from the last: sums
// of bytes, with a remainder every 64 of them.
#include "../bench.h"

#define MODULUS 65521
#define CHUNK 64

SEC("xdp")
int adler32(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 a = 1, b = 0;

	for (int round = 0; round < 3; round++) {
		for (int chunk = 0; chunk < PACKET_LEN; chunk += CHUNK) {
			for (int i = 0; i < CHUNK; i++) {
				a += p[chunk + i];
				b += a;
			}
			a %= MODULUS;
			b %= MODULUS;
		}
	}
	return b << 16 | a;
}
