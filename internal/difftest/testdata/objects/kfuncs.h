// SPDX-License-Identifier: Apache-2.0
//
// Kernel functions that programs of this folder call.

#ifndef KFUNCS_H
#define KFUNCS_H

#include "objects.h"

struct bpf_iter_num { u64 opaque[1]; } ALIGNED(8);
struct bpf_iter_task { u64 opaque[3]; } ALIGNED(8);
struct bpf_iter_task_vma { u64 opaque[1]; } ALIGNED(8);
struct bpf_iter_css { u64 opaque[3]; } ALIGNED(8);
struct bpf_iter_bits { u64 opaque[2]; } ALIGNED(8);
struct bpf_iter_kmem_cache { u64 opaque[1]; } ALIGNED(8);
struct kmem_cache { u32 object_size; } CORE;
struct cgroup_subsys_state { struct cgroup *cgroup; } CORE;
struct cgroup { struct cgroup_subsys_state self; int level; } CORE;
struct bpf_cpumask { u64 opaque; } CORE;
struct cpumask { u64 bits[1]; } CORE;

extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) WEAK KSYM;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) WEAK KSYM;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) WEAK KSYM;
extern int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task, unsigned int flags) WEAK KSYM;
extern struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) WEAK KSYM;
extern void bpf_iter_task_destroy(struct bpf_iter_task *it) WEAK KSYM;
extern int bpf_iter_css_new(struct bpf_iter_css *it, struct cgroup_subsys_state *start, unsigned int flags) WEAK KSYM;
extern struct cgroup_subsys_state *bpf_iter_css_next(struct bpf_iter_css *it) WEAK KSYM;
extern void bpf_iter_css_destroy(struct bpf_iter_css *it) WEAK KSYM;
extern int bpf_iter_bits_new(struct bpf_iter_bits *it, const u64 *bits, u32 words) WEAK KSYM;
extern int *bpf_iter_bits_next(struct bpf_iter_bits *it) WEAK KSYM;
extern void bpf_iter_bits_destroy(struct bpf_iter_bits *it) WEAK KSYM;
extern int bpf_iter_kmem_cache_new(struct bpf_iter_kmem_cache *it) WEAK KSYM;
extern struct kmem_cache *bpf_iter_kmem_cache_next(struct bpf_iter_kmem_cache *it) WEAK KSYM;
extern void bpf_iter_kmem_cache_destroy(struct bpf_iter_kmem_cache *it) WEAK KSYM;

extern void bpf_rcu_read_lock(void) WEAK KSYM;
extern void bpf_rcu_read_unlock(void) WEAK KSYM;
extern void bpf_preempt_disable(void) WEAK KSYM;
extern void bpf_preempt_enable(void) WEAK KSYM;
extern void bpf_local_irq_save(unsigned long *flags) WEAK KSYM;
extern void bpf_local_irq_restore(unsigned long *flags) WEAK KSYM;
extern int bpf_res_spin_lock(struct bpf_res_spin_lock *lock) WEAK KSYM;
extern void bpf_res_spin_unlock(struct bpf_res_spin_lock *lock) WEAK KSYM;
extern int bpf_res_spin_lock_irqsave(struct bpf_res_spin_lock *lock, unsigned long *flags) WEAK KSYM;
extern void bpf_res_spin_unlock_irqrestore(struct bpf_res_spin_lock *lock, unsigned long *flags) WEAK KSYM;

extern struct task_struct *bpf_task_acquire(struct task_struct *p) WEAK KSYM;
extern void bpf_task_release(struct task_struct *p) WEAK KSYM;
extern struct task_struct *bpf_task_from_pid(int pid) WEAK KSYM;
extern struct cgroup *bpf_cgroup_acquire(struct cgroup *cgrp) WEAK KSYM;
extern void bpf_cgroup_release(struct cgroup *cgrp) WEAK KSYM;
extern struct cgroup *bpf_cgroup_from_id(u64 id) WEAK KSYM;
extern struct cgroup *bpf_cgroup_ancestor(struct cgroup *cgrp, int level) WEAK KSYM;
extern long bpf_task_under_cgroup(struct task_struct *task, struct cgroup *ancestor) WEAK KSYM;

