// SPDX-License-Identifier: Apache-2.0
//
// A load balancer in XDP: parse, look the service up, choose a server by consistent hashing
// with a cache of connections, encapsulate. The wrong_ programs are what people get wrong in
// one.
#include "objects.h"

#define RING 4099
#define MAX_VIPS 64
#define VLANS 2

struct vip {
	union { be32 v4; be32 v6[4]; };
	u16 port;
	u8 proto;
	u8 family;
};

struct vip_meta { u32 flags, num; };

struct flow {
	union { be32 src; be32 src6[4]; };
	union { be32 dst; be32 dst6[4]; };
	union { u32 ports; u16 port[2]; };
	u8 proto;
	u8 pad[3];
};

struct real { be32 addr; u32 flags; u8 mac[6]; u8 pad[2]; };
struct conn { u32 real; u64 seen; };
struct stats { u64 packets, bytes; };

struct {
	NUM(type, BPF_MAP_TYPE_HASH);
	NUM(max_entries, MAX_VIPS);
	TYPE(key, struct vip);
	TYPE(value, struct vip_meta);
} vips SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	NUM(max_entries, RING * MAX_VIPS);
	TYPE(key, u32);
	TYPE(value, u32);
} rings SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	NUM(max_entries, 4096);
	TYPE(key, u32);
	TYPE(value, struct real);
} reals SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	NUM(max_entries, 4096);
	TYPE(key, u32);
	TYPE(value, struct stats);
} stats SEC(".maps");

struct lru {
	NUM(type, BPF_MAP_TYPE_LRU_HASH);
	NUM(max_entries, 1000);
	TYPE(key, struct flow);
	TYPE(value, struct conn);
} fallback SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	NUM(max_entries, 128);
	NUM(key_size, 4);
	struct lru *values[];
} lrus SEC(".maps") = { .values = { &fallback } };

struct lpm_key { u32 len; be32 addr; };

struct {
	NUM(type, BPF_MAP_TYPE_LPM_TRIE);
	NUM(max_entries, 1024);
	NUM(map_flags, BPF_F_NO_PREALLOC);
	TYPE(key, struct lpm_key);
	TYPE(value, u32);
} sources SEC(".maps");

struct packet {
	struct flow flow;
	void *l4;
	u16 bytes;
	u8 family;
	bool syn, icmp;
};

static INLINE u32 rol(u32 v, u32 n) { return v << n | v >> (32 - n); }

static INLINE u32 mix(u32 a, u32 b, u32 c)
{
	a += 0xdeadbeef, b += 0xdeadbeef, c += 0xdeadbeef;
	c ^= b; c -= rol(b, 14);
	a ^= c; a -= rol(c, 11);
	b ^= a; b -= rol(a, 25);
	c ^= b; c -= rol(b, 16);
	a ^= c; a -= rol(c, 4);
	b ^= a; b -= rol(a, 14);
	c ^= b; c -= rol(b, 24);
	return c;
}

static INLINE bool parse_ports(struct packet *p, void *data_end)
{
	if (p->flow.proto == IPPROTO_TCP) {
		struct tcp_hdr *tcp = p->l4;

		if ((void *)(tcp + 1) > data_end)
			return false;
		p->syn = tcp->flags & 2;
		p->flow.port[0] = tcp->sport;
		p->flow.port[1] = tcp->dport;
		return true;
	}
	if (p->flow.proto == IPPROTO_UDP) {
		struct udp_hdr *udp = p->l4;

		if ((void *)(udp + 1) > data_end)
			return false;
		p->flow.port[0] = udp->sport;
		p->flow.port[1] = udp->dport;
		return true;
	}
	return false;
}

static INLINE bool parse_icmp(struct packet *p, void *data_end)
{
	struct icmp_hdr *icmp = p->l4;
	struct ipv4_hdr *in = (void *)(icmp + 1);

	if ((void *)(in + 1) > data_end || icmp->type != 3)
		return false;
	p->icmp = true;
	p->flow.src = in->daddr;
	p->flow.dst = in->saddr;
	p->flow.proto = in->protocol;
	p->l4 = in + 1;
	return parse_ports(p, data_end);
}

