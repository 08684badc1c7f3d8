// SPDX-License-Identifier: Apache-2.0
// Global variables in every kind of section.
#include "bpf.h"

const volatile u32 limit = 5;
const volatile char name[8] = "abc";
volatile u64 counter = 7;
volatile u32 zeroed;
volatile u16 own SEC(".data.own") = 9;
static volatile u32 hidden = 3;

struct pair {
	u32 a;
	u32 b;
};
volatile struct pair pair = {1, 2};

NOINLINE static u32 helper(u32 x)
{
	hidden += x;
	return hidden * limit;
}

SEC("xdp")
int variables(struct xdp_md *ctx)
{
	counter += name[0];
	zeroed = helper(counter) + own + pair.b;
	return zeroed;
}

LICENSE("Dual BSD/GPL");
