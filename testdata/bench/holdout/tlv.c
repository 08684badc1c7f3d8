// SPDX-License-Identifier: Apache-2.0
//
// A parser of type, length, value records that fill the packet: each access is
// at an offset that the packet decides and is compared against data_end.
#include "../bench.h"

// A global function: Linux verifies it once and not at every call.
NOINLINE u32 records(struct xdp_md *ctx, u32 skip)
{
	const u8 *p = DATA(ctx), *end = DATA_END(ctx);
	u32 hash = 1;

	p += skip & 63;
	for (int i = 0; i < 96; i++) {
		u32 type, len;

		if (p + 2 > end)
			break;
		type = p[0];
		len = p[1] & 15;
		p += 2;
		if (p + 4 > end)
			break;
		switch (type & 3) {
		case 0:
			hash = hash * 31 + p[0];
			break;
		case 1:
			hash = hash * 31 + *(u16 *)p;
			break;
		case 2:
			hash = hash * 31 + *(u32 *)p;
			break;
		default:
			hash ^= type << 8 | len;
		}
		p += len;
	}
	return hash;
}

SEC("xdp")
int tlv(struct xdp_md *ctx)
{
	u32 ret = 0;

	for (u32 skip = 0; skip < 8; skip++)
		ret = ret * 33 + records(ctx, skip);
	return ret;
}
