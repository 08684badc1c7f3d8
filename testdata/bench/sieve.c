// SPDX-License-Identifier: Apache-2.0
//
// The sieve of Eratosthenes in a stack buffer: byte stores and loads at
// variable stack offsets. Numbers whose packet byte is 240 or more are struck
// out from the start, and the packet bytes of those that remain are summed.
#include "bench.h"

#define LIMIT 240

SEC("xdp")
int sieve(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	// The flag is at an odd address and set from the packet, so that Linux
	// tracks no value for it: it would walk every case.
	struct {
		u8 weight;
		u8 struck;
	} numbers[LIMIT];
	u32 sum = 0;

	for (u32 i = 0; i < LIMIT; i++) {
		numbers[i].weight = p[i];
		numbers[i].struck = (p[i] + 16) >> 8;
	}
	for (u32 i = 2; i * i < LIMIT; i++) {
		if (numbers[i].struck)
			continue;
		for (u32 j = i * i; j < LIMIT; j += i)
			numbers[j].struck = 1;
	}
	for (u32 i = 2; i < LIMIT; i++) {
		if (!numbers[i].struck)
			sum = sum * 31 + numbers[i].weight;
	}
	return sum;
}
