// SPDX-License-Identifier: Apache-2.0
//
// The types that core.o is relocated against: the same names laid out another way.
// It is not a program to run, so it has none: only its BTF is of use.
#include "bpf.h"

struct addr {
	u64 scope;
	u32 high;
	u32 low;
};

struct flow {
	u32 added;
	struct addr addr;
	u16 port;
	u64 counters[8];
};

enum kind { KIND_A = 10, KIND_B = 20 };

struct flow kept;
enum kind kept_too;

LICENSE("Apache-2.0");
