// SPDX-License-Identifier: Apache-2.0
//
// Global data: .rodata with settings (const volatile), .data, .bss, static
// variables of a function, strings, a table, and pointers into an array.
//
// Result: threshold (10) + the runs so far (1 for the first) * 100 + the 4th
// letter of name ('d' = 100) * 10000 if verbose is set, else without the letter.
// Afterwards runs is 1, history[0] the packet's length, and seed 0x9abcdef1.
#include "bpf.h"

const volatile u32 threshold = 10;
const volatile bool verbose = true;
const volatile char name[8] = "sandbox";
static const u16 table[4] = {1, 10, 100, 1000};

u64 seed = 0x9abcdef0;
static u32 last_len = 1;
u32 runs;
u32 history[8];

struct {
	u8 small;
	u64 large;
} mixed = {0x7f, 0x1122334455667788};

u32 custom SEC(".data.custom") = 77;

static NOINLINE u32 count(void)
{
	static u32 calls = 5;

	return ++calls - 5;
}

SEC("xdp")
int globals(struct xdp_md *ctx)
{
	u32 len = ctx->data_end - ctx->data;
	u32 at = runs & 7;
	u32 ret;

	runs++;
	seed++;
	custom += len;
	history[at] = len;
	mixed.small++;
	mixed.large += mixed.small;
	ret = threshold + count() * table[at & 2 ? 3 : 2];
	if (verbose)
		ret += (u32)name[3] * 10000;
	last_len = len;
	return ret;
}

SEC("xdp")
int previous(struct xdp_md *ctx)
{
	return last_len;
}

LICENSE("Apache-2.0");
