// SPDX-License-Identifier: Apache-2.0
//
// Locks and sections: spin locks in map values, resilient locks, RCU, preemption, interrupts.
#include "kfuncs.h"

struct counter { struct bpf_spin_lock lock; u32 n; u64 bytes; };
struct res { struct bpf_res_spin_lock lock; u32 n; };

struct {
	NUM(type, BPF_MAP_TYPE_HASH);
	NUM(max_entries, 64);
	TYPE(key, u32);
	TYPE(value, struct counter);
} counters SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	NUM(max_entries, 2);
	TYPE(key, u32);
	TYPE(value, struct res);
} resilient SEC(".maps");

SEC("tc")
int locked(struct __sk_buff *skb)
{
	u32 key = skb->ifindex;
	struct counter *c = bpf_map_lookup_elem(&counters, &key);

	if (!c)
		return 0;
	bpf_spin_lock(&c->lock);
	c->n++;
	c->bytes += skb->len;
	bpf_spin_unlock(&c->lock);
	return 0;
}

SEC("tc")
int wrong_held_at_exit(struct __sk_buff *skb)
{
	u32 key = skb->ifindex;
	struct counter *c = bpf_map_lookup_elem(&counters, &key);

	if (!c)
		return 0;
	bpf_spin_lock(&c->lock);
	if (c->n > 10)
		return 1;
	c->n++;
	bpf_spin_unlock(&c->lock);
	return 0;
}

SEC("tc")
int wrong_helper_in_lock(struct __sk_buff *skb)
{
	u32 key = skb->ifindex;
	struct counter *c = bpf_map_lookup_elem(&counters, &key);

	if (!c)
		return 0;
	bpf_spin_lock(&c->lock);
	c->bytes = bpf_ktime_get_ns();
	bpf_spin_unlock(&c->lock);
	return 0;
}

SEC("tc")
int wrong_two_locks(struct __sk_buff *skb)
{
	u32 one = 1, two = 2;
	struct counter *c = bpf_map_lookup_elem(&counters, &one);
	struct counter *d = bpf_map_lookup_elem(&counters, &two);

	if (!c || !d)
		return 0;
	bpf_spin_lock(&c->lock);
	bpf_spin_lock(&d->lock);
	bpf_spin_unlock(&d->lock);
	bpf_spin_unlock(&c->lock);
	return 0;
}

SEC("tc")
int wrong_other_unlock(struct __sk_buff *skb)
{
	u32 one = 1, two = 2;
	struct counter *c = bpf_map_lookup_elem(&counters, &one);
	struct counter *d = bpf_map_lookup_elem(&counters, &two);

	if (!c || !d)
		return 0;
	bpf_spin_lock(&c->lock);
	bpf_spin_unlock(&d->lock);
	return 0;
}

// The lock's bytes are its own.
SEC("tc")
int wrong_touch(struct __sk_buff *skb)
{
	u32 key = 0;
	struct counter *c = bpf_map_lookup_elem(&counters, &key);

	if (c)
		c->lock.val = 0;
	return 0;
}

SEC("kprobe/do_nanosleep")
int wrong_in_tracing(struct pt_regs *ctx)
{
	u32 key = 0;
	struct counter *c = bpf_map_lookup_elem(&counters, &key);

	if (!c)
		return 0;
	bpf_spin_lock(&c->lock);
	c->n++;
	bpf_spin_unlock(&c->lock);
	return 0;
}

static NOINLINE int bump(struct counter *c)
{
	return c->n++;
}

NOINLINE int bump_global(int n)
{
	return n + 1;
}

SEC("tc")
int static_in_lock(struct __sk_buff *skb)
{
	u32 key = 0;
	struct counter *c = bpf_map_lookup_elem(&counters, &key);
	int n;

	if (!c)
		return 0;
	bpf_spin_lock(&c->lock);
	n = bump(c);
	bpf_spin_unlock(&c->lock);
	return n;
}

SEC("tc")
int wrong_global_in_lock(struct __sk_buff *skb)
{
	u32 key = 0;
	struct counter *c = bpf_map_lookup_elem(&counters, &key);
	int n;

	if (!c)
		return 0;
	bpf_spin_lock(&c->lock);
	n = bump_global(c->n);
	bpf_spin_unlock(&c->lock);
	return n;
}

SEC("tc")
int res_lock(struct __sk_buff *skb)
{
	u32 key = 0;
	struct res *r = bpf_map_lookup_elem(&resilient, &key);

	if (!r)
		return 0;
	if (bpf_res_spin_lock(&r->lock))
		return 0;
	r->n++;
	bpf_res_spin_unlock(&r->lock);
	return 0;
}

// What the function returns says whether the lock is held.
SEC("tc")
int wrong_res_unchecked(struct __sk_buff *skb)
{
	u32 key = 0;
	struct res *r = bpf_map_lookup_elem(&resilient, &key);

	if (!r)
		return 0;
	bpf_res_spin_lock(&r->lock);
	r->n++;
	bpf_res_spin_unlock(&r->lock);
	return 0;
}

