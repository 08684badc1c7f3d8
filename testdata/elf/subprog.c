// SPDX-License-Identifier: Apache-2.0
//
// Calls between subprograms: static functions that live in .text and are shared
// by two sections, five arguments, pointers to the caller's stack, callee-saved
// registers kept over calls, and eight frames, the deepest that Linux 6.18 allows.
//
// Results: xdp_sum the sum of the packet's first 16 bytes * 3 + 21; tc_sum the same
// plus 1000000. Both 0 if the packet is shorter.
#include "bpf.h"

static NOINLINE u32 sum5(u32 a, u32 b, u32 c, u32 d, u32 e)
{
	opaque(a);
	return a + b + c + d + e;
}

static NOINLINE void store(u32 *to, u32 value)
{
	*to = value;
	barrier();
}

#define DEEPER(n, next)                                                       \
	static NOINLINE u32 depth##n(u32 x)                                   \
	{                                                                     \
		u32 local[4] = {x, n};                                        \
		store(&local[2], next);                                       \
		return local[2] + local[1];                                   \
	}
DEEPER(6, local[0])
DEEPER(5, depth6(x))
DEEPER(4, depth5(x))
DEEPER(3, depth4(x))
DEEPER(2, depth3(x))

static NOINLINE u32 sum16(u8 *p, void *end)
{
	u32 sum = 0;

	if ((void *)(p + 16) > end)
		return 0;
	for (int i = 0; i < 16; i += 4)
		sum = sum5(sum, p[i], p[i + 1], p[i + 2], p[i + 3]);
	return sum;
}

static NOINLINE u32 result(u8 *p, void *end)
{
	u32 sum = sum16(p, end), kept = sum * 2;

	if (!sum)
		return 0;
	return depth2(sum) + kept + 1;
}

SEC("xdp")
int xdp_sum(struct xdp_md *ctx)
{
	return result(DATA(ctx), DATA_END(ctx));
}

SEC("tc")
int tc_sum(struct __sk_buff *skb)
{
	u32 sum = result(DATA(skb), DATA_END(skb));

	return sum ? sum + 1000000 : 0;
}

LICENSE("Apache-2.0");
