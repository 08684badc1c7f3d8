// SPDX-License-Identifier: Apache-2.0
//
// The traceparent header of W3C's Trace Context, as agents that instrument
// programs pass it on: 16 are made on the stack of binary ids, and read back as
// those of a request would be, with every character checked.
#include "../bench.h"

#define TRACE_ID 16
#define SPAN_ID 8
#define HEADER_LEN 55 // 00-<trace id>-<span id>-<flags>

struct context {
	u8 trace_id[TRACE_ID];
	u8 span_id[SPAN_ID];
	u8 flags;
};

static const char hex[] = "0123456789abcdef";

static INLINE void encode(char *to, const u8 *from, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		to[2 * i] = hex[from[i] >> 4];
		to[2 * i + 1] = hex[from[i] & 15];
	}
}

// digit returns what a lower-case hexadecimal digit stands for, or -1.
static INLINE int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

// decode reads 2n digits. It returns 0 if all of them are zero, or -1 if one is
// not valid.
static INLINE int decode(u8 *to, const char *from, u32 n)
{
	u8 any = 0;

	for (u32 i = 0; i < n; i++) {
		int high = digit(from[2 * i]), low = digit(from[2 * i + 1]);

		if (high < 0 || low < 0)
			return -1;
		to[i] = high << 4 | low;
		any |= to[i];
	}
	return any;
}

static NOINLINE void write_header(char *header, const struct context *c)
{
	header[0] = '0';
	header[1] = '0';
	header[2] = '-';
	encode(header + 3, c->trace_id, TRACE_ID);
	header[35] = '-';
	encode(header + 36, c->span_id, SPAN_ID);
	header[52] = '-';
	encode(header + 53, &c->flags, 1);
}

static NOINLINE int read_header(struct context *c, const char *header)
{
	u8 version;

	if (decode(&version, header, 1) < 0 || version == 0xff)
		return -1;
	if (header[2] != '-' || header[35] != '-' || header[52] != '-')
		return -1;
	if (decode(c->trace_id, header + 3, TRACE_ID) <= 0 || decode(c->span_id, header + 36, SPAN_ID) <= 0)
		return -1;
	if (decode(&c->flags, header + 53, 1) < 0)
		return -1;
	return c->flags & 1;
}

SEC("xdp")
int traceparent(struct xdp_md *ctx)
{
	PACKET(p, ctx);
	u32 ret = 0;

	for (u32 i = 0; i < 16; i++) {
		struct context parent, child;
		char header[HEADER_LEN + 1];
		int sampled;

		__builtin_memcpy(parent.trace_id, p + i * 61, TRACE_ID);
		__builtin_memcpy(parent.span_id, p + i * 61 + 20, SPAN_ID);
		parent.flags = p[i * 61 + 30] | 2;
		write_header(header, &parent);
		header[HEADER_LEN] = 0;
		if (p[i * 61 + 31] < 32) // one that was damaged on its way
			header[p[i * 61 + 31] & 31] ^= 0x20;
		sampled = read_header(&child, header);
		if (sampled < 0) {
			ret ^= 0x5bd1e995 + i;
			continue;
		}
		for (u32 j = 0; j < TRACE_ID; j++)
			ret = ret * 31 + child.trace_id[j];
		for (u32 j = 0; j < SPAN_ID; j++)
			ret = ret * 31 + child.span_id[j];
		ret += sampled;
	}
	return ret;
}
