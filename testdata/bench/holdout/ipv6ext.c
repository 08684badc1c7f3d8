// SPDX-License-Identifier: Apache-2.0
//
// A walk over chains of IPv6 extension headers, from sixteen places in the
// packet: what kind a header is, how long it is and what follows are all data.
#include "../bench.h"

// A global function: Linux verifies it once and not at every call.
NOINLINE u32 walk(struct xdp_md *ctx, u32 start)
{
	const u8 *p = DATA(ctx), *end = DATA_END(ctx);
	u32 kind = start & 7, ret = start;

	p += (start & 15) * 24;
	for (int depth = 0; depth < 8; depth++) {
		u32 len = 8;

		if (p + 8 > end)
			break;
		switch (kind) {
		case 0: // hop-by-hop
		case 1: // routing
		case 2: // destination options
			len = ((p[1] & 3) + 1) * 8;
			break;
		case 3: // fragment
			ret ^= p[2] << 8 | p[3];
			break;
		case 4: // authentication
			len = ((p[1] & 3) + 2) * 4;
			break;
		default: // something of eight bytes that is skipped
			ret++;
		}
		ret = ret * 31 + kind;
		kind = p[0] & 7;
		p += len;
	}
	return ret;
}

SEC("xdp")
int ipv6ext(struct xdp_md *ctx)
{
	u32 ret = 0;

	for (u32 start = 0; start < 16; start++)
		ret = ret * 33 + walk(ctx, start);
	return ret;
}
