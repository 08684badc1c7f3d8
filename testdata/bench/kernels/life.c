// SPDX-License-Identifier: Apache-2.0
//
// Conway's Game of Life on a torus of 16 rows of 64 cells, a bit each, seeded by the
// packet, for 12 generations: 64-bit logic, rows loaded from and stored to the stack.
#include "../bench.h"

#define ROWS 16
#define LEFT(x) ((x) << 1 | (x) >> 63)
#define RIGHT(x) ((x) >> 1 | (x) << 63)

// generation computes the rows that follow: sums of three cells in binary (low and
// high), and of those of three rows.
static INLINE void generation(const u64 *old, u64 *new)
{
	for (int i = 0; i < ROWS; i++) {
		u64 a = old[(i - 1) & 15], b = old[i], c = old[(i + 1) & 15];
		u64 la = LEFT(a), lb = LEFT(b), lc = LEFT(c);
		u64 ra = RIGHT(a), rb = RIGHT(b), rc = RIGHT(c);
		u64 low_a = la ^ a ^ ra, high_a = (la & a) | (ra & (la ^ a));
		u64 low_b = lb ^ rb, high_b = lb & rb;
		u64 low_c = lc ^ c ^ rc, high_c = (lc & c) | (rc & (lc ^ c));
		u64 ones = low_a ^ low_b ^ low_c;
		u64 carry = (low_a & low_b) | (low_c & (low_a ^ low_b));
		u64 two = high_a ^ high_b ^ high_c ^ carry;
		u64 four = (high_a & high_b) | (high_c & carry) |
			   ((high_a ^ high_b) & (high_c ^ carry));

		new[i] = two & ~four & (ones | b);
	}
}

SEC("xdp")
int life(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u64 rows[ROWS], next[ROWS];
	u64 sum = 0;

	for (int i = 0; i < ROWS; i++)
		rows[i] = *(u64 *)(p + i * 64) ^ *(u64 *)(p + i * 56 + 24) << 3;
	for (int i = 0; i < 6; i++) {
		generation(rows, next);
		generation(next, rows);
	}
	for (int i = 0; i < ROWS; i++)
		sum = sum * 31 + rows[i];
	return FOLD(sum);
}
