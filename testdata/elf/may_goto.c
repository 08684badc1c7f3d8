// SPDX-License-Identifier: Apache-2.0
//
// may_goto: a loop without a bound that the verifier can see, which the run time
// ends: after 8388608 trips, or since Linux 6.15 on some machines after 250 ms.
//
// Results: collatz the number of steps from 27 to 1, 111; endless 1, since more than
// 1000 trips were made and then an end was put to it.
#include "bpf.h"

#define can_loop                                                              \
	({                                                                    \
		__label__ stop, go;                                           \
		bool more = true;                                             \
		asm volatile goto("1: .byte 0xe5; .byte 0; .long ((%l[stop] - 1b - 8) / 8) & 0xffff; .short 0" \
				  :::: stop);                                 \
		goto go;                                                      \
	stop:                                                                 \
		more = false;                                                 \
	go:                                                                   \
		more;                                                         \
	})

// In memory, so that the verifier does not count along.
u64 start = 27;
u32 steps;
u32 trips;

SEC("xdp")
int collatz(struct xdp_md *ctx)
{
	u64 n = start;

	while (n != 1 && can_loop) {
		n = n & 1 ? n * 3 + 1 : n / 2;
		steps++;
	}
	return steps;
}

SEC("xdp")
int endless(struct xdp_md *ctx)
{
	bool many;

	while (can_loop)
		trips++;
	many = trips > 1000;
	trips = 0; // how many is not the same twice
	return many;
}

LICENSE("Apache-2.0");