static INLINE bool parse(struct packet *p, void *data, void *data_end)
{
	struct eth_hdr *eth = data;
	struct vlan_hdr *vlan = (void *)(eth + 1);
	be16 proto;

	if ((void *)(eth + 1) > data_end)
		return false;
	proto = eth->proto;
	for (int i = 0; i < VLANS; i++) {
		if (proto != htons(ETH_P_8021Q) && proto != htons(ETH_P_8021AD))
			break;
		if ((void *)(vlan + 1) > data_end)
			return false;
		proto = vlan->proto;
		vlan++;
	}
	if (proto == htons(ETH_P_IP)) {
		struct ipv4_hdr *ip = (void *)vlan;

		if ((void *)(ip + 1) > data_end || (ip->ver_ihl & 15) != 5 || ip->frag & htons(0x3fff))
			return false;
		p->family = AF_INET;
		p->bytes = ntohs(ip->tot_len);
		p->flow.src = ip->saddr;
		p->flow.dst = ip->daddr;
		p->flow.proto = ip->protocol;
		p->l4 = ip + 1;
		if (ip->protocol == IPPROTO_ICMP)
			return parse_icmp(p, data_end);
		return parse_ports(p, data_end);
	}
	if (proto == htons(ETH_P_IPV6)) {
		struct ipv6_hdr *ip6 = (void *)vlan;
		u8 next;

		if ((void *)(ip6 + 1) > data_end)
			return false;
		p->family = AF_INET6;
		p->bytes = ntohs(ip6->payload_len);
		__builtin_memcpy(p->flow.src6, ip6->saddr, 16);
		__builtin_memcpy(p->flow.dst6, ip6->daddr, 16);
		next = ip6->nexthdr;
		p->l4 = ip6 + 1;
		for (int i = 0; i < 6; i++) {
			u8 *ext = p->l4;

			if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
				break;
			if ((void *)(ext + 8) > data_end)
				return false;
			next = ext[0];
			p->l4 = ext + (ext[1] + 1) * 8;
		}
		p->flow.proto = next;
		return parse_ports(p, data_end);
	}
	return false;
}

static INLINE struct real *choose(struct packet *p, struct vip_meta *meta, void *lru)
{
	struct conn fresh = {}, *known;
	u32 key, *real;

	if (!p->syn) {
		known = bpf_map_lookup_elem(lru, &p->flow);
		if (known) {
			known->seen = bpf_ktime_get_ns();
			return bpf_map_lookup_elem(&reals, &known->real);
		}
	}
	key = mix(p->flow.src, p->flow.ports, 0) % RING + RING * meta->num;
	real = bpf_map_lookup_elem(&rings, &key);
	if (!real)
		return NULL;
	fresh.real = *real;
	fresh.seen = bpf_ktime_get_ns();
	bpf_map_update_elem(lru, &p->flow, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&reals, &fresh.real);
}

static INLINE u16 fold(u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static INLINE int encap(struct xdp_md *ctx, struct packet *p, struct real *real)
{
	struct eth_hdr *eth, *old;
	struct ipv4_hdr *ip;
	void *data, *data_end;
	u32 sum = 0;

	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(*ip)))
		return XDP_DROP;
	data = DATA(ctx);
	data_end = DATA_END(ctx);
	eth = data;
	ip = data + sizeof(*eth);
	old = data + sizeof(*ip);
	if ((void *)(ip + 1) > data_end || (void *)(old + 1) > data_end)
		return XDP_DROP;
	__builtin_memcpy(eth->dst, real->mac, 6);
	__builtin_memcpy(eth->src, old->dst, 6);
	eth->proto = htons(ETH_P_IP);
	ip->ver_ihl = 0x45;
	ip->tos = 0;
	ip->tot_len = htons(p->bytes + sizeof(*ip));
	ip->id = 0;
	ip->frag = 0;
	ip->ttl = 64;
	ip->protocol = 4;
	ip->check = 0;
	ip->saddr = (mix(p->flow.src, p->flow.ports, 1) & htonl(0xffff)) | htonl(0xac100000);
	ip->daddr = real->addr;
#pragma clang loop unroll(full)
	for (int i = 0; i < 10; i++)
		sum += ((u16 *)ip)[i];
	ip->check = fold(sum);
	return XDP_TX;
}

static INLINE void count(u32 num, u16 bytes)
{
	struct stats *s = bpf_map_lookup_elem(&stats, &num);

	if (s) {
		s->packets++;
		s->bytes += bytes;
	}
}

SEC("xdp")
int balance(struct xdp_md *ctx)
{
	struct packet p = {};
	struct vip vip = {};
	struct vip_meta *meta;
	struct real *real;
	u32 cpu = bpf_get_smp_processor_id();
	void *lru;

	if (!parse(&p, DATA(ctx), DATA_END(ctx)))
		return XDP_PASS;
	vip.family = p.family;
	if (p.family == AF_INET)
		vip.v4 = p.flow.dst;
	else
		__builtin_memcpy(vip.v6, p.flow.dst6, 16);
	vip.port = p.flow.port[1];
	vip.proto = p.flow.proto;
	meta = bpf_map_lookup_elem(&vips, &vip);
	if (!meta) {
		vip.port = 0;
		meta = bpf_map_lookup_elem(&vips, &vip);
		if (!meta)
			return XDP_PASS;
	}
	lru = bpf_map_lookup_elem(&lrus, &cpu);
	real = choose(&p, meta, lru ?: &fallback);
	if (!real)
		return XDP_DROP;
	count(meta->num & 4095, p.bytes);
	return encap(ctx, &p, real);
}

