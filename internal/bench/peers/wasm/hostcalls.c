// SPDX-License-Identifier: Apache-2.0
//
// Calls of functions that the host has.
#include "bpf.h"

#define HOST(name) __attribute__((import_module("host"), import_name(#name))) u64 host_##name(u64 key)

HOST(nothing);
HOST(array_lookup);
HOST(hash_lookup);
HOST(hash_update);

// Spreads numbers over 32 bits.
#define KEY(i) ((u32)(i) * 0x9e3779b1u)

#define CALLS(name, key)                                                      \
	__attribute__((export_name(#name))) u64 name(u64 n)                   \
	{                                                                     \
		u64 sum = 0;                                                  \
		for (u64 i = 0; i < n; i++)                                   \
			sum += host_##name(key);                              \
		return sum;                                                   \
	}

CALLS(nothing, i)
CALLS(array_lookup, i)
CALLS(hash_lookup, KEY(i))
CALLS(hash_update, KEY(i))

__attribute__((export_name("empty"))) u64 empty(u64 n)
{
	return n;
}
