// SPDX-License-Identifier: Apache-2.0
//
// Formatted output: bpf_snprintf with every kind of conversion that needs no
// kernel address, and bpf_trace_printk.
//
// Results: format the length of the text including the final zero; text holds it.
// cut the length that would have been needed; text cut to 7 letters. trace the
// length that bpf_trace_printk returns.
#include "bpf.h"

char text[64];
static const char layout[] = "%d %u %x %llx %s %c %% %5d|%-5d|%05d %lld";
static const char short_layout[] = "%s, %s";
static const char word[] = "word";

// Opaque, or clang makes the arguments a constant with the address in it, which
// loaders do not fill in.
#define pointer_to(s)                                                         \
	({                                                                    \
		const char *p = (s);                                          \
		opaque(p);                                                    \
		p;                                                            \
	})

SEC("xdp")
int format(struct xdp_md *ctx)
{
	const char *string = pointer_to(word);
	u64 args[] = {-1, 4000000000, 0xbeef, 0x123456789abcdef0, (u64)(long)string, 'z',
		      42, 42, 42, -5000000000};

	return bpf_snprintf(text, sizeof(text), layout, args, sizeof(args));
}

SEC("xdp")
int cut(struct xdp_md *ctx)
{
	const char *string = pointer_to(word);
	u64 args[] = {(u64)(long)string, (u64)(long)string};

	return bpf_snprintf(text, 8, short_layout, args, sizeof(args));
}

SEC("xdp")
int trace(struct xdp_md *ctx)
{
	const char fmt[] = "len %u of %d\n";

	return bpf_trace_printk(fmt, sizeof(fmt), ctx->data_end - ctx->data, 7);
}

LICENSE("GPL");
