// SPDX-License-Identifier: Apache-2.0
//
// An XDP firewall for IPv4 and IPv6, the largest program here. A packet is judged
// by the first of these that applies:
//
//   1. cut short or malformed               dropped, RULE_MALFORMED
//   2. neither IPv4 nor IPv6 (ARP, ...)     passed,  RULE_NOT_IP
//   3. source in allow4 or allow6           passed,  the rule of the entry
//   4. source in deny4 or deny6             dropped, the rule of the entry
//   5. a fragment that is not the first     dropped, RULE_FRAGMENT
//   6. source has used up its rate          dropped, RULE_RATE
//   7. protocol and port in services        as the entry says, with its rule
//   8. anything else                        default_action, RULE_DEFAULT
//
// Maps:
//
//   allow4, deny4  LPM tries, struct prefix4 -> u32 rule
//   allow6, deny6  LPM tries, struct prefix6 -> u32 rule
//   services       hash, struct service -> struct verdict. The port is that of
//                  the destination, or the type of an ICMP message; an entry with
//                  ANY_PORT stands for all ports that have none of their own.
//   sources        LRU hash, struct address -> struct bucket: the rate limiter
//   counters       per-CPU array, u32 rule -> struct counter
//
// Rules below FIRST_RULE are the built-in ones above, those from FIRST_RULE to
// MAX_RULES - 1 are the user's. Settings that are fixed when the object is loaded:
// packet_cost, bucket_size, default_action. With all lists empty, as in the
// recording, the result is XDP_DROP for IP and malformed packets and XDP_PASS for
// others.
#include "bpf.h"

#define MAX_RULES 64
#define ANY_PORT 0xffff

enum {
	RULE_MALFORMED = 0,
	RULE_NOT_IP = 1,
	RULE_FRAGMENT = 2,
	RULE_RATE = 3,
	RULE_DEFAULT = 4,
	FIRST_RULE = 8,
};

// Addresses are bytes in network order; numbers are in the machine's order.
struct prefix4 {
	u32 len; // in bits, 0 to 32
	u8 addr[4];
};

struct prefix6 {
	u32 len; // in bits, 0 to 128
	u8 addr[16];
};

struct address {
	u8 addr[16]; // an IPv4 address is ::ffff:a.b.c.d
};

struct service {
	u8 protocol;
	u8 zero;
	u16 port;
};

struct verdict {
	u32 action; // XDP_DROP or XDP_PASS
	u32 rule;
};

// A token bucket whose tokens are nanoseconds: time fills it, packets cost it.
struct bucket {
	u64 credit;
	u64 updated;
};

struct counter {
	u64 packets;
	u64 bytes;
};

const volatile u64 packet_cost = 10000000;         // ns: 100 packets a second
const volatile u64 bucket_size = 50ULL * 10000000; // ns: 50 packets at once
const volatile u32 default_action = XDP_DROP;

#define PREFIXES(name, prefix)                                                \
	struct {                                                              \
		NUM(type, BPF_MAP_TYPE_LPM_TRIE);                             \
		TYPE(key, struct prefix);                                     \
		TYPE(value, u32);                                             \
		NUM(max_entries, 1024);                                       \
		NUM(map_flags, BPF_F_NO_PREALLOC);                            \
	} name SEC(".maps")

PREFIXES(allow4, prefix4);
PREFIXES(deny4, prefix4);
PREFIXES(allow6, prefix6);
PREFIXES(deny6, prefix6);

struct {
	NUM(type, BPF_MAP_TYPE_HASH);
	TYPE(key, struct service);
	TYPE(value, struct verdict);
	NUM(max_entries, 256);
} services SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_LRU_HASH);
	TYPE(key, struct address);
	TYPE(value, struct bucket);
	NUM(max_entries, 4096);
} sources SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	TYPE(key, u32);
	TYPE(value, struct counter);
	NUM(max_entries, MAX_RULES);
} counters SEC(".maps");

// What of a packet the rules look at.
struct packet {
	struct address source;
	struct service service;
	be16 proto;
	bool later_fragment;
};

static INLINE struct verdict decide(u32 action, u32 rule)
{
	return (struct verdict){action, rule};
}

// parse_ports reads the destination port or the ICMP type at p.
static INLINE bool parse_ports(struct packet *packet, void *p, void *end)
{
	struct udp_hdr *udp = p;
	struct tcp_hdr *tcp = p;
	struct icmp_hdr *icmp = p;

	if (packet->later_fragment)
		return true;
	switch (packet->service.protocol) {
	case IPPROTO_TCP:
		if ((void *)(tcp + 1) > end || tcp->doff >> 4 < 5)
			return false;
		packet->service.port = ntohs(tcp->dport);
		return true;
	case IPPROTO_UDP:
		if ((void *)(udp + 1) > end || ntohs(udp->len) < sizeof(*udp))
			return false;
		packet->service.port = ntohs(udp->dport);
		return true;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if ((void *)(icmp + 1) > end)
			return false;
		packet->service.port = icmp->type;
		return true;
	}
	packet->service.port = ANY_PORT;
	return true;
}

