// An XDP firewall: rules by source prefix, IPv4 and IPv6, that allow, deny, or limit
// the packets a second of each source. Everything that no rule covers passes.

#include "bpf.h"

#define MAX_RULES 64

enum { ALLOW, DENY, LIMIT };

struct rule {
	u32 action;
	u32 rate; // of LIMIT: packets a second from one source
};

struct counter {
	u64 packets;
	u64 bytes;
	u64 dropped;
};

struct prefix4 {
	u32 bits;
	u8 addr[4];
};

struct prefix6 {
	u32 bits;
	u8 addr[16];
};

struct window {
	u64 since; // nanoseconds
	u64 packets;
};

// The longest prefix of a source has the number of its rule.
struct {
	NUM(type, BPF_MAP_TYPE_LPM_TRIE);
	NUM(map_flags, BPF_F_NO_PREALLOC);
	NUM(max_entries, 1024);
	TYPE(key, struct prefix4);
	TYPE(value, u32);
} sources4 SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_LPM_TRIE);
	NUM(map_flags, BPF_F_NO_PREALLOC);
	NUM(max_entries, 1024);
	TYPE(key, struct prefix6);
	TYPE(value, u32);
} sources6 SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	NUM(max_entries, MAX_RULES);
	TYPE(key, u32);
	TYPE(value, struct rule);
} rules SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	NUM(max_entries, MAX_RULES);
	TYPE(key, u32);
	TYPE(value, struct counter);
} counters SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_LRU_HASH);
	NUM(max_entries, 1024);
	TYPE(key, struct prefix6);
	TYPE(value, struct window);
} windows SEC(".maps");

// within counts a packet of a source and says whether it is within the rate.
static INLINE bool within(struct prefix6 *source, u32 rate)
{
	struct window fresh = {.since = bpf_ktime_get_ns(), .packets = 1}, *w;

	w = bpf_map_lookup_elem(&windows, source);
	if (!w || fresh.since - w->since >= 1000000000ULL) {
		bpf_map_update_elem(&windows, source, &fresh, BPF_ANY);
		return true;
	}
	return __sync_fetch_and_add(&w->packets, 1) < rate;
}

// judge finds the rule of a source and does what it says.
static INLINE int judge(u32 *number, struct prefix6 *source, u64 bytes)
{
	struct counter *c;
	struct rule *r;
	bool pass = true;

	if (!number)
		return XDP_PASS;
	r = bpf_map_lookup_elem(&rules, number);
	c = bpf_map_lookup_elem(&counters, number);
	if (!r || !c)
		return XDP_ABORTED;
	if (r->action == DENY)
		pass = false;
	else if (r->action == LIMIT)
		pass = within(source, r->rate);
	c->packets++;
	c->bytes += bytes;
	if (pass)
		return XDP_PASS;
	c->dropped++;
	return XDP_DROP;
}

SEC("xdp")
int firewall(struct xdp_md *ctx)
{
	void *data = DATA(ctx), *end = DATA_END(ctx);
	struct eth_hdr *eth = data;
	struct prefix6 source = {.bits = 128};

	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	if (eth->proto == htons(ETH_P_IP)) {
		struct ipv4_hdr *ip = (void *)(eth + 1);
		struct prefix4 key = {.bits = 32};

		if ((void *)(ip + 1) > end)
			return XDP_DROP;
		__builtin_memcpy(key.addr, &ip->saddr, 4);
		__builtin_memcpy(source.addr + 12, &ip->saddr, 4);
		return judge(bpf_map_lookup_elem(&sources4, &key), &source, end - data);
	}
	if (eth->proto == htons(ETH_P_IPV6)) {
		struct ipv6_hdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) > end)
			return XDP_DROP;
		__builtin_memcpy(source.addr, ip->saddr, 16);
		return judge(bpf_map_lookup_elem(&sources6, &source), &source, end - data);
	}
	return XDP_PASS;
}

LICENSE("Dual BSD/GPL");
