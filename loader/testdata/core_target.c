// SPDX-License-Identifier: Apache-2.0
// The types that core.c is relocated against.
#include "bpf.h"

struct before {
	int x;
};

struct task {
	u64 first;
	s16 bits : 3;
	u16 moved;
	u32 pid;
	u64 more[4];
};

enum state { STOPPED = 77, RUNNING = 78 };

struct before b;
struct task t;
enum state s;
