// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic at its edges, with operands from memory so that nothing is folded:
// 64 and 32 bits, division by zero, shifts, sign extension, byte order, and all
// comparisons.
//
// Result: a hash of all results; results[] holds them one by one, compared[] a bit
// for each comparison that is true.
#include "bpf.h"

#define N 6

const volatile u64 operands[N] = {
	0, 1, 0x7fffffff, 0xffffffff80000000, 0x8000000000000000, 0xfedcba9876543210,
};
u64 results[N];
u32 compared[N];

static NOINLINE u64 wide(u64 a, u64 b)
{
	u64 h = a + b;

	h = h * 31 + (a - b);
	h = h * 31 + a * b;
	h = h * 31 + a / b;
	h = h * 31 + a % b;
	h = h * 31 + (a << (b & 63));
	h = h * 31 + (a >> (b & 63));
	h = h * 31 + ((s64)a >> (b & 63));
	h = h * 31 + (-a | (b & a));
	return h ^ __builtin_bswap64(a) ^ __builtin_bswap32(b) ^ __builtin_bswap16(a);
}

static NOINLINE u64 narrow(u32 a, u32 b)
{
	u32 h = a + b;

	h = h * 31 + (a - b);
	h = h * 31 + a * b;
	h = h * 31 + a / b;
	h = h * 31 + a % b;
	h = h * 31 + (a << (b & 31));
	h = h * 31 + (a >> (b & 31));
	h = h * 31 + ((s32)a >> (b & 31));
	h = h * 31 + (-a | (b & a));
	return (u64)h << 32 | (u16)(s16)(s8)a;
}

static NOINLINE u32 compare(u64 a, u64 b)
{
	u32 bits = 0;

	opaque(a);
	opaque(b);
	bits |= (a == b) << 0;
	bits |= (a > b) << 1;
	bits |= (a >= b) << 2;
	bits |= ((s64)a > (s64)b) << 3;
	bits |= ((s64)a >= (s64)b) << 4;
	bits |= ((a & b) != 0) << 5;
	bits |= ((u32)a == (u32)b) << 6;
	bits |= ((u32)a > (u32)b) << 7;
	bits |= ((u32)a >= (u32)b) << 8;
	bits |= ((s32)a > (s32)b) << 9;
	bits |= ((s32)a >= (s32)b) << 10;
	bits |= (((u32)a & (u32)b) != 0) << 11;
	bits |= (a < 0x7fffffff) << 12;
	bits |= ((s64)a < -5) << 13;
	bits |= ((s32)b <= -1) << 14;
	return bits;
}

SEC("xdp")
int alu(struct xdp_md *ctx)
{
	u64 hash = 0;

	for (int i = 0; i < N; i++) {
		u64 h = 0;
		u32 bits = 0;

		for (int j = 0; j < N; j++) {
			u64 a = operands[i], b = operands[j];

			h = (h ^ wide(a, b)) * 0x100000001b3ULL;
			h = (h ^ narrow(a, b)) * 0x100000001b3ULL;
			bits = bits * 3 + compare(a, b);
		}
		results[i] = h;
		compared[i] = bits;
		hash = hash * 31 + h + bits;
	}
	return hash ^ hash >> 32;
}

LICENSE("Apache-2.0");
