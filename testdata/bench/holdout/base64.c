// SPDX-License-Identifier: Apache-2.0
//
// Base64 (RFC 4648) of the packet's first 1020 bytes. The text is not kept but
// hashed as it comes.
#include "../bench.h"

static const char alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

SEC("xdp")
int base64(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 hash = 0;

	for (int i = 0; i < 1020; i += 3) {
		u32 bits = p[i] << 16 | p[i + 1] << 8 | p[i + 2];

		hash = hash * 33 + alphabet[bits >> 18];
		hash = hash * 33 + alphabet[bits >> 12 & 63];
		hash = hash * 33 + alphabet[bits >> 6 & 63];
		hash = hash * 33 + alphabet[bits & 63];
	}
	return hash;
}
