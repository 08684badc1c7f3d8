// SPDX-License-Identifier: Apache-2.0
// CO-RE relocations of every kind that the compiler makes. core_target.c has the
// types as a "kernel" has them.
#include "bpf.h"

#define CORE __attribute__((preserve_access_index))

struct task {
	int pid;
	u32 moved;
	u64 gone;
	s16 bits : 5;
} CORE;

enum state { RUNNING = 1, STOPPED = 2, REMOVED = 3 };

SEC("raw_tracepoint/sched_switch")
int core_fields(struct task *t)
{
	return t->pid + t->moved;
}

SEC("raw_tracepoint/sched_switch")
int core_info(struct task *t)
{
	u64 sum = 0;
	sum += __builtin_preserve_field_info(t->moved, 0) * 1ull;          // byte offset
	sum += __builtin_preserve_field_info(t->moved, 1) * 100ull;        // byte size
	sum += __builtin_preserve_field_info(t->gone, 2) * 10000ull;       // exists
	sum += __builtin_preserve_field_info(t->pid, 3) * 100000ull;       // signed
	sum += __builtin_preserve_type_info(*(struct task *)0, 1) * 1000000ull; // size
	return sum;
}

SEC("raw_tracepoint/sched_switch")
int core_enum(void *ctx)
{
	u64 sum = __builtin_preserve_enum_value(*(typeof(enum state) *)STOPPED, 1); // value
	sum += __builtin_preserve_enum_value(*(typeof(enum state) *)REMOVED, 0) * 1000; // exists
	return sum;
}

SEC("raw_tracepoint/sched_switch")
int core_poison(struct task *t)
{
	if (__builtin_preserve_field_info(t->gone, 2))
		return t->gone;
	return 1;
}

SEC("raw_tracepoint/sched_switch")
u64 core_ids(void *ctx)
{
	return __builtin_btf_type_id(*(struct task *)0, 0) * 1000 + __builtin_btf_type_id(*(struct task *)0, 1);
}

LICENSE("GPL");
