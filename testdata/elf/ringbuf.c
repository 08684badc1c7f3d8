// SPDX-License-Identifier: Apache-2.0
//
// A ring buffer: reserve and submit, reserve and discard, output.
//
// Result: 0, or bits of what went wrong. Two records arrive: {the packet's
// length, 7 as u32, the first 8 bytes}, then the four bytes "tail". The discarded
// one does not.
#include "bpf.h"

struct event {
	u32 len;
	u32 kind;
	u8 head[8];
};

struct {
	NUM(type, BPF_MAP_TYPE_RINGBUF);
	NUM(max_entries, 4096);
} events SEC(".maps");

SEC("xdp")
int ringbuf(struct xdp_md *ctx)
{
	u8 *p = DATA(ctx);
	struct event *event;
	u8 tail[4] = {'t', 'a', 'i', 'l'};
	int wrong = 0;
	u64 *unused;

	if (p + 8 > (u8 *)DATA_END(ctx))
		return -1;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return 1;
	event->len = ctx->data_end - ctx->data;
	event->kind = 7;
	for (int i = 0; i < 8; i++)
		event->head[i] = p[i];
	bpf_ringbuf_submit(event, 0);

	unused = bpf_ringbuf_reserve(&events, sizeof(*unused), 0);
	if (!unused)
		wrong |= 2;
	else
		bpf_ringbuf_discard(unused, 0);
	if (bpf_ringbuf_output(&events, tail, sizeof(tail), 0))
		wrong |= 4;
	if (bpf_ringbuf_query(&events, 0) != 24 + 16 + 16) // available data, headers included
		wrong |= 8;
	if (bpf_ringbuf_query(&events, 1) != 4096)
		wrong |= 16;
	unused = bpf_ringbuf_reserve(&events, 4096, 0); // with its header, too large
	if (unused) {
		wrong |= 32;
		bpf_ringbuf_discard(unused, 0);
	}
	return wrong;
}

LICENSE("Apache-2.0");
