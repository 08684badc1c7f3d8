// SPDX-License-Identifier: Apache-2.0
//
// Global functions, which Linux verifies one by one: with scalars, with a pointer
// to memory of known size that may be NULL, with the context, and one that is
// weak.
//
// Result: clamp(length, 64, 1500) + total({1, 2, 3}) (6) + total(NULL) (0) +
// first_byte(ctx) * 65536 + weak_one() (1) * 16777216.
#include "bpf.h"

struct numbers {
	u32 n[3];
};

NOINLINE int clamp(u32 value, u32 low, u32 high)
{
	if (value < low)
		return low;
	return value > high ? high : value;
}

NOINLINE int total(struct numbers *numbers)
{
	u32 sum = 0;

	if (!numbers)
		return 0;
	for (int i = 0; i < 3; i++)
		sum += numbers->n[i];
	return sum;
}

NOINLINE int first_byte(struct xdp_md *ctx)
{
	u8 *p = DATA(ctx);

	if (p + 1 > (u8 *)DATA_END(ctx))
		return -1;
	return *p;
}

WEAK NOINLINE int weak_one(void)
{
	int one = 1;

	opaque(one);
	return one;
}

SEC("xdp")
int global_func(struct xdp_md *ctx)
{
	struct numbers numbers = {{1, 2, 3}};
	u32 len = ctx->data_end - ctx->data;

	return clamp(len, 64, 1500) + total(&numbers) + total(NULL) +
	       (first_byte(ctx) << 16) + (weak_one() << 24);
}

LICENSE("Apache-2.0");
