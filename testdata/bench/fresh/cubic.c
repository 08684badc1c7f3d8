// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of congestion control: a smoothed round trip time (RFC 6298) and
// the window of CUBIC (RFC 9438), in fixed point, over 256 acknowledgements of
// which some report a loss. Signed division needs version 4 of the instruction set.
#include "../bench.h"

#define MSEC 1000LL      // microseconds
#define SCALE 1024LL     // of windows and coefficients
#define C 410LL          // 0.4
#define BETA 717LL       // 0.7
#define MIN_CWND (2 * SCALE)
#define MAX_CWND (1024 * SCALE)

struct flow {
	s64 srtt, rttvar, rto;       // microseconds
	s64 cwnd, ssthresh, w_max;   // packets * SCALE
	s64 k;                       // milliseconds
	s64 epoch;                   // microseconds
};

// cube_root returns the integer whose cube is the nearest below v, by Newton's method.
//
// Global functions: Linux verifies them once and not at every call.
NOINLINE u32 cube_root(u64 v)
{
	u64 x = 1, bits = v;

	if (v < 8)
		return v != 0;
	for (int i = 0; i < 21 && bits >= 8; i++) {
		bits >>= 3;
		x <<= 1;
	}
	x <<= 1; // from above
	for (int i = 0; i < 8; i++) {
		u64 next = (2 * x + v / (x * x)) / 3;

		if (next >= x)
			break;
		x = next;
	}
	return x;
}

static INLINE void measure(struct flow *f, s64 rtt)
{
	if (f->srtt == 0) {
		f->srtt = rtt;
		f->rttvar = rtt / 2;
	} else {
		s64 err = rtt - f->srtt;

		f->srtt += err / 8;
		f->rttvar += ((err < 0 ? -err : err) - f->rttvar) / 4;
	}
	f->rto = f->srtt + (4 * f->rttvar > MSEC ? 4 * f->rttvar : MSEC);
}

NOINLINE int on_loss(struct flow *f, s64 now)
{
	if (!f)
		return -1;
	// Fast convergence: a flow that has lost ground leaves some to others.
	f->w_max = f->cwnd < f->w_max ? f->cwnd * (SCALE + BETA) / (2 * SCALE) : f->cwnd;
	f->cwnd = f->cwnd * BETA / SCALE;
	if (f->cwnd < MIN_CWND)
		f->cwnd = MIN_CWND;
	f->ssthresh = f->cwnd;
	f->epoch = now;
	f->k = f->w_max > f->cwnd ? cube_root((u64)(f->w_max - f->cwnd) * 1000000000ULL / C) : 0;
	return 0;
}

NOINLINE int on_ack(struct flow *f, s64 now)
{
	s64 t, target, friendly;

	if (!f)
		return -1;
	if (f->cwnd < f->ssthresh) {
		f->cwnd += SCALE;
		return 0;
	}
	t = (now - f->epoch + f->srtt) / MSEC - f->k;
	target = f->w_max + C * (t * t / 1000 * t / 1000) / 1000;
	friendly = f->w_max * BETA / SCALE + 541 * (now - f->epoch) / (f->srtt + 1);
	if (target < friendly)
		target = friendly;
	if (target > f->cwnd * 3 / 2)
		target = f->cwnd * 3 / 2;
	if (target > f->cwnd)
		f->cwnd += (target - f->cwnd) * SCALE / f->cwnd;
	else
		f->cwnd += SCALE * SCALE / (100 * f->cwnd);
	if (f->cwnd > MAX_CWND)
		f->cwnd = MAX_CWND;
	return 0;
}

SEC("xdp")
int cubic(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	struct flow f = {.cwnd = 10 * SCALE, .ssthresh = 40 * SCALE, .w_max = 40 * SCALE};
	s64 now = 0;
	u64 ret = 0;

	for (u32 i = 0; i < 256; i++) {
		u32 word = *(u32 *)(p + i * 4) * 0x9e3779b1;

		now += 200 + (word >> 20);
		measure(&f, 10 * MSEC + (word >> 8 & 0xfff));
		if (word >> 27 == 0)
			on_loss(&f, now);
		else
			on_ack(&f, now);
		ret = ret * 31 + f.cwnd + f.rto;
	}
	return FOLD(ret ^ f.k << 32);
}
