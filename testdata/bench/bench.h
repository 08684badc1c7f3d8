// SPDX-License-Identifier: Apache-2.0
//
// What every benchmark program has in common.

#include "bpf.h"

#define PACKET_LEN 1024

// PACKET declares p, the first byte of a packet of at least PACKET_LEN bytes.
#define PACKET(p, ctx)                                                        \
	u8 *p = DATA(ctx);                                                    \
	if (p + PACKET_LEN > (u8 *)DATA_END(ctx))                             \
		return XDP_ABORTED

// FOLD makes a 64-bit result the 32 bits that a test run reports.
#define FOLD(x) ((u32)((x) ^ (x) >> 32))

LICENSE("Apache-2.0");
