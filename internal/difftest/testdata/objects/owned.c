// SPDX-License-Identifier: Apache-2.0
//
// Objects of the program's own: lists, trees, reference counts, kptrs in map values.
#include "kfuncs.h"

struct node {
	u64 key, value;
	struct bpf_list_node list;
};

struct leaf {
	u64 key, value;
	struct bpf_rb_node tree;
};

struct shared {
	u64 key;
	struct bpf_refcount refs;
	struct bpf_list_node list;
	struct bpf_rb_node tree;
};

struct plain { u64 a, b; };

struct slots {
	struct task_struct KPTR *task;
	struct plain KPTR *mine;
	u64 n;
};

struct {
	NUM(type, BPF_MAP_TYPE_ARRAY);
	NUM(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, struct slots);
} kept SEC(".maps");

PRIVATE(A) struct bpf_spin_lock lock_a;
PRIVATE(A) struct bpf_list_head queue CONTAINS(node, list);
PRIVATE(B) struct bpf_spin_lock lock_b;
PRIVATE(B) struct bpf_rb_root tree CONTAINS(leaf, tree);
PRIVATE(C) struct bpf_spin_lock lock_c;
PRIVATE(C) struct bpf_rb_root shared_tree CONTAINS(shared, tree);
PRIVATE(C) struct bpf_list_head shared_list CONTAINS(shared, list);

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct leaf, tree)->key < container_of(b, struct leaf, tree)->key;
}

static bool less_shared(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct shared, tree)->key < container_of(b, struct shared, tree)->key;
}

#define push_front(h, n, type, member) bpf_list_push_front_impl(h, n, NULL, __builtin_offsetof(type, member))
#define push_back(h, n) bpf_list_push_back_impl(h, n, NULL, 0)
#define rb_add(r, n, less) bpf_rbtree_add_impl(r, n, less, NULL, 0)
#define refcount_acquire(p) bpf_refcount_acquire_impl(p, NULL)

SEC("tc")
int enqueue(struct __sk_buff *skb)
{
	struct node *n = obj_new(struct node);

	if (!n)
		return 0;
	n->key = skb->len;
	bpf_spin_lock(&lock_a);
	push_back(&queue, &n->list);
	bpf_spin_unlock(&lock_a);
	return 0;
}

SEC("tc")
int dequeue(struct __sk_buff *skb)
{
	struct bpf_list_node *l;
	struct node *n;
	u64 key;

	bpf_spin_lock(&lock_a);
	l = bpf_list_pop_front(&queue);
	bpf_spin_unlock(&lock_a);
	if (!l)
		return 0;
	n = container_of(l, struct node, list);
	key = n->key;
	obj_drop(n);
	return key;
}

// Not under the lock of the list.
SEC("tc")
int wrong_no_lock(struct __sk_buff *skb)
{
	struct node *n = obj_new(struct node);

	if (!n)
		return 0;
	push_back(&queue, &n->list);
	return 0;
}

// Under the lock of something else.
SEC("tc")
int wrong_other_lock(struct __sk_buff *skb)
{
	struct node *n = obj_new(struct node);

	if (!n)
		return 0;
	bpf_spin_lock(&lock_b);
	push_back(&queue, &n->list);
	bpf_spin_unlock(&lock_b);
	return 0;
}

// What was popped is the program's to drop.
SEC("tc")
int wrong_pop_leak(struct __sk_buff *skb)
{
	struct bpf_list_node *l;

	bpf_spin_lock(&lock_a);
	l = bpf_list_pop_front(&queue);
	bpf_spin_unlock(&lock_a);
	return l ? 1 : 0;
}

SEC("tc")
int wrong_new_null(struct __sk_buff *skb)
{
	struct node *n = obj_new(struct node);

	n->key = 1;
	obj_drop(n);
	return 0;
}

SEC("tc")
int wrong_drop_twice(struct __sk_buff *skb)
{
	struct node *n = obj_new(struct node);

	if (!n)
		return 0;
	obj_drop(n);
	obj_drop(n);
	return 0;
}

SEC("tc")
int wrong_use_after_drop(struct __sk_buff *skb)
{
	struct node *n = obj_new(struct node);

	if (!n)
		return 0;
	obj_drop(n);
	return n->key;
}

SEC("tc")
int insert(struct __sk_buff *skb)
{
	struct leaf *n = obj_new(struct leaf);
	u64 key;

	if (!n)
		return 0;
	n->key = skb->mark;
	bpf_spin_lock(&lock_b);
	rb_add(&tree, &n->tree, less);
	key = n->key; // still there while the lock is held
	bpf_spin_unlock(&lock_b);
	return key;
}

// The node belongs to the tree, and the lock is not held any more.
SEC("tc")
int wrong_non_owning(struct __sk_buff *skb)
{
	struct leaf *n = obj_new(struct leaf);

	if (!n)
		return 0;
	bpf_spin_lock(&lock_b);
	rb_add(&tree, &n->tree, less);
	bpf_spin_unlock(&lock_b);
	return n->key;
}

SEC("tc")
int smallest(struct __sk_buff *skb)
{
	struct bpf_rb_node *r;
	struct leaf *n;
	u64 key = 0;

	bpf_spin_lock(&lock_b);
	r = bpf_rbtree_first(&tree);
	if (!r) {
		bpf_spin_unlock(&lock_b);
		return 0;
	}
	r = bpf_rbtree_remove(&tree, r);
	bpf_spin_unlock(&lock_b);
	if (!r)
		return 0;
	n = container_of(r, struct leaf, tree);
	key = n->value;
	obj_drop(n);
	return key;
}

