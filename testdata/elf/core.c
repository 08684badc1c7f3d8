// SPDX-License-Identifier: Apache-2.0
//
// CO-RE relocations of every kind against types of its own. Relocated against
// its own types nothing moves; against core_target.o fields have moved, grown,
// gone and come.
//
// Results:
//   read_field  flow.port of a flow laid over what follows the Ethernet header: two
//               bytes at offset 8 as compiled, 24 in the target, in the machine's
//               order; -1 if there are not 40 bytes
//   facts       a hash of seen[]: the offset of port, the size of addr, whether port
//               is signed; the offsets of addr.low and of counters[2]; whether port,
//               gone, struct removed and KIND_C exist; the size of flow; the value of
//               KIND_B
#include "bpf.h"

#define CORE __attribute__((preserve_access_index))
#define field(f, kind) __builtin_preserve_field_info(((struct flow *)0)->f, kind)
#define FIELD_OFFSET 0
#define FIELD_SIZE 1
#define FIELD_EXISTS 2
#define FIELD_SIGNED 3
#define TYPE_EXISTS 0
#define TYPE_SIZE 1

struct addr {
	u32 high;
	u32 low;
} CORE;

struct flow {
	struct addr addr;
	u16 port;
	u8 gone;
	u64 counters[4];
} CORE;

struct removed {
	int x;
} CORE;

enum kind { KIND_A = 1, KIND_B = 2, KIND_C = 3 };

u32 seen[12];

SEC("xdp")
int read_field(struct xdp_md *ctx)
{
	struct flow *flow = DATA(ctx) + 14;

	if ((void *)flow + 40 > DATA_END(ctx))
		return -1;
	return flow->port;
}

SEC("xdp")
int facts(struct xdp_md *ctx)
{
	u32 hash = 0;

	seen[0] = field(port, FIELD_OFFSET);
	seen[1] = field(addr, FIELD_SIZE);
	seen[2] = field(port, FIELD_SIGNED);
	seen[3] = field(addr.low, FIELD_OFFSET);
	seen[4] = field(counters[2], FIELD_OFFSET);
	seen[5] = field(port, FIELD_EXISTS);
	seen[6] = field(gone, FIELD_EXISTS);
	seen[7] = __builtin_preserve_type_info(*(struct removed *)0, TYPE_EXISTS);
	seen[8] = __builtin_preserve_enum_value(*(typeof(enum kind) *)KIND_C, 0);
	seen[9] = __builtin_preserve_type_info(*(struct flow *)0, TYPE_SIZE);
	seen[10] = __builtin_preserve_enum_value(*(typeof(enum kind) *)KIND_B, 1);
	for (int i = 0; i < 12; i++)
		hash = hash * 31 + seen[i];
	return hash;
}

LICENSE("Apache-2.0");
