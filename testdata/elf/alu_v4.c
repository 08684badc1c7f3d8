// SPDX-License-Identifier: Apache-2.0
//
// What version 4 of the instruction set adds: signed division and modulo,
// sign-extending moves and loads, byte swaps, and the long jump, which a packet of
// more than 50 bytes takes.
//
// Result: a hash of all results; results[] holds them one by one.
#include "bpf.h"

const volatile s64 numerators[4] = {-7, 7, 0x7fffffff, -0x7fffffffffffffffLL - 1};
const volatile s64 denominators[4] = {2, -2, 0, -1};
const volatile u64 pattern = 0x8182838485868788ULL;
s64 results[24];

// clang would use what C leaves undefined: x / 0 and MIN / -1.
#define OP(insn, a, b)                                                        \
	({                                                                    \
		s64 to = (a);                                                 \
		asm volatile(insn : "+r"(to) : "r"((s64)(b)));                \
		to;                                                           \
	})
#define OP32(insn, a, b)                                                      \
	({                                                                    \
		s32 to = (a);                                                 \
		asm volatile(insn : "+w"(to) : "w"((s32)(b)));                \
		(u32) to;                                                     \
	})

SEC("xdp")
int alu_v4(struct xdp_md *ctx)
{
	const volatile void *at = &pattern;
	u64 hash = 0;

	for (int i = 0; i < 4; i++) {
		s64 a = numerators[i], b = denominators[i];

		results[i] = OP("%0 s/= %1", a, b);
		results[4 + i] = OP("%0 s%%= %1", a, b);
		results[8 + i] = OP32("%0 s/= %1", a, b);
		results[12 + i] = OP32("%0 s%%= %1", a, b);
	}
	results[16] = (s8)pattern;
	results[17] = (s16)pattern;
	results[18] = (s32)pattern;
	results[19] = *(volatile s8 *)at + *(volatile s16 *)at + (s64) * (volatile s32 *)at;
	results[20] = __builtin_bswap16(pattern);
	results[21] = __builtin_bswap32(pattern);
	results[22] = __builtin_bswap64(pattern);
	if (ctx->data_end - ctx->data > 50)
		asm volatile goto("gotol %l0" ::::over);
	results[23] = 1; // jumped over for a packet of more than 50 bytes
over:
	for (int i = 0; i < 24; i++)
		hash = hash * 31 + results[i];
	return hash ^ hash >> 32;
}

LICENSE("Apache-2.0");
