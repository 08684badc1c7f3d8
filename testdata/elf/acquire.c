// SPDX-License-Identifier: Apache-2.0
//
// Load-acquire and store-release of 8, 16, 32 and 64 bits, encoded by hand since
// not every clang knows them. Linux has them from 6.15 on.
//
// Result: 0, or bits of what went wrong; cell holds 0x1122334455667788.
#include "bpf.h"

u64 cell;

// An atomic instruction, opcode 0xc3 | size, imm 0x100 (load) or 0x110 (store),
// with r1 as the address and r2 as the value.
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOAD_REGS "0x12"
#define STORE_REGS "0x21"
#else
#define LOAD_REGS "0x21"
#define STORE_REGS "0x12"
#endif

#define load_acquire(opcode, p)                                               \
	({                                                                    \
		register volatile void *from asm("r1") = (p);                 \
		register u64 to asm("r2");                                    \
		asm volatile(".byte " opcode ", " LOAD_REGS "; .short 0; .long 0x100" \
			     : "=r"(to)                                       \
			     : "r"(from)                                      \
			     : "memory");                                     \
		to;                                                           \
	})
#define store_release(opcode, p, v)                                           \
	({                                                                    \
		register volatile void *to asm("r1") = (p);                   \
		register u64 value asm("r2") = (v);                           \
		asm volatile(".byte " opcode ", " STORE_REGS "; .short 0; .long 0x110" \
			     :                                                \
			     : "r"(to), "r"(value)                            \
			     : "memory");                                     \
	})

#define B "0xd3"
#define H "0xcb"
#define W "0xc3"
#define DW "0xdb"

SEC("xdp")
int acquire(struct xdp_md *ctx)
{
	u64 local = ~0ULL;
	int wrong = 0;

	store_release(DW, &cell, 0x1122334455667788ULL);
	if (load_acquire(DW, &cell) != 0x1122334455667788ULL)
		wrong |= 1;
	store_release(W, &local, 0xaabbccdd);
	if (load_acquire(W, &local) != 0xaabbccdd)
		wrong |= 2;
	store_release(H, &local, 0x1234);
	if (load_acquire(H, &local) != 0x1234)
		wrong |= 4;
	store_release(B, &local, 0x7f);
	if (load_acquire(B, &local) != 0x7f)
		wrong |= 8;
	return wrong;
}

LICENSE("Apache-2.0");
