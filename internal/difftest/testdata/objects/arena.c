// SPDX-License-Identifier: Apache-2.0
//
// Arenas, and what only version 4 of the instruction set has.
#include "kfuncs.h"

#define ARENA __attribute__((address_space(1)))

struct {
	NUM(type, BPF_MAP_TYPE_ARENA);
	NUM(map_flags, BPF_F_MMAPABLE);
	NUM(max_entries, 4);
	ULONG(map_extra, 1ULL << 44); // where user space would map it
} arena SEC(".maps");

struct item { struct item ARENA *next; u64 value; };

SEC("syscall")
int pages(void *ctx)
{
	struct item ARENA *item = (struct item ARENA *)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!item)
		return 1;
	item->value = 5;
	item->next = item;
	return item->next->value;
}

SEC("syscall")
int freed(void *ctx)
{
	void *page = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (page)
		bpf_arena_free_pages(&arena, page, 1);
	return 0;
}

SEC("tc")
int extended(struct __sk_buff *skb)
{
	s8 narrow = skb->mark;
	s32 wide = narrow;
	s64 quotient = (s64)skb->len / (wide | 1);

	return quotient % 7 + (s16)skb->priority;
}

SEC("tc")
int wrong_sign(struct __sk_buff *skb)
{
	u8 buf[16] = {};
	s8 i = skb->mark;

	opaque(i);
	if (i > 15)
		return 0;
	return *(volatile u8 *)&buf[i];
}

SEC("tc")
int swapped(struct __sk_buff *skb)
{
	return __builtin_bswap32(skb->mark) ^ __builtin_bswap16(skb->priority);
}

LICENSE("GPL");
