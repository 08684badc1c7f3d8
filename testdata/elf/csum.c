// SPDX-License-Identifier: Apache-2.0
//
// Checksums with bpf_csum_diff: of a header from nothing, of a change, of a
// removal.
//
// Results: whole the checksum over the first 20 bytes of an IPv4 header, 0 if it is
// right and there are no options; change 0, since updating the checksum by the
// difference that a new TTL makes equals computing it anew; both 65535 if the
// packet is not IPv4; remove 1, since taking out what was added leaves the seed.
#include "bpf.h"

static INLINE u16 fold(u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static INLINE bool header(struct xdp_md *ctx, struct ipv4_hdr *ip)
{
	struct eth_hdr *eth = DATA(ctx);
	struct ipv4_hdr *in = (void *)(eth + 1);

	if ((void *)(in + 1) > DATA_END(ctx) || eth->proto != htons(ETH_P_IP))
		return false;
	*ip = *in;
	return true;
}

SEC("xdp")
int whole(struct xdp_md *ctx)
{
	struct ipv4_hdr ip;

	if (!header(ctx, &ip))
		return 65535;
	return fold((u32)bpf_csum_diff(NULL, 0, (be32 *)&ip, sizeof(ip), 0));
}

SEC("xdp")
int change(struct xdp_md *ctx)
{
	struct ipv4_hdr ip, was;
	u16 old, updated, anew;

	if (!header(ctx, &ip))
		return 65535;
	ip.check = 0;
	was = ip;
	ip.ttl = 7;
	old = fold((u32)bpf_csum_diff(NULL, 0, (be32 *)&was, sizeof(was), 0));
	updated = fold((u32)bpf_csum_diff((be32 *)&was, sizeof(was), (be32 *)&ip, sizeof(ip), (u16)~old));
	anew = fold((u32)bpf_csum_diff(NULL, 0, (be32 *)&ip, sizeof(ip), 0));
	return updated != anew;
}

SEC("xdp")
int remove(struct xdp_md *ctx)
{
	be32 words[4] = {htonl(0x01020304), htonl(0xfffefdfc), 0, htonl(0x80000000)};
	u32 sum = bpf_csum_diff(NULL, 0, words, sizeof(words), 0x1234);

	return fold((u32)bpf_csum_diff(words, sizeof(words), NULL, 0, sum)) == (u16)~0x1234;
}

LICENSE("Apache-2.0");
