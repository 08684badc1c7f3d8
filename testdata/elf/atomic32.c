// SPDX-License-Identifier: Apache-2.0
//
// Every 32-bit atomic operation on a map value and on the stack: add, and, or,
// xor, each without and with fetching the old value, exchange and
// compare-exchange, successful and not.
//
// Result: 0, or bits of what went wrong. values[] holds what each operation left.
#include "bpf.h"

u32 values[10];

static INLINE u32 step(u32 *p)
{
	u32 sum = 0;

	*p = (u32)0xf0f0f0f0f0f0f0f0ULL;
	__sync_fetch_and_add(p, 0x20);
	values[0] = *p;
	__sync_fetch_and_and(p, (u32)0xffffffff0fffffffULL);
	values[1] = *p;
	__sync_fetch_and_or(p, 0x3);
	values[2] = *p;
	__sync_fetch_and_xor(p, 0xff);
	values[3] = *p;
	sum = sum * 7 + __sync_fetch_and_add(p, (u32)-1);
	values[4] = *p;
	sum = sum * 7 + __sync_fetch_and_and(p, (u32)0x0fffffffffff00ffULL);
	values[5] = *p;
	sum = sum * 7 + __sync_fetch_and_or(p, 0x8000);
	values[6] = *p;
	sum = sum * 7 + __sync_fetch_and_xor(p, (u32)~0ULL);
	values[7] = *p;
	sum = sum * 7 + __sync_lock_test_and_set(p, 42);
	values[8] = *p;
	sum = sum * 7 + __sync_val_compare_and_swap(p, 42, 43);
	sum = sum * 7 + __sync_val_compare_and_swap(p, 42, 44);
	values[9] = *p;
	return sum;
}

u32 shared;

SEC("xdp")
int atomic32(struct xdp_md *ctx)
{
	u32 local = 0, on_stack, in_map;
	int wrong = 0;

	in_map = step(&shared);
	on_stack = step(&local);
	if (in_map != on_stack)
		wrong |= 1;
	if (shared != 43 || local != 43)
		wrong |= 2;
	if (values[0] != (u32)0xf0f0f0f0f0f0f110ULL)
		wrong |= 4;
	if (values[8] != 42)
		wrong |= 8;
	return wrong;
}

LICENSE("Apache-2.0");
