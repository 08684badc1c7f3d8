// SPDX-License-Identifier: Apache-2.0
//
// TCP options, as a passive fingerprint of SYNs or a load balancer reads them:
// the options of 64 segments are copied to the stack and walked.
#include "../bench.h"

#define OPTIONS_LEN 40

enum {
	OPT_EOL = 0,
	OPT_NOP = 1,
	OPT_MSS = 2,
	OPT_WSCALE = 3,
	OPT_SACK_PERMITTED = 4,
	OPT_SACK = 5,
	OPT_TIMESTAMPS = 8,
	OPT_MD5 = 19,
	OPT_MPTCP = 30,
	OPT_FASTOPEN = 34,
};

struct options {
	u64 order; // kinds, the last in the lowest four bits
	u32 tsval;
	u32 tsecr;
	u32 sack_bytes;
	u16 mss;
	u8 wscale;
	bool sack_permitted;
	u32 others;
};

static const u8 blocks[8][OPTIONS_LEN] ALIGNED(8) = {
	// SYN of Linux
	{2, 4, 5, 180, 4, 2, 8, 10, 17, 34, 51, 68, 0, 0, 0, 0, 1, 3, 3, 7},
	// SYN of Windows
	{2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2},
	// SYN of macOS
	{2, 4, 5, 180, 1, 3, 3, 6, 1, 1, 8, 10, 42, 43, 44, 45, 0, 0, 0, 0, 4, 2, 0, 0},
	// established
	{1, 1, 8, 10, 17, 34, 52, 1, 42, 43, 44, 99},
	// established, with three blocks of selective acknowledgements
	{1, 1, 8, 10, 17, 34, 52, 9, 42, 43, 45, 0, 1, 1, 5, 26, 1, 2, 3, 4, 1, 2, 9, 4,
	 2, 2, 3, 4, 2, 2, 9, 4, 3, 2, 3, 4, 3, 2, 9, 4},
	// SYN with multipath TCP and a fast open cookie
	{2, 4, 5, 160, 4, 2, 3, 3, 9, 30, 12, 1, 129, 7, 7, 7, 7, 8, 8, 8, 8, 34, 10, 1, 2, 3,
	 4, 5, 6, 7, 8, 1, 1, 0},
	// BGP with an MD5 signature
	{1, 1, 19, 18, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 9, 8, 7, 6, 5, 4},
	// malformed: a length that goes beyond the end
	{2, 4, 2, 24, 1, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 3, 3, 2, 5, 30, 1, 1},
};

static INLINE u32 read_u32(const u8 *p)
{
	return (u32)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

// walk reads options into o. It returns how many there are, or -1 if they are malformed.
//
// A global function: Linux verifies it once and not at every call.
NOINLINE int walk(u32 which, struct options *o)
{
	u8 buffer[OPTIONS_LEN + 16] ALIGNED(8) = {};
	u32 at = 0;
	int n = 0;

	if (!o)
		return -1;
	__builtin_memcpy(buffer, blocks[which & 7], OPTIONS_LEN);
	for (; n < OPTIONS_LEN; n++) {
		const u8 *opt;
		u8 kind, len;

		if (at >= OPTIONS_LEN)
			return n;
		opt = &buffer[at];
		kind = opt[0];
		if (kind == OPT_EOL)
			return n;
		o->order = o->order << 4 | (kind & 15);
		if (kind == OPT_NOP) {
			at++;
			continue;
		}
		len = opt[1];
		if (len < 2 || at + len > OPTIONS_LEN)
			return -1;
		switch (kind) {
		case OPT_MSS:
			o->mss = opt[2] << 8 | opt[3];
			break;
		case OPT_WSCALE:
			o->wscale = opt[2] > 14 ? 14 : opt[2];
			break;
		case OPT_SACK_PERMITTED:
			o->sack_permitted = true;
			break;
		case OPT_SACK:
			o->sack_bytes += read_u32(&opt[6]) - read_u32(&opt[2]);
			break;
		case OPT_TIMESTAMPS:
			o->tsval = read_u32(&opt[2]);
			o->tsecr = read_u32(&opt[6]);
			break;
		case OPT_MD5:
		case OPT_MPTCP:
		case OPT_FASTOPEN:
			o->others |= 1 << (kind & 31);
			break;
		}
		at += len;
	}
	return n;
}

SEC("xdp")
int tcpopts(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 ret = 0;

	for (int i = 0; i < 64; i++) {
		struct options o = {};
		int n = walk(p[i * 16 + 5] >> 3, &o);

		ret = ret * 31 + n;
		ret = (ret ^ FOLD(o.order)) * 0x9e3779b1;
		ret = (ret ^ o.tsval ^ o.tsecr << 7) + o.sack_bytes;
		ret = (ret ^ (o.mss << 16 | o.wscale << 8 | o.sack_permitted)) * 0x85ebca77 + o.others;
	}
	return ret;
}
