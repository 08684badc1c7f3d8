// SPDX-License-Identifier: Apache-2.0
//
// What the programs of this folder need beyond bpf.h: more maps, helpers and contexts. The
// numbers are those of Linux's UAPI (include/uapi/linux/bpf.h).

#ifndef OBJECTS_H
#define OBJECTS_H

#include "bpf.h"

// A member of a BTF-defined map with a number of 64 bits.
#define ULONG(name, value) enum { name##_value = value } name

#define CORE __attribute__((preserve_access_index))
#define KPTR __attribute__((btf_type_tag("kptr")))
#define KPTR_UNTRUSTED __attribute__((btf_type_tag("kptr_untrusted")))
#define PERCPU_KPTR __attribute__((btf_type_tag("percpu_kptr")))
#define TAG(text) __attribute__((btf_decl_tag(text)))
#define ARG_CTX TAG("arg:ctx")
#define ARG_NONNULL TAG("arg:nonnull")
#define ARG_NULLABLE TAG("arg:nullable")
#define ARG_TRUSTED TAG("arg:trusted")
#define ARG_ARENA TAG("arg:arena")
#define CONTAINS(type, member) TAG("contains:" #type ":" #member)
#define PRIVATE(name) SEC(".data." #name) ALIGNED(8)
#define container_of(ptr, type, member) ((type *)((void *)(ptr) - __builtin_offsetof(type, member)))
#define core_type_id(type) __builtin_btf_type_id(*(type *)0, 0)
#define VALUES(type) __attribute__((unused)) type

enum {
	BPF_MAP_TYPE_STACK_TRACE = 7,
	BPF_MAP_TYPE_CGROUP_ARRAY = 8,
	BPF_MAP_TYPE_SOCKMAP = 15,
	BPF_MAP_TYPE_CPUMAP = 16,
	BPF_MAP_TYPE_XSKMAP = 17,
	BPF_MAP_TYPE_SOCKHASH = 18,
	BPF_MAP_TYPE_REUSEPORT_SOCKARRAY = 20,
	BPF_MAP_TYPE_QUEUE = 22,
	BPF_MAP_TYPE_STACK = 23,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_DEVMAP_HASH = 25,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
	BPF_MAP_TYPE_BLOOM_FILTER = 30,
	BPF_MAP_TYPE_USER_RINGBUF = 31,
	BPF_MAP_TYPE_CGRP_STORAGE = 32,
	BPF_MAP_TYPE_ARENA = 33,
};

enum {
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
	BPF_ADJ_ROOM_MAC = 1,
	BPF_F_USER_STACK = 1 << 8,
	BPF_SOCK_OPS_STATE_CB = 10,
	AF_INET = 2,
	AF_INET6 = 10,
};

// Special fields of map values and objects.
struct bpf_spin_lock { u32 val; };
struct bpf_res_spin_lock { u32 val; };
struct bpf_timer { u64 opaque[2]; } ALIGNED(8);
struct bpf_wq { u64 opaque[2]; } ALIGNED(8);
struct bpf_dynptr { u64 opaque[2]; } ALIGNED(8);
struct bpf_list_head { u64 opaque[2]; } ALIGNED(8);
struct bpf_list_node { u64 opaque[3]; } ALIGNED(8);
struct bpf_rb_root { u64 opaque[2]; } ALIGNED(8);
struct bpf_rb_node { u64 opaque[4]; } ALIGNED(8);
struct bpf_refcount { u32 opaque[1]; } ALIGNED(4);

struct bpf_sock_tuple {
	union {
		struct { be32 saddr, daddr; be16 sport, dport; } ipv4;
		struct { be32 saddr[4], daddr[4]; be16 sport, dport; } ipv6;
	};
};

