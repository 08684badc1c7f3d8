// SPDX-License-Identifier: Apache-2.0
//
// Programs that Linux refuses, each for one reason.
//
//   unchecked  reads the packet without comparing with data_end
//   no_null    uses a looked-up value without testing for NULL
//   endless    a loop whose end cannot be shown
//   leak       a ring-buffer record that is never given back
#include "bpf.h"

struct {
	NUM(type, BPF_MAP_TYPE_HASH);
	TYPE(key, u32);
	TYPE(value, u64);
	NUM(max_entries, 1);
} values SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_RINGBUF);
	NUM(max_entries, 4096);
} events SEC(".maps");

SEC("xdp")
int unchecked(struct xdp_md *ctx)
{
	return *(u8 *)DATA(ctx);
}

SEC("xdp")
int no_null(struct xdp_md *ctx)
{
	u32 key = 0;
	u64 *value = bpf_map_lookup_elem(&values, &key);

	return *value;
}

SEC("xdp")
int endless(struct xdp_md *ctx)
{
	u32 n = bpf_get_prandom_u32();

	while (n != 42) {
		n = n * 3 + 1;
		barrier();
	}
	return n;
}

SEC("xdp")
int leak(struct xdp_md *ctx)
{
	u64 *record = bpf_ringbuf_reserve(&events, 8, 0);

	if (record)
		*record = 1;
	return XDP_PASS;
}

LICENSE("GPL");