// The inner map may be missing.
SEC("xdp")
int wrong_inner_null(struct xdp_md *ctx)
{
	struct packet p = {};
	u32 cpu = bpf_get_smp_processor_id();
	void *lru = bpf_map_lookup_elem(&lrus, &cpu);

	if (!parse(&p, DATA(ctx), DATA_END(ctx)))
		return XDP_PASS;
	return bpf_map_lookup_elem(lru, &p.flow) ? XDP_TX : XDP_PASS;
}

// Pointers into the packet are of no use after it has moved.
SEC("xdp")
int wrong_after_adjust(struct xdp_md *ctx)
{
	struct eth_hdr *eth = DATA(ctx);

	if ((void *)(eth + 1) > DATA_END(ctx))
		return XDP_PASS;
	if (bpf_xdp_adjust_head(ctx, -20))
		return XDP_DROP;
	eth->proto = htons(ETH_P_IP);
	return XDP_TX;
}

// The element may not be there.
SEC("xdp")
int wrong_null(struct xdp_md *ctx)
{
	u32 key = ctx->rx_queue_index;
	struct stats *s = bpf_map_lookup_elem(&stats, &key);

	s->packets++;
	return XDP_PASS;
}

// One header too little was compared with the end.
SEC("xdp")
int wrong_short_check(struct xdp_md *ctx)
{
	struct eth_hdr *eth = DATA(ctx);
	struct ipv4_hdr *ip = (void *)(eth + 1);

	if ((void *)ip > DATA_END(ctx))
		return XDP_PASS;
	return ip->protocol == IPPROTO_UDP ? XDP_DROP : XDP_PASS;
}

// ihl is not bounded by what was compared.
SEC("xdp")
int wrong_ihl(struct xdp_md *ctx)
{
	void *end = DATA_END(ctx);
	struct eth_hdr *eth = DATA(ctx);
	struct ipv4_hdr *ip = (void *)(eth + 1);
	struct udp_hdr *udp;

	if ((void *)(ip + 1) > end)
		return XDP_PASS;
	udp = (void *)ip + (ip->ver_ihl & 15) * 4;
	return udp->dport == htons(53) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int right_ihl(struct xdp_md *ctx)
{
	void *end = DATA_END(ctx);
	struct eth_hdr *eth = DATA(ctx);
	struct ipv4_hdr *ip = (void *)(eth + 1);
	struct udp_hdr *udp;

	if ((void *)(ip + 1) > end)
		return XDP_PASS;
	udp = (void *)ip + (ip->ver_ihl & 15) * 4;
	if ((void *)(udp + 1) > end)
		return XDP_PASS;
	return udp->dport == htons(53) ? XDP_DROP : XDP_PASS;
}

// The end must come last: data_end + 1 proves nothing.
SEC("xdp")
int wrong_end_plus(struct xdp_md *ctx)
{
	u8 *data = DATA(ctx), *end = DATA_END(ctx);

	opaque(end);
	if (data + 15 > end + 1)
		return XDP_PASS;
	return data[13];
}

// Off by one.
SEC("xdp")
int wrong_off_by_one(struct xdp_md *ctx)
{
	u8 *data = DATA(ctx), *end = DATA_END(ctx);

	if (data + 14 > end)
		return XDP_PASS;
	return data[14];
}

// The key has bytes that were never written.
SEC("xdp")
int wrong_key_padding(struct xdp_md *ctx)
{
	struct lpm_key key;

	key.len = 32;
	return bpf_map_lookup_elem(&sources, &key) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int sources_lpm(struct xdp_md *ctx)
{
	struct packet p = {};
	struct lpm_key key = { .len = 32 };
	u32 *verdict;

	if (!parse(&p, DATA(ctx), DATA_END(ctx)) || p.family != AF_INET)
		return XDP_PASS;
	key.addr = p.flow.src;
	verdict = bpf_map_lookup_elem(&sources, &key);
	return verdict ? *verdict & 1 : XDP_PASS;
}

// An array element's index is checked against the number of bytes.
SEC("xdp")
int wrong_index(struct xdp_md *ctx)
{
	u32 zero = 0, i = ctx->rx_queue_index;
	struct real *r = bpf_map_lookup_elem(&reals, &zero);

	if (!r || i > 6)
		return XDP_PASS;
	return r->mac[i + 2] & 1;
}

SEC("xdp")
int right_index(struct xdp_md *ctx)
{
	u32 zero = 0, i = ctx->rx_queue_index;
	struct real *r = bpf_map_lookup_elem(&reals, &zero);

	if (!r || i > 5)
		return XDP_PASS;
	return r->mac[i] & 1;
}

// A hash of maps that is asked with the key of another map.
SEC("xdp")
int wrong_key_uninit(struct xdp_md *ctx)
{
	struct flow flow;

	flow.proto = 6;
	flow.ports = ctx->rx_queue_index;
	return bpf_map_lookup_elem(&fallback, &flow) ? XDP_TX : XDP_PASS;
}

LICENSE("GPL");
