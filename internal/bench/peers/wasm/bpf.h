// SPDX-License-Identifier: Apache-2.0
//
// testdata/include/bpf.h for the benchmark programs compiled to WebAssembly:
// the pointers in their context have 32 bits there as well.

#include "../../../../testdata/include/bpf.h"

#undef SEC
#define SEC(name) __attribute__((visibility("default")))
#undef LICENSE
#define LICENSE(text) static char _license[] __attribute__((unused)) = text

// The packet lies in the memory of the module, where the host writes it.
u8 packet[1024];
