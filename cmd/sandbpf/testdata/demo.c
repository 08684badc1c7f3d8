// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the command line run: programs of each type, maps of many
// types, global variables, events, a program that must be stopped, and one that has
// no hook here.
#include "bpf.h"

struct flow {
	be32 saddr;
	be16 dport;
	u8 protocol;
	u8 pad;
};

struct counters {
	u64 packets;
	u64 bytes;
	char name[8];
};

struct {
	NUM(type, BPF_MAP_TYPE_HASH);
	NUM(max_entries, 64);
	TYPE(key, struct flow);
	TYPE(value, struct counters);
} flows SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	NUM(max_entries, 256);
	TYPE(key, u32);
	TYPE(value, u64);
} protocols SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_RINGBUF);
	NUM(max_entries, 4096);
} ring SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	NUM(key_size, 4);
	NUM(value_size, 4);
} samples SEC(".maps");

int stop(struct xdp_md *ctx);

struct {
	NUM(type, BPF_MAP_TYPE_PROG_ARRAY);
	NUM(max_entries, 4);
	NUM(key_size, 4);
	int (*values[])(struct xdp_md *);
} jumps SEC(".maps") = {
	.values = {[2] = stop},
};

struct inner {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	NUM(max_entries, 2);
	TYPE(key, u32);
	TYPE(value, s32);
} one SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	NUM(max_entries, 2);
	NUM(key_size, 4);
	struct inner *values[];
} outer SEC(".maps") = {
	.values = {[1] = &one},
};

static long (*const bpf_map_push_elem)(void *map, const void *value, u64 flags) = (void *)87;

struct {
	NUM(type, 22); // BPF_MAP_TYPE_QUEUE
	NUM(max_entries, 8);
	NUM(value_size, 4);
} lengths SEC(".maps");

const volatile u16 blocked_port = 23;
u64 dropped;
s32 last_lengths[4];

NOINLINE static int account(struct flow *key, u64 bytes)
{
	struct counters *c = bpf_map_lookup_elem(&flows, key);

	if (!c) {
		struct counters fresh = {.packets = 1, .bytes = bytes, .name = "flow"};
		return bpf_map_update_elem(&flows, key, &fresh, BPF_ANY);
	}
	c->packets++;
	c->bytes += bytes;
	return 0;
}

// count drops UDP and TCP packets to the blocked port and reports them, and counts
// the others.
SEC("xdp")
int count(struct xdp_md *ctx)
{
	u8 *data = DATA(ctx), *end = DATA_END(ctx);
	struct eth_hdr *eth = (void *)data;
	struct ipv4_hdr *ip = (void *)(eth + 1);
	struct udp_hdr *udp = (void *)(ip + 1);
	struct flow key = {};
	u32 protocol;
	u64 *n;

	if ((u8 *)(udp + 1) > end || eth->proto != htons(0x0800))
		return XDP_PASS;
	key.saddr = ip->saddr;
	key.dport = udp->dport;
	key.protocol = protocol = ip->protocol;
	last_lengths[dropped & 3] = end - data;
	n = bpf_map_lookup_elem(&protocols, &protocol);
	if (n)
		++*n;
	account(&key, end - data);
	if (udp->dport != htons(blocked_port))
		return XDP_PASS;
	dropped++;
	u8 *record = bpf_ringbuf_reserve(&ring, 8, 0);
	if (record) {
		*(be32 *)record = ip->saddr;
		*(be32 *)(record + 4) = ip->daddr;
		bpf_ringbuf_submit(record, 0);
	}
	bpf_perf_event_output(ctx, &samples, BPF_F_CURRENT_CPU, &key, sizeof(key));
	static const char text[] = "dropped %d";
	bpf_trace_printk(text, sizeof(text), (u32)dropped);
	return XDP_DROP;
}

SEC("xdp")
int stop(struct xdp_md *ctx)
{
	return XDP_ABORTED;
}

// jump goes on in stop, and from there nowhere.
SEC("xdp")
int jump(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &jumps, 2);
	return XDP_PASS;
}

// overrun reads behind the end of short packets.
SEC("xdp")
int overrun(struct xdp_md *ctx)
{
	u8 *data = DATA(ctx);

	return data[60] ? XDP_TX : XDP_PASS;
}

// swap sends packets back to where they come from, without their last byte.
SEC("xdp")
int swap(struct xdp_md *ctx)
{
	u8 *data = DATA(ctx), *end = DATA_END(ctx);

	if (data + 12 > end)
		return XDP_ABORTED;
	for (int i = 0; i < 6; i++) {
		u8 t = data[i];
		data[i] = data[i + 6];
		data[i + 6] = t;
	}
	bpf_xdp_adjust_tail(ctx, -1);
	return XDP_TX;
}

u64 first_ns, last_ns, random_bits;

// clock keeps what time it was at the first packet and at the last.
SEC("xdp")
int clock(struct xdp_md *ctx)
{
	last_ns = bpf_ktime_get_ns();
	if (!first_ns)
		first_ns = last_ns;
	random_bits = bpf_get_prandom_u32();
	return XDP_PASS;
}

// push remembers the lengths of packets.
SEC("xdp")
int push(struct xdp_md *ctx)
{
	u32 len = DATA_END(ctx) - DATA(ctx);

	bpf_map_push_elem(&lengths, &len, 0);
	return XDP_PASS;
}

SEC("tc")
int steer(struct __sk_buff *skb)
{
	skb->mark = 7;
	return skb->len > 50 ? bpf_redirect(3, 0) : TC_ACT_OK;
}

// head keeps the first bytes of IPv4 packets.
SEC("socket")
int head(struct __sk_buff *skb)
{
	return skb->protocol == htons(0x0800) ? 20 : 0;
}

SEC("plain")
u64 sum(u8 *memory, u64 len)
{
	u64 s = 0;

	for (u64 i = 0; i < len && i < 64; i++)
		s += memory[i]++;
	return s;
}

SEC("kprobe/do_exit")
int probe(void *ctx)
{
	return bpf_get_smp_processor_id();
}

LICENSE("GPL");
