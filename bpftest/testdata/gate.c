// Programs for the tests of package bpftest: a gate that lets so many frames of an
// EtherType pass each second, at each of the packet hooks.

#include "bpf.h"

const volatile u32 limit = 2; // frames a second

u64 refused;

struct window {
	u64 since;
	u64 frames;
};

struct {
	NUM(type, BPF_MAP_TYPE_HASH);
	NUM(max_entries, 16);
	TYPE(key, u16);
	TYPE(value, struct window);
} windows SEC(".maps");

static INLINE bool pass(u16 proto)
{
	struct window fresh = {.since = bpf_ktime_get_ns()}, *w;

	w = bpf_map_lookup_elem(&windows, &proto);
	if (!w || fresh.since - w->since >= 1000000000ULL) {
		bpf_map_update_elem(&windows, &proto, &fresh, BPF_ANY);
		w = bpf_map_lookup_elem(&windows, &proto);
		if (!w)
			return false;
	}
	if (++w->frames <= limit)
		return true;
	__sync_fetch_and_add(&refused, 1);
	return false;
}

SEC("xdp")
int gate_xdp(struct xdp_md *ctx)
{
	struct eth_hdr *eth = DATA(ctx);

	if ((void *)(eth + 1) > DATA_END(ctx))
		return XDP_ABORTED;
	return pass(ntohs(eth->proto)) ? XDP_PASS : XDP_DROP;
}

SEC("tc")
int gate_tc(struct __sk_buff *ctx)
{
	static const char fmt[] = "mark %d";

	ctx->mark = ntohs(ctx->protocol);
	bpf_trace_printk(fmt, sizeof(fmt), ctx->mark);
	return pass(ctx->mark) ? TC_ACT_OK : TC_ACT_SHOT;
}

SEC("socket")
int gate_socket(struct __sk_buff *ctx)
{
	return pass(ntohs(ctx->protocol)) ? (int)ctx->len : 0;
}

LICENSE("GPL");
