// SPDX-License-Identifier: Apache-2.0
//
// Masks of CPUs, cgroups, memory per CPU, atomics, queues, more of XDP.
#include "kfuncs.h"

struct mask_value { struct bpf_cpumask KPTR *mask; };
struct frag { u8 bytes[8]; };

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	NUM(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, struct mask_value);
} masks SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_QUEUE);
	NUM(max_entries, 16);
	NUM(value_size, 4);
} queue SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_DEVMAP_HASH);
	NUM(max_entries, 16);
	NUM(key_size, 4);
	NUM(value_size, 8);
} devs SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_CPUMAP);
	NUM(max_entries, 2);
	NUM(key_size, 4);
	NUM(value_size, 8);
} cpus SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_XSKMAP);
	NUM(max_entries, 4);
	NUM(key_size, 4);
	NUM(value_size, 4);
} xsks SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_CGRP_STORAGE);
	NUM(map_flags, BPF_F_NO_PREALLOC);
	TYPE(key, int);
	TYPE(value, u64);
} per_cgroup SEC(".maps");

SEC("tp_btf/task_newtask")
int mask(u64 *ctx)
{
	struct bpf_cpumask *m = bpf_cpumask_create();
	bool set;

	if (!m)
		return 0;
	bpf_cpumask_set_cpu(0, m);
	set = bpf_cpumask_test_cpu(0, (const struct cpumask *)m);
	bpf_cpumask_release(m);
	return set;
}

SEC("tp_btf/task_newtask")
int wrong_mask_leak(u64 *ctx)
{
	struct bpf_cpumask *m = bpf_cpumask_create();

	return m ? bpf_cpumask_first((const struct cpumask *)m) & 1 : 0;
}

SEC("tp_btf/task_newtask")
int mask_kept(u64 *ctx)
{
	u32 zero = 0;
	struct mask_value *v = bpf_map_lookup_elem(&masks, &zero);
	struct bpf_cpumask *m;
	bool set = false;

	if (!v)
		return 0;
	bpf_rcu_read_lock();
	m = v->mask;
	if (m)
		set = bpf_cpumask_test_cpu(1, (const struct cpumask *)m);
	bpf_rcu_read_unlock();
	return set;
}

// Without a look whether there is one.
SEC("tp_btf/task_newtask")
int wrong_mask_null(u64 *ctx)
{
	u32 zero = 0;
	struct mask_value *v = bpf_map_lookup_elem(&masks, &zero);
	bool set;

	if (!v)
		return 0;
	bpf_rcu_read_lock();
	set = bpf_cpumask_test_cpu(1, (const struct cpumask *)v->mask);
	bpf_rcu_read_unlock();
	return set;
}

// A mask that is only borrowed from the task cannot be changed.
SEC("tp_btf/cgroup_mkdir")
int group(u64 *ctx)
{
	struct cgroup *cgrp = (void *)ctx[0], *up;
	u64 *n = bpf_cgrp_storage_get(&per_cgroup, cgrp, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	int level = cgrp->level;

	if (n)
		(*n)++;
	up = bpf_cgroup_ancestor(cgrp, 1);
	if (!up)
		return 0;
	level += up->level;
	bpf_cgroup_release(up);
	return level & 1;
}

SEC("tp_btf/cgroup_mkdir")
int wrong_group_leak(u64 *ctx)
{
	struct cgroup *cgrp = bpf_cgroup_from_id(1);

	return cgrp ? cgrp->level : 0;
}

SEC("tc")
int atomics(struct __sk_buff *skb)
{
	u64 v = skb->len, old;

	__sync_fetch_and_add(&v, 3);
	__sync_fetch_and_or(&v, 8);
	old = __sync_lock_test_and_set(&v, 9);
	return __sync_val_compare_and_swap(&v, old, 1) & 1;
}

// Packets are not shared.
SEC("tc")
int wrong_atomic_packet(struct __sk_buff *skb)
{
	u64 *data = DATA(skb);

	if ((void *)(data + 1) > DATA_END(skb))
		return 0;
	__sync_fetch_and_add(data, 1);
	return 0;
}

SEC("xdp")
int queued(struct xdp_md *ctx)
{
	u32 v = ctx->rx_queue_index;

	if (bpf_map_push_elem(&queue, &v, 0))
		bpf_map_pop_elem(&queue, &v);
	return v & 1 ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int wrong_queue_key(struct xdp_md *ctx)
{
	u32 v = 0;

	return bpf_map_lookup_elem(&queue, &v) ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int redirected(struct xdp_md *ctx)
{
	if (ctx->rx_queue_index == 1)
		return bpf_redirect_map(&xsks, 1, XDP_PASS);
	if (ctx->rx_queue_index == 2)
		return bpf_redirect_map(&cpus, 0, 0);
	return bpf_redirect_map(&devs, ctx->ingress_ifindex, 0);
}

SEC("xdp")
int meta(struct xdp_md *ctx)
{
	u32 *meta;

	if (bpf_xdp_adjust_meta(ctx, -4))
		return XDP_ABORTED;
	meta = DATA_META(ctx);
	if ((void *)(meta + 1) > DATA(ctx))
		return XDP_ABORTED;
	*meta = 7;
	return XDP_PASS;
}

// Metadata ends where data begins, not where it ends.
SEC("xdp")
int wrong_meta_end(struct xdp_md *ctx)
{
	u32 *meta = DATA_META(ctx);

	if ((void *)(meta + 1) > DATA_END(ctx))
		return XDP_ABORTED;
	return *meta & 1;
}

SEC("xdp.frags")
int frags(struct xdp_md *ctx)
{
	return bpf_xdp_get_buff_len(ctx) > 4096 ? XDP_DROP : XDP_PASS;
}

SEC("xdp/devmap")
int egress(struct xdp_md *ctx)
{
	return ctx->egress_ifindex == 1 ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int wrong_egress(struct xdp_md *ctx)
{
	return ctx->egress_ifindex == 1 ? XDP_DROP : XDP_PASS;
}

LICENSE("GPL");
