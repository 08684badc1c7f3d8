// SPDX-License-Identifier: Apache-2.0
//
// Dynptrs: over packets, ring buffer records and map values.
#include "kfuncs.h"

struct {
	NUM(type, BPF_MAP_TYPE_RINGBUF);
	NUM(max_entries, 4096);
} ringbuf SEC(".maps");

struct value { u8 bytes[256]; };

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	NUM(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, struct value);
} buffers SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_USER_RINGBUF);
	NUM(max_entries, 4096);
} user SEC(".maps");

SEC("xdp")
int parse(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	struct eth_hdr *eth, ebuf;
	struct ipv4_hdr *ip, ibuf;
	u64 off = sizeof(*eth);

	bpf_dynptr_from_xdp(ctx, 0, &ptr);
	eth = bpf_dynptr_slice(&ptr, 0, &ebuf, sizeof(ebuf));
	if (!eth || eth->proto != htons(ETH_P_IP))
		return XDP_PASS;
	ip = bpf_dynptr_slice_rdwr(&ptr, off, &ibuf, sizeof(ibuf));
	if (!ip)
		return XDP_DROP;
	ip->ttl--;
	if (ip == &ibuf)
		bpf_dynptr_write(&ptr, off, &ibuf, sizeof(ibuf), 0);
	return XDP_TX;
}

// The slice may be missing.
SEC("xdp")
int wrong_slice_null(struct xdp_md *ctx)
{
	struct bpf_dynptr ptr;
	struct eth_hdr *eth, buf;

	bpf_dynptr_from_xdp(ctx, 0, &ptr);
	eth = bpf_dynptr_slice(&ptr, 0, &buf, sizeof(buf));
	return eth->proto;
}

// More than the slice has.
SEC("tc")
int wrong_slice_bounds(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	u8 *p, buf[14];

	if (bpf_dynptr_from_skb(skb, 0, &ptr))
		return 0;
	p = bpf_dynptr_slice(&ptr, 0, buf, sizeof(buf));
	return p ? p[14] : 0;
}

// A slice that may only be read.
SEC("tc")
int wrong_slice_write(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	u8 *p, buf[14];

	if (bpf_dynptr_from_skb(skb, 0, &ptr))
		return 0;
	p = bpf_dynptr_slice(&ptr, 0, buf, sizeof(buf));
	if (p)
		p[0] = 1;
	return 0;
}

// The buffer is smaller than the slice.
SEC("tc")
int wrong_slice_buffer(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	u8 *p, buf[8];

	if (bpf_dynptr_from_skb(skb, 0, &ptr))
		return 0;
	p = bpf_dynptr_slice(&ptr, 0, buf, 16);
	return p ? p[0] : 0;
}

// Slices are gone after the packet was written.
SEC("tc")
int wrong_slice_stale(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	u8 *p, buf[14] = {};

	if (bpf_dynptr_from_skb(skb, 0, &ptr))
		return 0;
	p = bpf_dynptr_slice(&ptr, 0, NULL, sizeof(buf));
	if (!p)
		return 0;
	bpf_dynptr_write(&ptr, 0, buf, sizeof(buf), 0);
	return p[0];
}

SEC("tc")
int views(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr, clone;
	u8 buf[8];

	if (bpf_dynptr_from_skb(skb, 0, &ptr) || bpf_dynptr_clone(&ptr, &clone))
		return 0;
	if (bpf_dynptr_adjust(&clone, 14, 34) || bpf_dynptr_is_null(&clone))
		return 0;
	if (bpf_dynptr_size(&clone) < 8 || bpf_dynptr_is_rdonly(&ptr))
		return 0;
	if (bpf_dynptr_read(buf, sizeof(buf), &clone, 0, 0))
		return 0;
	return buf[3];
}

SEC("tc")
int record(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr, packet;
	u64 *first;

	if (bpf_ringbuf_reserve_dynptr(&ringbuf, skb->len, 0, &ptr)) {
		bpf_ringbuf_discard_dynptr(&ptr, 0);
		return 0;
	}
	first = bpf_dynptr_data(&ptr, 0, 8);
	if (first)
		*first = skb->mark;
	if (!bpf_dynptr_from_skb(skb, 0, &packet))
		bpf_dynptr_copy(&ptr, 8, &packet, 0, 16);
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return 0;
}

// A reservation that failed has to be discarded, too.
SEC("tc")
int wrong_no_discard(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	if (bpf_ringbuf_reserve_dynptr(&ringbuf, 8, 0, &ptr))
		return 0;
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return 0;
}

