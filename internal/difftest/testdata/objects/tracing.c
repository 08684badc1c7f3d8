// SPDX-License-Identifier: Apache-2.0
//
// Tracing, in the manner of bcc and bpftrace: probes, histograms, stacks, strings, walks
// through the kernel's structs, iterators.
#include "kfuncs.h"

#define SLOTS 26
#define ARGS 20
#define ARG_SIZE 64

struct hist { u32 slots[SLOTS]; char comm[16]; };
struct event { u32 pid, ppid, uid; int args; u32 len; char comm[16]; char text[ARGS * ARG_SIZE]; };
struct file_event { u64 delta; u32 pid; char task[16]; char name[32]; };

struct {
	NUM(type, BPF_MAP_TYPE_HASH);
	NUM(max_entries, 10240);
	TYPE(key, u32);
	TYPE(value, u64);
} start SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_HASH);
	NUM(max_entries, 1024);
	TYPE(key, u32);
	TYPE(value, struct hist);
} hists SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_HASH);
	NUM(max_entries, 1024);
	TYPE(key, u32);
	TYPE(value, struct event);
} execs SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_STACK_TRACE);
	NUM(max_entries, 1024);
	NUM(key_size, 4);
	NUM(value_size, 127 * 8);
} stacks SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	NUM(key_size, 4);
	NUM(value_size, 4);
} events SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_RINGBUF);
	NUM(max_entries, 1 << 16);
} ring SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_TASK_STORAGE);
	NUM(map_flags, BPF_F_NO_PREALLOC);
	TYPE(key, int);
	TYPE(value, u64);
} storage SEC(".maps");

static const struct event empty_event;
static struct hist zero;
const volatile u32 targ_pid = 0;
const volatile bool per_process = false;
const volatile u64 min_us = 0;

static INLINE u64 log2(u32 v)
{
	u32 shift, r;

	r = (v > 0xffff) << 4; v >>= r;
	shift = (v > 0xff) << 3; v >>= shift; r |= shift;
	shift = (v > 0xf) << 2; v >>= shift; r |= shift;
	shift = (v > 0x3) << 1; v >>= shift; r |= shift;
	return r | v >> 1;
}

static INLINE u64 log2l(u64 v)
{
	u32 hi = v >> 32;

	return hi ? log2(hi) + 32 : log2(v);
}

static int wakeup(u32 pid)
{
	u64 ts = bpf_ktime_get_ns();

	if (!pid || (targ_pid && targ_pid != pid))
		return 0;
	bpf_map_update_elem(&start, &pid, &ts, BPF_ANY);
	return 0;
}

SEC("tp_btf/sched_wakeup")
int run_wakeup(u64 *ctx)
{
	struct task_struct *p = (void *)ctx[0];

	return wakeup(p->pid);
}

SEC("tp_btf/sched_switch")
int run_switch(u64 *ctx)
{
	struct task_struct *next = (void *)ctx[2];
	u32 pid = next->pid, key = -1;
	u64 *ts, slot;
	struct hist *h;
	s64 delta;

	ts = bpf_map_lookup_elem(&start, &pid);
	if (!ts)
		return 0;
	delta = bpf_ktime_get_ns() - *ts;
	if (delta < 0)
		goto out;
	if (per_process)
		key = next->tgid;
	h = bpf_map_lookup_elem(&hists, &key);
	if (!h) {
		bpf_map_update_elem(&hists, &key, &zero, BPF_NOEXIST);
		h = bpf_map_lookup_elem(&hists, &key);
		if (!h)
			goto out;
		bpf_probe_read_kernel_str(&h->comm, sizeof(h->comm), next->comm);
	}
	slot = log2l(delta / 1000);
	if (slot >= SLOTS)
		slot = SLOTS - 1;
	__sync_fetch_and_add(&h->slots[slot], 1);
out:
	bpf_map_delete_elem(&start, &pid);
	return 0;
}

// The last slot is not SLOTS.
SEC("tp_btf/sched_switch")
int wrong_slot(u64 *ctx)
{
	struct task_struct *next = (void *)ctx[2];
	u32 key = next->tgid;
	struct hist *h = bpf_map_lookup_elem(&hists, &key);
	u64 slot;

	if (!h)
		return 0;
	slot = log2l(bpf_ktime_get_ns());
	if (slot > SLOTS + 8)
		slot = SLOTS;
	__sync_fetch_and_add(&h->slots[slot], 1);
	return 0;
}

