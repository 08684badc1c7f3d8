// SPDX-License-Identifier: Apache-2.0
//
// A product of two 8 by 8 matrices of 16.16 fixed-point numbers read from the
// packet, the result in the stack.
#include "../bench.h"

#define N 8

SEC("xdp")
int matmul(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	const s32 *a = (s32 *)p, *b = (s32 *)(p + 512);
	s32 product[N * N];
	u32 ret = 0;

	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N; j++) {
			s64 sum = 0;

			for (int k = 0; k < N; k++)
				sum += (s64)a[i * N + k] * b[k * N + j];
			product[i * N + j] = sum >> 16;
		}
	}
	for (int i = 0; i < N * N; i++)
		ret = ret * 31 + product[i];
	return ret;
}
