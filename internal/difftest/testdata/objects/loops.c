// SPDX-License-Identifier: Apache-2.0
//
// Loops that are not unrolled: helpers with callbacks, open-coded iterators, may_goto; timers,
// work queues and exceptions.
#include "kfuncs.h"

struct value { u64 n; u32 list[16]; };

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	NUM(max_entries, 4);
	TYPE(key, u32);
	TYPE(value, struct value);
} values SEC(".maps");

struct timed { struct bpf_timer timer; u64 runs; };
struct queued { struct bpf_wq work; u64 runs; };

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	NUM(max_entries, 1);
	TYPE(key, int);
	TYPE(value, struct timed);
} timers SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_HASH);
	NUM(max_entries, 4);
	TYPE(key, int);
	TYPE(value, struct queued);
} works SEC(".maps");

struct sum { u64 total; u32 limit; u32 *list; };

static long add(u32 i, void *ctx)
{
	struct sum *s = ctx;

	s->total += i;
	return s->total > s->limit;
}

SEC("tc")
int looped(struct __sk_buff *skb)
{
	struct sum s = { .limit = skb->len };

	bpf_loop(1000, add, &s, 0);
	return s.total & 1;
}

static long fill(u32 i, void *ctx)
{
	u8 *buf = ctx;

	buf[i] = i;
	return 0;
}

// i may be anything.
SEC("tc")
int wrong_loop_index(struct __sk_buff *skb)
{
	u8 buf[16] = {};

	bpf_loop(16, fill, buf, 0);
	return buf[3];
}

static long fill_safe(u32 i, void *ctx)
{
	u8 *buf = ctx;

	if (i >= 16)
		return 1;
	buf[i] = i;
	return 0;
}

SEC("tc")
int loop_index(struct __sk_buff *skb)
{
	u8 buf[16] = {};

	bpf_loop(16, fill_safe, buf, 0);
	return buf[3];
}

static long two(u32 i, void *ctx)
{
	return 2;
}

SEC("tc")
int wrong_loop_result(struct __sk_buff *skb)
{
	return bpf_loop(16, two, NULL, 0);
}

static long visit(void *map, u32 *key, struct value *v, struct sum *s)
{
	s->total += v->n + *key;
	return 0;
}

SEC("tc")
int each(struct __sk_buff *skb)
{
	struct sum s = {};

	bpf_for_each_map_elem(&values, visit, &s, 0);
	return s.total & 1;
}

static long visit_wrong(void *map, u32 *key, struct value *v, struct sum *s)
{
	*key = 1;
	return 0;
}

// Keys may only be read.
SEC("tc")
int wrong_each_key(struct __sk_buff *skb)
{
	struct sum s = {};

	return bpf_for_each_map_elem(&values, visit_wrong, &s, 0);
}

SEC("tc")
int numbers(struct __sk_buff *skb)
{
	u32 key = 0, sum = 0;
	struct value *v = bpf_map_lookup_elem(&values, &key);

	if (!v)
		return 0;
	for_num(it, i, 0, 16) {
		u32 at = *i;

		if (at < 16)
			sum += v->list[at];
	}
	return sum & 1;
}

SEC("tc")
int wrong_number_bounds(struct __sk_buff *skb)
{
	u32 key = 0, sum = 0;
	struct value *v = bpf_map_lookup_elem(&values, &key);

	if (!v)
		return 0;
	for_num(it, i, 0, 17)
		sum += v->list[*i];
	return sum & 1;
}

// The iterator is left behind.
SEC("tc")
int wrong_number_return(struct __sk_buff *skb)
{
	for_num(it, i, 0, 16) {
		if (*i == skb->len)
			return 1;
	}
	return 0;
}

SEC("tc")
int wrong_next_only(struct __sk_buff *skb)
{
	struct bpf_iter_num it;

	return bpf_iter_num_next(&it) ? 1 : 0;
}

SEC("tc")
int wrong_new_twice(struct __sk_buff *skb)
{
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, 3);
	bpf_iter_num_new(&it, 0, 3);
	bpf_iter_num_destroy(&it);
	return 0;
}

SEC("tc")
int nested(struct __sk_buff *skb)
{
	u32 sum = 0;

	for_num(outer, i, 0, 100) {
		for_num(inner, j, 0, 100) {
			if (*i == *j)
				continue;
			sum += *i * *j;
		}
	}
	return sum & 1;
}

