// SPDX-License-Identifier: Apache-2.0
//
// A layer 4 load balancer: 128 packets, each of which a hash of its flow (Jenkins'
// lookup3) and a Maglev ring assign to one of eight real servers, whose counters
// are in an array map.
#include "flow.h"

#define RING 251
#define REALS 8

struct real {
	be32 addr;
	u32 weight;
	u64 packets;
	u64 bytes;
};

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	NUM(max_entries, REALS);
	TYPE(key, u32);
	TYPE(value, struct real);
} reals SEC(".maps");

// What Maglev's algorithm makes of eight permutations.
static const u8 ring[RING] = {
	2, 5, 7, 4, 1, 2, 7, 2, 6, 5, 7, 4, 2, 4, 2, 3, 5, 6, 5, 2, 1, 4, 6, 7, 4,
	0, 2, 7, 1, 4, 0, 2, 0, 5, 6, 5, 1, 4, 2, 5, 7, 6, 3, 6, 7, 2, 0, 0, 6, 0,
	2, 3, 1, 0, 0, 6, 3, 2, 4, 0, 1, 0, 0, 4, 2, 3, 1, 5, 4, 6, 7, 4, 1, 5, 3,
	1, 2, 5, 7, 5, 2, 1, 1, 2, 5, 2, 5, 7, 3, 4, 2, 1, 4, 2, 5, 6, 3, 3, 1, 1,
	7, 5, 6, 5, 7, 4, 3, 1, 7, 6, 3, 6, 7, 6, 1, 3, 6, 0, 5, 3, 3, 2, 1, 6, 3,
	7, 4, 0, 2, 7, 1, 4, 0, 5, 0, 5, 0, 0, 1, 4, 0, 0, 0, 0, 0, 0, 7, 2, 7, 2,
	5, 6, 5, 1, 1, 7, 6, 4, 6, 7, 4, 3, 1, 7, 3, 4, 2, 5, 2, 5, 6, 5, 7, 4, 3,
	5, 7, 6, 4, 3, 7, 6, 2, 3, 5, 1, 4, 2, 3, 7, 5, 6, 2, 3, 4, 6, 3, 7, 6, 2,
	1, 1, 3, 5, 4, 6, 3, 4, 1, 1, 7, 2, 6, 2, 7, 3, 1, 0, 5, 0, 3, 0, 0, 0, 6,
	0, 0, 0, 4, 0, 1, 6, 1, 4, 3, 5, 7, 2, 6, 5, 1, 4, 3, 3, 7, 6, 4, 3, 1, 7,
	4,
};

static INLINE u32 rol(u32 x, int n)
{
	return x << n | x >> (32 - n);
}

// hash3 is lookup3's hash of three words.
static INLINE u32 hash3(u32 a, u32 b, u32 c)
{
	c ^= b, c -= rol(b, 14);
	a ^= c, a -= rol(c, 11);
	b ^= a, b -= rol(a, 25);
	c ^= b, c -= rol(b, 16);
	a ^= c, a -= rol(c, 4);
	b ^= a, b -= rol(a, 14);
	c ^= b, c -= rol(b, 24);
	return c;
}

static INLINE bool reset(void)
{
	for (u32 i = 0; i < REALS; i++) {
		u32 key = i;
		struct real *r = bpf_map_lookup_elem(&reals, &key);

		if (!r)
			return false;
		r->addr = htonl(0x0a000001 + i);
		r->weight = 1 + i % 3;
		r->packets = 0;
		r->bytes = 0;
	}
	return true;
}

SEC("xdp")
int maglev(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 ret = 0;

	if (!reset())
		return XDP_ABORTED;
	for (u32 i = 0; i < 8 * FRAMES; i++) {
		const u8 *frame = p + i % FRAMES * FRAME_LEN;
		u32 base = 0xdeadbeef + (3 << 2), hash, key;
		struct flow f;
		struct real *r;
		int offset = parse_flow(frame, DATA_END(ctx), &f);

		if (offset < 0) {
			ret++;
			continue;
		}
		f.saddr ^= htonl(i); // 128 clients
		hash = hash3(f.saddr + base, f.daddr + base, ((u32)f.sport << 16 | f.dport) + base + f.protocol);
		key = hash % RING;
		opaque(key); // Linux does not know that a remainder is smaller
		if (key >= RING)
			return XDP_DROP;
		key = ring[key];
		r = bpf_map_lookup_elem(&reals, &key);
		if (!r)
			return XDP_DROP;
		r->packets++;
		r->bytes += ntohs(*(u16 *)(frame + offset + 2));
		ret = ret * 31 + r->addr + r->packets;
	}
	for (u32 i = 0; i < REALS; i++) {
		u32 key = i;
		struct real *r = bpf_map_lookup_elem(&reals, &key);

		if (r)
			ret = ret * 31 + r->bytes / r->weight;
	}
	return ret;
}