// The previous task is not null, what it points to may be.
SEC("tp_btf/sched_switch")
int chain(u64 *ctx)
{
	struct task_struct *prev = (void *)ctx[1];

	return prev->real_parent->group_leader->pid + prev->mm->total_vm;
}

// Structs of the kernel are not written.
SEC("tp_btf/sched_switch")
int wrong_write(u64 *ctx)
{
	struct task_struct *prev = (void *)ctx[1];

	prev->pid = 1;
	return 0;
}

// sched_switch has four arguments.
SEC("tp_btf/sched_switch")
int wrong_argument(u64 *ctx)
{
	return ctx[4] != 0;
}

SEC("tp_btf/sched_switch")
int storage_of(u64 *ctx)
{
	struct task_struct *next = (void *)ctx[2];
	u64 *n = bpf_task_storage_get(&storage, next, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (n)
		__sync_fetch_and_add(n, 1);
	return 0;
}

// Not a task but a number.
SEC("raw_tp/sched_switch")
int wrong_storage(u64 *ctx)
{
	u64 *n = bpf_task_storage_get(&storage, (void *)ctx[2], NULL, 0);

	return n ? *n : 0;
}

// Its parent is not trusted outside of an RCU section.
SEC("tp_btf/task_newtask")
int acquire(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0], *ref;

	ref = bpf_task_acquire(task);
	if (!ref)
		return 0;
	bpf_task_release(ref);
	return 0;
}

SEC("tp_btf/task_newtask")
int acquire_parent(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0], *ref;

	bpf_rcu_read_lock();
	ref = bpf_task_acquire(task->real_parent);
	bpf_rcu_read_unlock();
	if (ref)
		bpf_task_release(ref);
	return 0;
}

SEC("tp_btf/task_newtask")
int wrong_acquire_old(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0], *ref;

	ref = bpf_task_acquire(task->last_wakee);
	if (ref)
		bpf_task_release(ref);
	return 0;
}

SEC("tp_btf/task_newtask")
int wrong_acquire_leak(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0], *ref;

	ref = bpf_task_acquire(task);
	return ref ? ref->pid & 1 : 0;
}

SEC("tp_btf/task_newtask")
int wrong_release_null(u64 *ctx)
{
	bpf_task_release(bpf_task_from_pid(1));
	return 0;
}

SEC("kprobe/do_unlinkat")
int unlink(struct pt_regs *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	struct file_event *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e)
		return 0;
	e->pid = id >> 32;
	e->delta = bpf_ktime_get_ns();
	bpf_get_current_comm(e->task, sizeof(e->task));
	if (bpf_probe_read_kernel_str(e->name, sizeof(e->name), (void *)ctx->si) < 0) {
		bpf_ringbuf_discard(e, 0);
		return 0;
	}
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("kprobe/do_unlinkat")
int wrong_unlink(struct pt_regs *ctx)
{
	struct file_event *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e)
		return 0;
	if (bpf_probe_read_kernel_str(e->name, sizeof(e->name), (void *)ctx->si) < 0)
		return 0;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

// An address of the kernel is not one that a program may read.
SEC("kprobe/do_unlinkat")
int wrong_deref(struct pt_regs *ctx)
{
	return *(char *)ctx->si;
}

SEC("kretprobe/do_unlinkat")
int stack(struct pt_regs *ctx)
{
	struct { u32 pid; int user, kernel; char comm[16]; } key = {};

	key.pid = bpf_get_current_pid_tgid() >> 32;
	key.user = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	key.kernel = bpf_get_stackid(ctx, &stacks, 0);
	bpf_get_current_comm(&key.comm, sizeof(key.comm));
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &key, sizeof(key));
	return 0;
}

// Padding of what is sent is not written.
SEC("kprobe/do_unlinkat")
int wrong_padding(struct pt_regs *ctx)
{
	struct { u32 pid; u64 ts; } e;

	e.pid = bpf_get_current_pid_tgid();
	e.ts = bpf_ktime_get_ns();
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &e, sizeof(e));
	return 0;
}

struct enter { u64 unused; long id; unsigned long args[6]; };

