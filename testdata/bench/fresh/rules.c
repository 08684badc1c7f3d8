// SPDX-License-Identifier: Apache-2.0
//
// A packet filter of 24 rules, the first of which that matches decides: address
// and mask, range of ports and protocol are compared, rule by rule, for the
// flows of 96 packets. Each rule counts what it matched.
#include "flow.h"

#define RULES 24
#define ANY 0

enum { PASS, DROP, REJECT, LIMIT };

struct rule {
	u32 src, src_mask; // in host order, as what follows
	u32 dst, dst_mask;
	u16 port_lo, port_hi; // of the destination
	u8 protocol;          // or ANY
	u8 action;
};

#define NET(a, b, c, d, len) ((u32)(a) << 24 | (b) << 16 | (c) << 8 | (d)), ((len) ? ~0U << (32 - (len)) : 0)
#define EVERYWHERE 0, 0

static const struct rule rules_of[RULES] = {
	{NET(10, 0, 0, 0, 8), EVERYWHERE, 0, 65535, ANY, DROP},
	{NET(172, 16, 0, 0, 12), EVERYWHERE, 0, 65535, ANY, DROP},
	{NET(192, 168, 0, 0, 16), EVERYWHERE, 0, 65535, ANY, DROP},
	{NET(127, 0, 0, 0, 8), EVERYWHERE, 0, 65535, ANY, DROP},
	{NET(248, 0, 0, 0, 5), NET(21, 28, 32, 0, 20), 32000, 32999, IPPROTO_TCP, PASS},
	{NET(185, 192, 0, 0, 14), NET(213, 220, 0, 0, 16), 0, 1023, IPPROTO_UDP, LIMIT},
	{NET(185, 196, 0, 0, 14), NET(213, 220, 0, 0, 16), 0, 65535, IPPROTO_UDP, REJECT},
	{EVERYWHERE, NET(177, 184, 0, 0, 16), 22, 22, IPPROTO_TCP, LIMIT},
	{EVERYWHERE, NET(177, 184, 0, 0, 16), 8000, 8999, IPPROTO_TCP, PASS},
	{NET(149, 128, 0, 0, 11), NET(177, 184, 191, 0, 24), 56000, 60000, IPPROTO_TCP, PASS},
	{EVERYWHERE, EVERYWHERE, 11211, 11211, IPPROTO_UDP, DROP},
	{EVERYWHERE, EVERYWHERE, 1900, 1900, IPPROTO_UDP, DROP},
	{EVERYWHERE, EVERYWHERE, 389, 389, IPPROTO_UDP, DROP},
	{EVERYWHERE, EVERYWHERE, 135, 139, ANY, DROP},
	{NET(249, 0, 0, 0, 12), NET(21, 28, 35, 42, 32), 0, 32767, IPPROTO_TCP, LIMIT},
	{NET(185, 200, 0, 0, 13), EVERYWHERE, 60000, 65535, IPPROTO_UDP, PASS},
	{NET(149, 160, 0, 0, 12), EVERYWHERE, 0, 57000, IPPROTO_TCP, PASS},
	{NET(240, 0, 0, 0, 4), EVERYWHERE, 23456, 23999, IPPROTO_TCP, REJECT},
	{NET(185, 208, 0, 0, 12), EVERYWHERE, 0, 65535, IPPROTO_UDP, LIMIT},
	{NET(249, 16, 0, 0, 12), EVERYWHERE, 0, 65535, IPPROTO_TCP, PASS},
	{NET(128, 0, 0, 0, 2), NET(177, 0, 0, 0, 8), 1024, 65535, IPPROTO_TCP, PASS},
	{EVERYWHERE, EVERYWHERE, 1024, 49151, IPPROTO_TCP, LIMIT},
	{EVERYWHERE, EVERYWHERE, 1024, 65535, IPPROTO_UDP, PASS},
	{EVERYWHERE, EVERYWHERE, 0, 65535, ANY, REJECT},
};

static u64 matched[RULES];

// A global function: Linux verifies it once and not at every call.
NOINLINE u32 match(u32 src, u32 dst, u16 port, u8 protocol)
{
	for (u32 i = 0; i < RULES; i++) {
		const struct rule *r = &rules_of[i];

		if ((src & r->src_mask) != r->src || (dst & r->dst_mask) != r->dst)
			continue;
		if (port < r->port_lo || port > r->port_hi)
			continue;
		if (r->protocol != ANY && r->protocol != protocol)
			continue;
		matched[i]++;
		return i;
	}
	return RULES - 1;
}

SEC("xdp")
int rules(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 ret = 0;

	for (int i = 0; i < RULES; i++)
		matched[i] = 0;
	for (u32 i = 0; i < 6 * FRAMES; i++) {
		struct flow f;
		u32 rule;

		if (parse_flow(p + i % FRAMES * FRAME_LEN, DATA_END(ctx), &f) < 0) {
			ret++;
			continue;
		}
		// Other clients and ports in each of the rounds.
		rule = match(ntohl(f.saddr) ^ i * 0x00015000, ntohl(f.daddr), ntohs(f.dport) + i * 331, f.protocol);
		opaque(rule); // Linux knows nothing of what a global function returns
		if (rule >= RULES)
			return XDP_ABORTED;
		ret = ret * 31 + (rule << 8 | rules_of[rule].action);
	}
	for (int i = 0; i < RULES; i++)
		ret = ret * 31 + matched[i];
	return ret;
}