struct bpf_sock {
	u32 bound_dev_if;
	u32 family;
	u32 type;
	u32 protocol;
	u32 mark;
	u32 priority;
	u32 src_ip4;
	u32 src_ip6[4];
	u32 src_port;
	be16 dst_port;
	u32 dst_ip4;
	u32 dst_ip6[4];
	u32 state;
	s32 rx_queue_mapping;
};

struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};

// Kernel types, as far as they are used: offsets come from the kernel's BTF.
struct cgroup;
struct cred { u32 uid; } CORE;
struct mm_struct { u64 total_vm; } CORE;
struct task_struct {
	int pid, tgid, prio;
	char comm[16];
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	struct task_struct *last_wakee;
	const struct cred *cred;
	struct mm_struct *mm;
} CORE;

// --- helpers

static u64 (*const bpf_get_current_pid_tgid)(void) = (void *)14;
static u64 (*const bpf_get_current_uid_gid)(void) = (void *)15;
static long (*const bpf_get_current_comm)(void *buf, u32 size) = (void *)16;
static u64 (*const bpf_perf_event_read)(void *map, u64 flags) = (void *)22;
static long (*const bpf_get_stackid)(void *ctx, void *map, u64 flags) = (void *)27;
static void *(*const bpf_get_current_task)(void) = (void *)35;
static long (*const bpf_xdp_redirect_map)(void *map, u64 key, u64 flags) = (void *)51;
static long (*const bpf_skb_adjust_room)(void *skb, s32 diff, u32 mode, u64 flags) = (void *)50;
static long (*const bpf_sk_redirect_map)(void *skb, void *map, u32 key, u64 flags) = (void *)52;
static long (*const bpf_sock_map_update)(void *ops, void *map, void *key, u64 flags) = (void *)53;
static long (*const bpf_setsockopt)(void *ctx, int level, int opt, void *val, int len) = (void *)49;
static long (*const bpf_getsockopt)(void *ctx, int level, int opt, void *val, int len) = (void *)57;
static long (*const bpf_msg_redirect_map)(void *msg, void *map, u32 key, u64 flags) = (void *)60;
static long (*const bpf_msg_apply_bytes)(void *msg, u32 bytes) = (void *)61;
static long (*const bpf_msg_pull_data)(void *msg, u32 start, u32 end, u64 flags) = (void *)63;
static long (*const bpf_bind)(void *ctx, void *addr, int len) = (void *)64;
static long (*const bpf_get_stack)(void *ctx, void *buf, u32 size, u64 flags) = (void *)67;
static long (*const bpf_sock_hash_update)(void *ops, void *map, void *key, u64 flags) = (void *)70;
static long (*const bpf_sk_select_reuseport)(void *ctx, void *map, void *key, u64 flags) = (void *)82;
static struct bpf_sock *(*const bpf_sk_lookup_tcp)(void *ctx, void *tuple, u32 size, u64 netns, u64 flags) = (void *)84;
static struct bpf_sock *(*const bpf_sk_lookup_udp)(void *ctx, void *tuple, u32 size, u64 netns, u64 flags) = (void *)85;
static long (*const bpf_sk_release)(void *sk) = (void *)86;
static long (*const bpf_map_push_elem)(void *map, const void *value, u64 flags) = (void *)87;
static long (*const bpf_map_pop_elem)(void *map, void *value) = (void *)88;
static long (*const bpf_map_peek_elem)(void *map, void *value) = (void *)89;
static long (*const bpf_spin_lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*const bpf_spin_unlock)(struct bpf_spin_lock *lock) = (void *)94;
static struct bpf_sock *(*const bpf_sk_fullsock)(struct bpf_sock *sk) = (void *)95;
static void *(*const bpf_tcp_sock)(struct bpf_sock *sk) = (void *)96;
static struct bpf_sock *(*const bpf_skc_lookup_tcp)(void *ctx, void *tuple, u32 size, u64 netns, u64 flags) = (void *)99;
static long (*const bpf_sysctl_get_name)(void *ctx, char *buf, u64 len, u64 flags) = (void *)101;
static long (*const bpf_sysctl_get_new_value)(void *ctx, char *buf, u64 len) = (void *)103;
static long (*const bpf_sysctl_set_new_value)(void *ctx, const char *buf, u64 len) = (void *)104;
static void *(*const bpf_sk_storage_get)(void *map, void *sk, void *value, u64 flags) = (void *)107;
static long (*const bpf_probe_read_user)(void *dst, u32 size, const void *src) = (void *)112;
static long (*const bpf_probe_read_user_str)(void *dst, u32 size, const void *src) = (void *)114;
static u64 (*const bpf_jiffies64)(void) = (void *)118;
static u64 (*const bpf_get_current_cgroup_id)(void) = (void *)80;
static long (*const bpf_sk_assign)(void *ctx, void *sk, u64 flags) = (void *)124;
static long (*const bpf_seq_printf)(void *m, const char *fmt, u32 fmt_size, const void *data, u32 len) = (void *)126;
static long (*const bpf_seq_write)(void *m, const void *data, u32 len) = (void *)127;
static void *(*const bpf_skc_to_tcp_sock)(void *sk) = (void *)137;
static void *(*const bpf_per_cpu_ptr)(const void *ptr, u32 cpu) = (void *)153;
static void *(*const bpf_this_cpu_ptr)(const void *ptr) = (void *)154;
static void *(*const bpf_task_storage_get)(void *map, void *task, void *value, u64 flags) = (void *)156;
static struct task_struct *(*const bpf_get_current_task_btf)(void) = (void *)158;
static long (*const bpf_timer_init)(struct bpf_timer *timer, void *map, u64 flags) = (void *)169;
static long (*const bpf_timer_set_callback)(struct bpf_timer *timer, void *callback) = (void *)170;
static long (*const bpf_timer_start)(struct bpf_timer *timer, u64 nsecs, u64 flags) = (void *)171;
static long (*const bpf_timer_cancel)(struct bpf_timer *timer) = (void *)172;
static u64 (*const bpf_get_func_ip)(void *ctx) = (void *)173;
static u64 (*const bpf_get_attach_cookie)(void *ctx) = (void *)174;
static long (*const bpf_find_vma)(struct task_struct *task, u64 addr, void *callback, void *ctx, u64 flags) = (void *)180;
static u64 (*const bpf_xdp_get_buff_len)(struct xdp_md *ctx) = (void *)188;
static long (*const bpf_copy_from_user)(void *dst, u32 size, const void *src) = (void *)148;
static void *(*const bpf_kptr_xchg)(void *dst, void *ptr) = (void *)194;
static long (*const bpf_dynptr_from_mem)(void *data, u32 size, u64 flags, struct bpf_dynptr *ptr) = (void *)197;
static long (*const bpf_ringbuf_reserve_dynptr)(void *ringbuf, u32 size, u64 flags, struct bpf_dynptr *ptr) = (void *)198;
static void (*const bpf_ringbuf_submit_dynptr)(struct bpf_dynptr *ptr, u64 flags) = (void *)199;
static void (*const bpf_ringbuf_discard_dynptr)(struct bpf_dynptr *ptr, u64 flags) = (void *)200;
static long (*const bpf_dynptr_read)(void *dst, u64 len, const struct bpf_dynptr *src, u64 offset, u64 flags) = (void *)201;
static long (*const bpf_dynptr_write)(const struct bpf_dynptr *dst, u64 offset, void *src, u64 len, u64 flags) = (void *)202;
static void *(*const bpf_dynptr_data)(const struct bpf_dynptr *ptr, u64 offset, u64 len) = (void *)203;
static long (*const bpf_user_ringbuf_drain)(void *map, void *callback, void *ctx, u64 flags) = (void *)209;
static void *(*const bpf_cgrp_storage_get)(void *map, void *cgroup, void *value, u64 flags) = (void *)210;

#endif
