// SPDX-License-Identifier: Apache-2.0
//
// The Mandelbrot set in fixed point with 24 bits behind the point, 64 points moved a
// little by the packet, 40 steps at most: signed 64-bit multiplies and shifts.
#include "../bench.h"

#define POINT 24
#define ONE (1LL << POINT)

static INLINE u32 escape(s64 cx, s64 cy)
{
	s64 x = 0, y = 0;
	u32 steps = 0;

	while (steps < 40) {
		s64 xx = x * x >> POINT, yy = y * y >> POINT;

		if (xx + yy > 4 * ONE)
			break;
		y = (x * y >> (POINT - 1)) + cy;
		x = xx - yy + cx;
		steps++;
	}
	return steps;
}

SEC("xdp")
int mandelbrot(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 ret = 0;

	for (s64 i = 0; i < 64; i++) {
		s64 cx = (i & 7) * (ONE * 5 / 16) - 2 * ONE + ((s64)p[i * 16] << 13);
		s64 cy = (i >> 3) * (ONE / 4) - ONE + ((s64)p[i * 16 + 5] << 13);

		ret = ret * 31 + escape(cx, cy);
	}
	return ret;
}