extern struct bpf_cpumask *bpf_cpumask_create(void) WEAK KSYM;
extern void bpf_cpumask_release(struct bpf_cpumask *mask) WEAK KSYM;
extern struct bpf_cpumask *bpf_cpumask_acquire(struct bpf_cpumask *mask) WEAK KSYM;
extern void bpf_cpumask_set_cpu(u32 cpu, struct bpf_cpumask *mask) WEAK KSYM;
extern bool bpf_cpumask_test_cpu(u32 cpu, const struct cpumask *mask) WEAK KSYM;
extern u32 bpf_cpumask_first(const struct cpumask *mask) WEAK KSYM;

extern void *bpf_obj_new_impl(u64 type, void *meta) WEAK KSYM;
extern void bpf_obj_drop_impl(void *obj, void *meta) WEAK KSYM;
extern void *bpf_percpu_obj_new_impl(u64 type, void *meta) WEAK KSYM;
extern void bpf_percpu_obj_drop_impl(void *obj, void *meta) WEAK KSYM;
extern void *bpf_refcount_acquire_impl(void *obj, void *meta) WEAK KSYM;
extern int bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, u64 off) WEAK KSYM;
extern int bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, u64 off) WEAK KSYM;
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) WEAK KSYM;
extern struct bpf_list_node *bpf_list_pop_back(struct bpf_list_head *head) WEAK KSYM;
extern int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			       bool (*less)(struct bpf_rb_node *, const struct bpf_rb_node *), void *meta, u64 off) WEAK KSYM;
extern struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root, struct bpf_rb_node *node) WEAK KSYM;
extern struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) WEAK KSYM;

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, u64 flags, struct bpf_dynptr *ptr) WEAK KSYM;
extern int bpf_dynptr_from_xdp(struct xdp_md *xdp, u64 flags, struct bpf_dynptr *ptr) WEAK KSYM;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, u64 offset, void *buf, u64 len) WEAK KSYM;
extern void *bpf_dynptr_slice_rdwr(const struct bpf_dynptr *ptr, u64 offset, void *buf, u64 len) WEAK KSYM;
extern int bpf_dynptr_adjust(const struct bpf_dynptr *ptr, u64 start, u64 end) WEAK KSYM;
extern bool bpf_dynptr_is_null(const struct bpf_dynptr *ptr) WEAK KSYM;
extern bool bpf_dynptr_is_rdonly(const struct bpf_dynptr *ptr) WEAK KSYM;
extern u64 bpf_dynptr_size(const struct bpf_dynptr *ptr) WEAK KSYM;
extern int bpf_dynptr_clone(const struct bpf_dynptr *ptr, struct bpf_dynptr *clone) WEAK KSYM;
extern int bpf_dynptr_copy(struct bpf_dynptr *dst, u64 dst_off, struct bpf_dynptr *src, u64 src_off, u64 size) WEAK KSYM;
extern int bpf_dynptr_memset(struct bpf_dynptr *ptr, u64 off, u64 size, u8 val) WEAK KSYM;

extern int bpf_wq_init(struct bpf_wq *wq, void *map, unsigned int flags) WEAK KSYM;
extern int bpf_wq_start(struct bpf_wq *wq, unsigned int flags) WEAK KSYM;
extern int bpf_wq_set_callback_impl(struct bpf_wq *wq, int (*callback)(void *map, int *key, void *value),
				    unsigned int flags, void *aux) WEAK KSYM;
extern void bpf_throw(u64 cookie) WEAK KSYM;

extern void *bpf_arena_alloc_pages(void *map, void *addr, u32 pages, int node, u64 flags) WEAK KSYM;
extern void bpf_arena_free_pages(void *map, void *ptr, u32 pages) WEAK KSYM;

#define obj_new(type) ((type *)bpf_obj_new_impl(core_type_id(type), NULL))
#define obj_drop(p) bpf_obj_drop_impl(p, NULL)

// for_num runs what follows for i = start .. end - 1.
#define for_num(it, i, start, end)                                                                             \
	for (struct bpf_iter_num it, *it##_new = (bpf_iter_num_new(&it, (start), (end)), &it); it##_new;       \
	     bpf_iter_num_destroy(&it), it##_new = NULL)                                                       \
		for (int *i; (i = bpf_iter_num_next(&it));)

// can_loop is true until the kernel thinks that the loop has taken too long (may_goto).
#define can_loop                                                              \
	({                                                                    \
		__label__ stop, go;                                           \
		bool more = true;                                             \
		asm volatile goto("1: .byte 0xe5; .byte 0; .long ((%l[stop] - 1b - 8) / 8) & 0xffff; .short 0" \
				  :::: stop);                                 \
		goto go;                                                      \
	stop:                                                                 \
		more = false;                                                 \
	go:                                                                   \
		more;                                                         \
	})

#endif