// A node that is only borrowed cannot be dropped.
SEC("tc")
int wrong_drop_borrowed(struct __sk_buff *skb)
{
	struct bpf_rb_node *r;

	bpf_spin_lock(&lock_b);
	r = bpf_rbtree_first(&tree);
	bpf_spin_unlock(&lock_b);
	if (r)
		obj_drop(container_of(r, struct leaf, tree));
	return 0;
}

// A node of the list is not one of the tree.
SEC("tc")
int wrong_node_kind(struct __sk_buff *skb)
{
	struct node *n = obj_new(struct node);

	if (!n)
		return 0;
	bpf_spin_lock(&lock_b);
	rb_add(&tree, (struct bpf_rb_node *)&n->list, less);
	bpf_spin_unlock(&lock_b);
	return 0;
}

SEC("tc")
int both(struct __sk_buff *skb)
{
	struct shared *n = obj_new(struct shared), *m;

	if (!n)
		return 0;
	n->key = skb->len;
	m = refcount_acquire(n);
	bpf_spin_lock(&lock_c);
	rb_add(&shared_tree, &n->tree, less_shared);
	bpf_list_push_back_impl(&shared_list, &m->list, NULL, 0);
	bpf_spin_unlock(&lock_c);
	return 0;
}

// The second reference is lost.
SEC("tc")
int wrong_refcount_leak(struct __sk_buff *skb)
{
	struct shared *n = obj_new(struct shared), *m;

	if (!n)
		return 0;
	m = refcount_acquire(n);
	bpf_spin_lock(&lock_c);
	rb_add(&shared_tree, &n->tree, less_shared);
	bpf_spin_unlock(&lock_c);
	return m->key;
}

SEC("tc")
int stash(struct __sk_buff *skb)
{
	struct plain *p = obj_new(struct plain), *old;
	u32 zero = 0;
	struct slots *s;

	if (!p)
		return 0;
	p->a = 1;
	s = bpf_map_lookup_elem(&kept, &zero);
	if (!s) {
		obj_drop(p);
		return 0;
	}
	old = bpf_kptr_xchg(&s->mine, p);
	if (old)
		obj_drop(old);
	return 0;
}

// What was there before is the program's.
SEC("tc")
int wrong_xchg_leak(struct __sk_buff *skb)
{
	struct plain *p = obj_new(struct plain);
	u32 zero = 0;
	struct slots *s;

	if (!p)
		return 0;
	s = bpf_map_lookup_elem(&kept, &zero);
	if (!s) {
		obj_drop(p);
		return 0;
	}
	bpf_kptr_xchg(&s->mine, p);
	return 0;
}

// An object of another type.
SEC("tc")
int wrong_xchg_type(struct __sk_buff *skb)
{
	struct node *p = obj_new(struct node);
	struct plain *old;
	u32 zero = 0;
	struct slots *s = bpf_map_lookup_elem(&kept, &zero);

	if (!p)
		return 0;
	if (!s) {
		obj_drop(p);
		return 0;
	}
	old = bpf_kptr_xchg(&s->mine, (void *)p);
	if (old)
		obj_drop(old);
	return 0;
}

// Owned pointers in maps change by exchange only.
SEC("tc")
int wrong_store_kptr(struct __sk_buff *skb)
{
	u32 zero = 0;
	struct slots *s = bpf_map_lookup_elem(&kept, &zero);

	if (s)
		s->mine = NULL;
	return 0;
}

SEC("tc")
int take_back(struct __sk_buff *skb)
{
	u32 zero = 0;
	struct slots *s = bpf_map_lookup_elem(&kept, &zero);
	struct plain *p;
	u64 v;

	if (!s)
		return 0;
	p = bpf_kptr_xchg(&s->mine, NULL);
	if (!p)
		return 0;
	v = p->b;
	obj_drop(p);
	return v;
}

SEC("tp_btf/task_newtask")
int keep_task(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0], *ref, *old;
	u32 zero = 0;
	struct slots *s = bpf_map_lookup_elem(&kept, &zero);

	if (!s)
		return 0;
	ref = bpf_task_acquire(task);
	if (!ref)
		return 0;
	old = bpf_kptr_xchg(&s->task, ref);
	if (old)
		bpf_task_release(old);
	return 0;
}

SEC("tp_btf/task_newtask")
int kept_pid(u64 *ctx)
{
	struct task_struct *p;
	u32 zero = 0;
	struct slots *s = bpf_map_lookup_elem(&kept, &zero);
	int pid = 0;

	if (!s)
		return 0;
	bpf_rcu_read_lock();
	p = s->task;
	if (p) {
		p = bpf_task_acquire(p);
		if (p) {
			pid = p->pid;
			bpf_task_release(p);
		}
	}
	bpf_rcu_read_unlock();
	return pid;
}

// Its parent is not acquired and outlives no section: the reference is missing.
SEC("tp_btf/task_newtask")
int wrong_keep_plain(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0], *old;
	u32 zero = 0;
	struct slots *s = bpf_map_lookup_elem(&kept, &zero);

	if (!s)
		return 0;
	old = bpf_kptr_xchg(&s->task, task);
	if (old)
		bpf_task_release(old);
	return 0;
}

LICENSE("GPL");
