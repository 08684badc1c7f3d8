// SPDX-License-Identifier: Apache-2.0
//
// A count-min sketch in global data: 320 packets of flows, some of which are much
// larger than others, are counted in four rows; those that seem to be above a
// limit are kept in a list of heavy hitters.
#include "../bench.h"

#define ROWS 4
#define COLUMNS 128
#define HITTERS 16
#define LIMIT 12

struct hitter {
	u32 flow;
	u32 count;
};

static u32 sketch[ROWS][COLUMNS];
static struct hitter hitters[HITTERS];
static u32 evicted;

static const u32 seeds[ROWS] = {0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f};

// count adds a packet to the flow and returns what the sketch says of it.
static NOINLINE u32 count(u32 flow)
{
	u32 least = ~0;

	for (int row = 0; row < ROWS; row++) {
		u32 hash = (flow ^ flow >> 15) * seeds[row];
		u32 *cell = &sketch[row][hash >> 25];

		*cell += 1;
		if (*cell < least)
			least = *cell;
	}
	return least;
}

// A global function: Linux verifies it once and not at every call.
NOINLINE int keep(u32 flow, u32 n)
{
	u32 smallest = 0;

	for (u32 i = 0; i < HITTERS; i++) {
		if (hitters[i].flow == flow) {
			hitters[i].count = n;
			return 0;
		}
		if (hitters[i].count < hitters[smallest].count)
			smallest = i;
	}
	smallest &= HITTERS - 1;
	if (hitters[smallest].count < n) {
		evicted += hitters[smallest].count != 0;
		hitters[smallest].flow = flow;
		hitters[smallest].count = n;
	}
	return 0;
}

SEC("xdp")
int countmin(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 ret = 0;

	for (int row = 0; row < ROWS; row++) {
		for (int i = 0; i < COLUMNS; i++) {
			sketch[row][i] = 0;
			barrier(); // or clang makes the loop a call of memset
		}
	}
	for (int i = 0; i < HITTERS; i++)
		hitters[i].flow = hitters[i].count = 0;
	evicted = 0;
	for (u32 i = 0; i < 320; i++) {
		u32 flow = *(u32 *)(p + i * 3), n;

		// Every other packet is of one of twelve flows.
		if (i & 1)
			flow = (flow * 0x9e3779b1 >> 16) % 12 + 1;
		n = count(flow);
		if (n > LIMIT)
			keep(flow, n);
		ret = ret * 31 + n;
	}
	for (int i = 0; i < HITTERS; i++)
		ret = (ret ^ hitters[i].flow) * 0x01000193 + hitters[i].count;
	return ret ^ evicted;
}
