// SPDX-License-Identifier: Apache-2.0
//
// Redirects. A test run does not deliver the packet; the verdict is the result.
//
// Results: xdp_if XDP_REDIRECT (4); xdp_map XDP_REDIRECT for slot 1, which has no
// device: the fallback in the flags, XDP_TX (3); tc_if, tc_peer, tc_neigh
// TC_ACT_REDIRECT (7); tc_bad_flags TC_ACT_SHOT (2).
#include "bpf.h"

struct {
	NUM(type, BPF_MAP_TYPE_DEVMAP);
	TYPE(key, u32);
	TYPE(value, u32);
	NUM(max_entries, 4);
} ports SEC(".maps");

SEC("xdp")
int xdp_map(struct xdp_md *ctx)
{
	return bpf_redirect_map(&ports, 1, XDP_TX);
}

SEC("xdp")
int xdp_if(struct xdp_md *ctx)
{
	return bpf_redirect(1, 0);
}

SEC("tc")
int tc_if(struct __sk_buff *skb)
{
	return bpf_redirect(1, BPF_F_INGRESS);
}

SEC("tc")
int tc_peer(struct __sk_buff *skb)
{
	return bpf_redirect_peer(1, 0);
}

SEC("tc")
int tc_neigh(struct __sk_buff *skb)
{
	return bpf_redirect_neigh(1, NULL, 0, 0);
}

SEC("tc")
int tc_bad_flags(struct __sk_buff *skb)
{
	return bpf_redirect(1, 0x80);
}

LICENSE("GPL");