SEC("tc")
int res_two(struct __sk_buff *skb)
{
	u32 one = 0, two = 1;
	struct res *a = bpf_map_lookup_elem(&resilient, &one);
	struct res *b = bpf_map_lookup_elem(&resilient, &two);

	if (!a || !b || bpf_res_spin_lock(&a->lock))
		return 0;
	if (!bpf_res_spin_lock(&b->lock)) {
		b->n = a->n;
		bpf_res_spin_unlock(&b->lock);
	}
	bpf_res_spin_unlock(&a->lock);
	return 0;
}

// The last lock is to be released first.
SEC("tc")
int wrong_res_order(struct __sk_buff *skb)
{
	u32 one = 0, two = 1;
	struct res *a = bpf_map_lookup_elem(&resilient, &one);
	struct res *b = bpf_map_lookup_elem(&resilient, &two);

	if (!a || !b || bpf_res_spin_lock(&a->lock))
		return 0;
	if (bpf_res_spin_lock(&b->lock)) {
		bpf_res_spin_unlock(&a->lock);
		return 0;
	}
	bpf_res_spin_unlock(&a->lock);
	bpf_res_spin_unlock(&b->lock);
	return 0;
}

SEC("tc")
int wrong_res_twice(struct __sk_buff *skb)
{
	u32 one = 0;
	struct res *a = bpf_map_lookup_elem(&resilient, &one);

	if (!a || bpf_res_spin_lock(&a->lock))
		return 0;
	if (!bpf_res_spin_lock(&a->lock))
		bpf_res_spin_unlock(&a->lock);
	bpf_res_spin_unlock(&a->lock);
	return 0;
}

SEC("tc")
int res_irq(struct __sk_buff *skb)
{
	u32 one = 0;
	struct res *a = bpf_map_lookup_elem(&resilient, &one);
	unsigned long flags;

	if (!a || bpf_res_spin_lock_irqsave(&a->lock, &flags))
		return 0;
	a->n++;
	bpf_res_spin_unlock_irqrestore(&a->lock, &flags);
	return 0;
}

SEC("tc")
int irq(struct __sk_buff *skb)
{
	unsigned long flags, more;

	bpf_local_irq_save(&flags);
	bpf_local_irq_save(&more);
	bpf_local_irq_restore(&more);
	bpf_local_irq_restore(&flags);
	return 0;
}

SEC("tc")
int wrong_irq_order(struct __sk_buff *skb)
{
	unsigned long flags, more;

	bpf_local_irq_save(&flags);
	bpf_local_irq_save(&more);
	bpf_local_irq_restore(&flags);
	bpf_local_irq_restore(&more);
	return 0;
}

SEC("tc")
int wrong_irq_exit(struct __sk_buff *skb)
{
	unsigned long flags;

	bpf_local_irq_save(&flags);
	if (skb->len > 3)
		return 1;
	bpf_local_irq_restore(&flags);
	return 0;
}

SEC("tc")
int wrong_irq_write(struct __sk_buff *skb)
{
	unsigned long flags;

	bpf_local_irq_save(&flags);
	*(volatile unsigned long *)&flags = 0;
	bpf_local_irq_restore(&flags);
	return 0;
}

SEC("tc")
int preempt(struct __sk_buff *skb)
{
	bpf_preempt_disable();
	bpf_preempt_disable();
	bpf_preempt_enable();
	bpf_preempt_enable();
	return 0;
}

SEC("tc")
int wrong_preempt_exit(struct __sk_buff *skb)
{
	bpf_preempt_disable();
	if (skb->len)
		bpf_preempt_enable();
	return 0;
}

SEC("tc")
int wrong_preempt_extra(struct __sk_buff *skb)
{
	bpf_preempt_enable();
	return 0;
}

SEC("tc")
int rcu(struct __sk_buff *skb)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	return 0;
}

SEC("tc")
int wrong_rcu_exit(struct __sk_buff *skb)
{
	bpf_rcu_read_lock();
	if (skb->len > 9)
		bpf_rcu_read_unlock();
	return 0;
}

SEC("tc")
int wrong_rcu_extra(struct __sk_buff *skb)
{
	bpf_rcu_read_unlock();
	return 0;
}

SEC("iter.s/task")
int wrong_sleep_in_preempt(void *ctx)
{
	u64 v = 0;

	bpf_preempt_disable();
	bpf_copy_from_user(&v, sizeof(v), NULL);
	bpf_preempt_enable();
	return 0;
}

SEC("iter.s/task")
int wrong_sleep_in_rcu(void *ctx)
{
	u64 v = 0;

	bpf_rcu_read_lock();
	bpf_copy_from_user(&v, sizeof(v), NULL);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("iter.s/task")
int sleeps(void *ctx)
{
	u64 v = 0;

	bpf_copy_from_user(&v, sizeof(v), NULL);
	return v & 1;
}

SEC("kprobe/do_nanosleep")
int wrong_sleeps(void *ctx)
{
	u64 v = 0;

	bpf_copy_from_user(&v, sizeof(v), NULL);
	return v & 1;
}

LICENSE("GPL");
