// SPDX-License-Identifier: Apache-2.0
//
// Receive side scaling in software: the Toeplitz hash of the addresses and ports
// of sixteen frames, bit by bit, and the queue that an indirection table gives.
#include "../bench.h"

#define TUPLE_V4 12
#define TUPLE_V6 36

// Addresses and ports in network order.
struct tuple {
	u8 bytes[TUPLE_V6];
};

// The key of Microsoft's test vectors.
static const u8 key[40] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

// What user space sets before it loads the program.
static const volatile u8 indirection[32] = {
	0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 0, 1, 2, 3, 7, 6, 5, 4, 3, 2, 1, 0,
};

static u64 frames_of[8];

// A global function: Linux verifies it once and not at every call.
NOINLINE u32 toeplitz_hash(const struct tuple *t, u32 len)
{
	u32 window = key[0] << 24 | key[1] << 16 | key[2] << 8 | key[3];
	u32 hash = 0;

	if (!t)
		return 0;
	for (u32 i = 0; i < TUPLE_V6 && i < len; i++) {
		u32 byte = t->bytes[i], next = key[i + 4];

		for (int bit = 7; bit >= 0; bit--) {
			if (byte >> bit & 1)
				hash ^= window;
			window = window << 1 | (next >> bit & 1);
		}
	}
	return hash;
}

SEC("xdp")
int toeplitz(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 ret = 0;

	for (int i = 0; i < 8; i++)
		frames_of[i] = 0;
	for (u32 i = 0; i < 16; i++) {
		const u8 *frame = p + i * 64;
		u8 proto = frame[12], queue;
		u32 hash, len = TUPLE_V4;
		struct tuple t;

		if (proto == ETH_P_IPV6 >> 8)
			__builtin_memcpy(t.bytes, frame + 14 + 8, len = TUPLE_V6);
		else if (proto == ETH_P_8021Q >> 8)
			__builtin_memcpy(t.bytes, frame + 18 + 12, TUPLE_V4);
		else
			__builtin_memcpy(t.bytes, frame + 14 + 12, TUPLE_V4);
		hash = toeplitz_hash(&t, len);
		queue = indirection[(hash ^ i) % 32];
		frames_of[queue & 7]++;
		ret = ret * 31 + hash + queue;
	}
	for (int i = 0; i < 8; i++)
		ret = ret * 31 + frames_of[i];
	return ret;
}