static INLINE bool parse4(struct packet *packet, void *p, void *end)
{
	struct ipv4_hdr *ip = p;
	u32 len;

	if ((void *)(ip + 1) > end || ip->ver_ihl >> 4 != 4)
		return false;
	len = (ip->ver_ihl & 15) * 4;
	if (len < sizeof(*ip) || ntohs(ip->tot_len) < len || p + len > end)
		return false;
	packet->source.addr[10] = 0xff;
	packet->source.addr[11] = 0xff;
	__builtin_memcpy(&packet->source.addr[12], &ip->saddr, 4);
	packet->service.protocol = ip->protocol;
	packet->later_fragment = ip->frag & htons(0x1fff);
	return parse_ports(packet, p + len, end);
}

static INLINE bool parse6(struct packet *packet, void *p, void *end)
{
	struct ipv6_hdr *ip = p;
	u8 next;

	if ((void *)(ip + 1) > end || (ip->ver_class_flow & htonl(0xf0000000)) != htonl(0x60000000))
		return false;
	__builtin_memcpy(packet->source.addr, ip->saddr, 16);
	next = ip->nexthdr;
	p = ip + 1;
	for (int headers = 0; headers < 6; headers++) {
		u8 *extension = p;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
		    next != IPPROTO_DSTOPTS && next != IPPROTO_FRAGMENT)
			break;
		if (extension + 8 > (u8 *)end)
			return false;
		if (next == IPPROTO_FRAGMENT) {
			packet->later_fragment = *(be16 *)(extension + 2) & htons(0xfff8);
			p += 8;
		} else {
			p += (extension[1] + 1) * 8;
		}
		next = extension[0];
		if (packet->later_fragment)
			break;
	}
	packet->service.protocol = next;
	return parse_ports(packet, p, end);
}

static INLINE bool parse(struct packet *packet, void *p, void *end)
{
	struct eth_hdr *eth = p;

	p = eth + 1;
	if (p > end)
		return false;
	packet->proto = eth->proto;
	for (int tags = 0; tags < 2; tags++) {
		struct vlan_hdr *vlan = p;

		if (packet->proto != htons(ETH_P_8021Q) && packet->proto != htons(ETH_P_8021AD))
			break;
		p = vlan + 1;
		if (p > end)
			return false;
		packet->proto = vlan->proto;
	}
	if (packet->proto == htons(ETH_P_IP))
		return parse4(packet, p, end);
	if (packet->proto == htons(ETH_P_IPV6))
		return parse6(packet, p, end);
	return true;
}

// find looks the source up in one of two tries, by the kind of the packet.
static INLINE u32 *find(struct packet *packet, void *trie4, void *trie6)
{
	if (packet->proto == htons(ETH_P_IP)) {
		struct prefix4 key = {.len = 32};

		__builtin_memcpy(key.addr, &packet->source.addr[12], 4);
		return bpf_map_lookup_elem(trie4, &key);
	} else {
		struct prefix6 key = {.len = 128};

		__builtin_memcpy(key.addr, packet->source.addr, 16);
		return bpf_map_lookup_elem(trie6, &key);
	}
}

// within_rate takes the cost of a packet from its source's bucket. Two CPUs that
// see the same source at once may let a packet more through: an update is lost,
// and no lock is taken for it.
static INLINE bool within_rate(struct address *source)
{
	u64 now = bpf_ktime_get_ns();
	struct bucket *bucket = bpf_map_lookup_elem(&sources, source);
	u64 credit;

	if (!bucket) {
		struct bucket full = {bucket_size - packet_cost, now};

		bpf_map_update_elem(&sources, source, &full, BPF_ANY);
		return true;
	}
	credit = bucket->credit + (now - bucket->updated);
	if (credit > bucket_size)
		credit = bucket_size;
	bucket->updated = now;
	if (credit < packet_cost) {
		bucket->credit = credit;
		return false;
	}
	bucket->credit = credit - packet_cost;
	return true;
}

static INLINE struct verdict judge(struct packet *packet)
{
	struct verdict *service;
	u32 *rule;

	rule = find(packet, &allow4, &allow6);
	if (rule)
		return decide(XDP_PASS, *rule);
	rule = find(packet, &deny4, &deny6);
	if (rule)
		return decide(XDP_DROP, *rule);
	if (packet->later_fragment)
		return decide(XDP_DROP, RULE_FRAGMENT);
	if (!within_rate(&packet->source))
		return decide(XDP_DROP, RULE_RATE);
	service = bpf_map_lookup_elem(&services, &packet->service);
	if (!service) {
		packet->service.port = ANY_PORT;
		service = bpf_map_lookup_elem(&services, &packet->service);
	}
	if (service)
		return *service;
	return decide(default_action, RULE_DEFAULT);
}

SEC("xdp")
int firewall(struct xdp_md *ctx)
{
	struct packet packet = {};
	struct verdict verdict;
	struct counter *counter;

	if (!parse(&packet, DATA(ctx), DATA_END(ctx)))
		verdict = decide(XDP_DROP, RULE_MALFORMED);
	else if (packet.proto != htons(ETH_P_IP) && packet.proto != htons(ETH_P_IPV6))
		verdict = decide(XDP_PASS, RULE_NOT_IP);
	else
		verdict = judge(&packet);
	counter = bpf_map_lookup_elem(&counters, &verdict.rule);
	if (counter) {
		counter->packets++;
		counter->bytes += ctx->data_end - ctx->data;
	}
	return verdict.action;
}

LICENSE("Apache-2.0");