SEC("tracepoint/syscalls/sys_enter_execve")
int exec(struct enter *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	struct task_struct *task = bpf_get_current_task();
	const char **args = (const char **)ctx->args[1];
	const char *arg = NULL;
	struct event *e;
	u32 pid = id;
	int n;

	if (bpf_map_update_elem(&execs, &pid, &empty_event, BPF_NOEXIST))
		return 0;
	e = bpf_map_lookup_elem(&execs, &pid);
	if (!e)
		return 0;
	e->pid = id >> 32;
	e->uid = bpf_get_current_uid_gid();
	bpf_probe_read_kernel(&task, sizeof(task), &task->real_parent);
	bpf_probe_read_kernel(&e->ppid, sizeof(e->ppid), &task->tgid);
	n = bpf_probe_read_user_str(e->text, ARG_SIZE, (void *)ctx->args[0]);
	if (n < 0)
		return 0;
	if (n <= ARG_SIZE)
		e->len += n;
	e->args = 1;
#pragma clang loop unroll(disable)
	for (int i = 1; i < ARGS; i++) {
		if (bpf_probe_read_user(&arg, sizeof(arg), &args[i]) || !arg)
			return 0;
		if (e->len > sizeof(e->text) - ARG_SIZE)
			return 0;
		n = bpf_probe_read_user_str(&e->text[e->len], ARG_SIZE, arg);
		if (n < 0)
			return 0;
		e->args++;
		e->len += n;
	}
	return 0;
}

// len is read twice: what was compared is not what is added.
SEC("tracepoint/syscalls/sys_enter_execve")
int wrong_length(struct enter *ctx)
{
	u32 pid = bpf_get_current_pid_tgid();
	struct event *e = bpf_map_lookup_elem(&execs, &pid);
	u32 len;

	if (!e)
		return 0;
	len = e->len;
	if (len > sizeof(e->text))
		return 0;
	return bpf_probe_read_user_str(&e->text[len], ARG_SIZE, (void *)ctx->args[0]);
}

// A tracepoint's first eight bytes are the kernel's.
SEC("tracepoint/syscalls/sys_enter_execve")
int wrong_hidden(struct enter *ctx)
{
	return ctx->unused;
}

SEC("kprobe/vfs_read")
int path(struct pt_regs *ctx)
{
	char buf[32] = {};
	u32 hash = 2166136261u;
	long n = bpf_probe_read_user_str(buf, sizeof(buf), (void *)ctx->si);

	if (n < 0)
		return 0;
	for (int i = 0; i < 32; i++) {
		if (!buf[i])
			break;
		hash = (hash ^ buf[i]) * 16777619;
	}
	return hash & 1;
}

SEC("perf_event")
int sample(struct { struct pt_regs regs; u64 period, addr; } *ctx)
{
	u64 ip = ctx->regs.ip;
	u64 frames[16];
	long n = bpf_get_stack(ctx, frames, sizeof(frames), 0);

	if (n < 0)
		return 0;
	return (ip ^ ctx->period) & 1;
}

SEC("raw_tp/sys_enter")
int raw(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	u64 di;

	bpf_probe_read_kernel(&di, sizeof(di), &regs->di);
	return di != 0;
}

struct seq_file;
struct meta { struct seq_file *seq; u64 session_id; u64 seq_num; };
struct bpf_iter__task { struct meta *meta; struct task_struct *task; };

SEC("iter/task")
int tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct seq_file *seq = ctx->meta->seq;
	static const char fmt[] = "%d %s\n";
	u64 data[2];

	if (!task)
		return 0;
	data[0] = task->pid;
	data[1] = (u64)task->comm;
	bpf_seq_printf(seq, fmt, sizeof(fmt), data, sizeof(data));
	return 0;
}

SEC("iter/task")
int wrong_task_null(struct bpf_iter__task *ctx)
{
	return ctx->task->pid & 1;
}

SEC("iter/task")
int wrong_iter_result(struct bpf_iter__task *ctx)
{
	return 2;
}

// Only numbers and text may be printed so.
SEC("iter/task")
int wrong_format(struct bpf_iter__task *ctx)
{
	static const char fmt[] = "%d %q\n";
	u64 data[2] = {};

	bpf_seq_printf(ctx->meta->seq, fmt, sizeof(fmt), data, sizeof(data));
	return 0;
}

struct map_ctx { struct meta *meta; void *map; u32 *key; u64 *value; };

SEC("iter/bpf_map_elem")
int elements(struct map_ctx *ctx)
{
	u32 *key = ctx->key;
	u64 *value = ctx->value;

	if (!key || !value)
		return 0;
	return (*key + *value) & 1;
}

extern const int runqueues KSYM WEAK;

SEC("raw_tp/sys_enter")
int current(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return task->group_leader->pid + task->cred->uid;
}

LICENSE("GPL");
