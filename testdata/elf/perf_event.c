// SPDX-License-Identifier: Apache-2.0
//
// bpf_perf_event_output, with and without bytes of the packet after the record.
//
// Results: output_record 0, and one event {the packet's length, 0x5a5a5a5a};
// output_packet 0, and one event of the same record followed by the packet's
// first 16 bytes, or 14 (EFAULT, negated) if it has fewer; no_slot 7 (E2BIG,
// negated), since there is no slot 4096.
#include "bpf.h"

struct {
	NUM(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	TYPE(key, u32);
	TYPE(value, u32);
	NUM(max_entries, 128);
} events SEC(".maps");

struct record {
	u32 len;
	u32 magic;
};

SEC("xdp")
int output_record(struct xdp_md *ctx)
{
	struct record r = {ctx->data_end - ctx->data, 0x5a5a5a5a};

	return -bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &r, sizeof(r));
}

SEC("xdp")
int output_packet(struct xdp_md *ctx)
{
	struct record r = {ctx->data_end - ctx->data, 0x5a5a5a5a};

	return -bpf_perf_event_output(ctx, &events, 16ULL << 32 | BPF_F_CURRENT_CPU, &r, sizeof(r));
}

SEC("xdp")
int no_slot(struct xdp_md *ctx)
{
	struct record r = {};

	return -bpf_perf_event_output(ctx, &events, 4096, &r, sizeof(r));
}

LICENSE("GPL");