SEC("tc")
int bits(struct __sk_buff *skb)
{
	u64 word = skb->mark;
	struct bpf_iter_bits it;
	u32 sum = 0;
	int *bit;

	bpf_iter_bits_new(&it, &word, 1);
	while ((bit = bpf_iter_bits_next(&it)))
		sum += *bit;
	bpf_iter_bits_destroy(&it);
	return sum & 1;
}

SEC("raw_tp/sys_enter")
int all_tasks(void *ctx)
{
	struct bpf_iter_task it;
	struct task_struct *p;
	u32 n = 0;

	bpf_rcu_read_lock();
	bpf_iter_task_new(&it, NULL, 0);
	while ((p = bpf_iter_task_next(&it)))
		n += p->pid;
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	return n & 1;
}

SEC("iter.s/task")
int wrong_tasks_no_rcu(void *ctx)
{
	struct bpf_iter_task it;
	u32 n = 0;

	bpf_iter_task_new(&it, NULL, 0);
	while (bpf_iter_task_next(&it))
		n++;
	bpf_iter_task_destroy(&it);
	return n & 1;
}

SEC("tc")
int may_goto(struct __sk_buff *skb)
{
	u32 n = skb->mark;

	while (n != 1 && can_loop)
		n = n & 1 ? n * 3 + 1 : n / 2;
	return n & 1;
}

SEC("tc")
int may_goto_array(struct __sk_buff *skb)
{
	u32 key = 0, i, sum = 0;
	struct value *v = bpf_map_lookup_elem(&values, &key);

	if (!v)
		return 0;
	for (i = 0; i < 16 && can_loop; i++)
		sum += v->list[i];
	return sum & 1;
}

SEC("tc")
int wrong_endless(struct __sk_buff *skb)
{
	volatile u32 n = skb->mark;

	while (n)
		barrier();
	return 0;
}

static int fired(void *map, int *key, struct timed *t)
{
	t->runs++;
	bpf_timer_start(&t->timer, 1000, 0);
	return 0;
}

SEC("tc")
int timer(struct __sk_buff *skb)
{
	int key = 0;
	struct timed *t = bpf_map_lookup_elem(&timers, &key);

	if (!t || bpf_timer_init(&t->timer, &timers, 1))
		return 0;
	bpf_timer_set_callback(&t->timer, fired);
	bpf_timer_start(&t->timer, 1000, 0);
	return 0;
}

// The timer of another map.
SEC("tc")
int wrong_timer_map(struct __sk_buff *skb)
{
	int key = 0;
	struct timed *t = bpf_map_lookup_elem(&timers, &key);

	return t ? bpf_timer_init(&t->timer, &works, 1) : 0;
}

static int fired_wrong(void *map, int *key, struct timed *t)
{
	return 1;
}

SEC("tc")
int wrong_timer_result(struct __sk_buff *skb)
{
	int key = 0;
	struct timed *t = bpf_map_lookup_elem(&timers, &key);

	return t ? bpf_timer_set_callback(&t->timer, fired_wrong) : 0;
}

SEC("tc")
int wrong_timer_offset(struct __sk_buff *skb)
{
	int key = 0;
	struct timed *t = bpf_map_lookup_elem(&timers, &key);

	return t ? bpf_timer_start((void *)&t->runs, 0, 0) : 0;
}

static int work(void *map, int *key, void *value)
{
	u64 v;

	bpf_copy_from_user(&v, sizeof(v), NULL);
	return 0;
}

SEC("tc")
int queue(struct __sk_buff *skb)
{
	int key = 0;
	struct queued *q = bpf_map_lookup_elem(&works, &key);

	if (!q || bpf_wq_init(&q->work, &works, 0))
		return 0;
	bpf_wq_set_callback_impl(&q->work, work, 0, NULL);
	return bpf_wq_start(&q->work, 0) ? 1 : 0;
}

SEC("tc")
int throws(struct __sk_buff *skb)
{
	if (skb->len > 1500)
		bpf_throw(2);
	return 0;
}

static NOINLINE int check(u32 n)
{
	if (n > 100)
		bpf_throw(n);
	return n;
}

SEC("tc")
int throws_below(struct __sk_buff *skb)
{
	return check(skb->len);
}

// What is held would never be given back.
SEC("tc")
int wrong_throw_iter(struct __sk_buff *skb)
{
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, 3);
	if (skb->len > 100)
		bpf_throw(0);
	bpf_iter_num_destroy(&it);
	return 0;
}

static long throwing(u32 i, void *ctx)
{
	bpf_throw(1);
	return 0;
}

SEC("tc")
int wrong_throw_callback(struct __sk_buff *skb)
{
	return bpf_loop(3, throwing, NULL, 0);
}

LICENSE("GPL");
