// SPDX-License-Identifier: Apache-2.0
//
// A binary heap of tasks in global data, ordered by virtual time, as a scheduler
// keeps it: 160 times a task wakes up and is put into the heap, and about as
// often the first one is taken out to run.
#include "../bench.h"

#define CAPACITY 64
#define DEPTH 7 // levels of a heap of that size

struct task {
	u64 vtime;
	u32 id;
	u32 weight;
};

static struct task tasks[CAPACITY];
static u32 size;

static INLINE bool before(u64 a, u64 b)
{
	return (s64)(a - b) < 0;
}

// Global functions: Linux verifies them once and not at every call.
NOINLINE int push(u64 vtime, u32 id, u32 weight)
{
	u32 at = size;

	if (at >= CAPACITY)
		return -1;
	size = at + 1;
	for (int i = 0; i < DEPTH && at > 0; i++) {
		u32 parent = (at - 1) / 2;

		if (parent >= CAPACITY || at >= CAPACITY)
			return -1;
		if (!before(vtime, tasks[parent].vtime))
			break;
		tasks[at] = tasks[parent];
		at = parent;
	}
	if (at >= CAPACITY)
		return -1;
	tasks[at].vtime = vtime;
	tasks[at].id = id;
	tasks[at].weight = weight;
	return 0;
}

NOINLINE int pop(struct task *first)
{
	u32 n = size, at = 0;
	struct task last;

	if (!first || n == 0 || n > CAPACITY)
		return -1;
	size = --n;
	*first = tasks[0];
	last = tasks[n];
	for (int i = 0; i < DEPTH; i++) {
		u32 child = 2 * at + 1;

		if (child >= n || child >= CAPACITY - 1)
			break;
		if (child + 1 < n && before(tasks[child + 1].vtime, tasks[child].vtime))
			child++;
		if (!before(tasks[child].vtime, last.vtime))
			break;
		tasks[at] = tasks[child];
		at = child;
	}
	tasks[at] = last;
	return 0;
}

SEC("xdp")
int heap(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u64 now = *(u64 *)p;
	u32 ret = 0;

	size = 0;
	for (u32 i = 0; i < 160; i++) {
		u32 word = *(u32 *)(p + i * 6) * 0x9e3779b1;
		struct task t;

		if (push(now + (word >> 16), i, 1 + (word & 7)))
			ret ^= 0x55555555;
		// One out of 4 wake-ups finds every CPU busy; one has two idle.
		for (u32 idle = (word >> 8 & 3) == 0 ? 0 : (word >> 8 & 3) == 3 ? 2 : 1; idle > 0; idle--) {
			if (pop(&t))
				break;
			if (before(now, t.vtime))
				now = t.vtime;
			now += 4096 / t.weight;
			ret = ret * 31 + (t.id << 3 ^ FOLD(now));
		}
	}
	return ret ^ size;
}