// Data of a record that was submitted.
SEC("tc")
int wrong_after_submit(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	u64 *p;

	bpf_ringbuf_reserve_dynptr(&ringbuf, 8, 0, &ptr);
	p = bpf_dynptr_data(&ptr, 0, 8);
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return p ? *p : 0;
}

SEC("tc")
int wrong_submit_twice(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	bpf_ringbuf_reserve_dynptr(&ringbuf, 8, 0, &ptr);
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return 0;
}

// Its bytes on the stack are not to be touched.
SEC("tc")
int wrong_overwrite(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	bpf_ringbuf_reserve_dynptr(&ringbuf, 8, 0, &ptr);
	*(volatile u64 *)&ptr = 0;
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return 0;
}

SEC("tc")
int wrong_read_bytes(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	u64 v;

	bpf_ringbuf_reserve_dynptr(&ringbuf, 8, 0, &ptr);
	v = *(volatile u64 *)&ptr;
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return v;
}

SEC("tc")
int wrong_uninit(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	u8 buf[8];

	return bpf_dynptr_read(buf, sizeof(buf), &ptr, 0, 0);
}

SEC("tc")
int memory(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	u32 zero = 0;
	struct value *v = bpf_map_lookup_elem(&buffers, &zero);

	if (!v || bpf_dynptr_from_mem(v, sizeof(*v), 0, &ptr))
		return 0;
	bpf_dynptr_memset(&ptr, 0, 16, 7);
	return v->bytes[1];
}

// The stack has no dynptrs.
SEC("tc")
int wrong_stack_memory(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	u8 buf[16] = {};

	return bpf_dynptr_from_mem(buf, sizeof(buf), 0, &ptr);
}

static NOINLINE int sum(struct bpf_dynptr *ptr)
{
	u8 buf[4] = {};

	bpf_dynptr_read(buf, sizeof(buf), ptr, 0, 0);
	return buf[0] + buf[3];
}

NOINLINE int sum_global(struct bpf_dynptr *ptr)
{
	u8 buf[4] = {};

	bpf_dynptr_read(buf, sizeof(buf), ptr, 0, 0);
	return buf[0] + buf[3];
}

SEC("tc")
int passed(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	if (bpf_dynptr_from_skb(skb, 0, &ptr))
		return 0;
	return sum(&ptr) + sum_global(&ptr);
}

static long drained(struct bpf_dynptr *ptr, void *ctx)
{
	u32 *sum = ctx, v = 0;

	if (bpf_dynptr_read(&v, sizeof(v), ptr, 0, 0))
		return 1;
	*sum += v;
	return 0;
}

SEC("raw_tp/sys_enter")
int drain(void *ctx)
{
	u32 sum = 0;

	return bpf_user_ringbuf_drain(&user, drained, &sum, 0) + sum;
}

static long wrong_drained(struct bpf_dynptr *ptr, void *ctx)
{
	return 2;
}

// Callbacks return 0 or 1.
SEC("raw_tp/sys_enter")
int wrong_drain_result(void *ctx)
{
	return bpf_user_ringbuf_drain(&user, wrong_drained, NULL, 0);
}

SEC("tc")
int classic(struct __sk_buff *skb)
{
	u64 *r = bpf_ringbuf_reserve(&ringbuf, 16, 0);

	if (!r)
		return 0;
	r[0] = skb->mark;
	r[1] = skb->len;
	bpf_ringbuf_submit(r, 0);
	return 0;
}

SEC("tc")
int wrong_record_bounds(struct __sk_buff *skb)
{
	u64 *r = bpf_ringbuf_reserve(&ringbuf, 16, 0);

	if (!r)
		return 0;
	r[2] = skb->mark;
	bpf_ringbuf_submit(r, 0);
	return 0;
}

SEC("tc")
int wrong_record_null(struct __sk_buff *skb)
{
	u64 *r = bpf_ringbuf_reserve(&ringbuf, 16, 0);

	r[0] = skb->mark;
	bpf_ringbuf_submit(r, 0);
	return 0;
}

SEC("tc")
int wrong_record_leak(struct __sk_buff *skb)
{
	u64 *r = bpf_ringbuf_reserve(&ringbuf, 16, 0);

	if (r && skb->len > 100) {
		r[0] = 0;
		bpf_ringbuf_submit(r, 0);
	}
	return 0;
}

// Only the record's start can be submitted.
SEC("tc")
int wrong_record_moved(struct __sk_buff *skb)
{
	u64 *r = bpf_ringbuf_reserve(&ringbuf, 16, 0);

	if (!r)
		return 0;
	bpf_ringbuf_submit(r + 1, 0);
	return 0;
}

LICENSE("GPL");
