// SPDX-License-Identifier: Apache-2.0
//
// Programs at sockets and cgroups: policy, redirection between sockets, options, sysctls,
// load balancing of listeners.
#include "objects.h"

struct bpf_sock_addr {
	u32 user_family, user_ip4, user_ip6[4], user_port, family, type, protocol, msg_src_ip4, msg_src_ip6[4];
	u64 sk ALIGNED(8);
};
struct bpf_sockopt { u64 sk ALIGNED(8), optval ALIGNED(8), optval_end ALIGNED(8); s32 level, optname, optlen, retval; };
struct bpf_sysctl { u32 write, file_pos; };
struct bpf_sock_ops {
	u32 op, args[4], family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port, is_fullsock;
};
struct sk_msg_md {
	u64 data ALIGNED(8), data_end ALIGNED(8);
	u32 family, remote_ip4, local_ip4, remote_ip6[4], local_ip6[4], remote_port, local_port, size;
	u64 sk ALIGNED(8);
};
struct sk_reuseport_md {
	u64 data ALIGNED(8), data_end ALIGNED(8);
	u32 len, eth_protocol, ip_protocol, bind_inany, hash;
	u64 sk ALIGNED(8), migrating_sk ALIGNED(8);
};
struct bpf_sk_lookup {
	u64 sk ALIGNED(8);
	u32 family, protocol, remote_ip4, remote_ip6[4];
	be16 remote_port;
	u16 zero;
	u32 local_ip4, local_ip6[4], local_port, ingress_ifindex;
};
struct bpf_flow_keys {
	u16 nhoff, thoff, addr_proto;
	u8 is_frag, is_first_frag, is_encap, ip_proto;
	be16 n_proto, sport, dport;
};
struct bpf_tcp_sock { u32 snd_cwnd, srtt_us; };
struct state { u64 seen; };
struct key { u32 ip, port; };

struct {
	NUM(type, BPF_MAP_TYPE_SOCKHASH);
	NUM(max_entries, 64);
	TYPE(key, struct key);
	TYPE(value, u64);
} hash SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_SOCKMAP);
	NUM(max_entries, 4);
	TYPE(key, u32);
	TYPE(value, u64);
} socks SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	NUM(max_entries, 4);
	TYPE(key, u32);
	TYPE(value, u64);
} listeners SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_SK_STORAGE);
	NUM(map_flags, BPF_F_NO_PREALLOC);
	TYPE(key, int);
	TYPE(value, struct state);
} storage SEC(".maps");

SEC("cgroup/connect4")
int connect(struct bpf_sock_addr *ctx)
{
	if (ctx->user_ip4 == htonl(0x0a600001) && ctx->user_port == htons(80)) {
		ctx->user_ip4 = htonl(0x7f000001);
		ctx->user_port = htons(8080);
	}
	return 1;
}

SEC("cgroup/connect4")
int wrong_connect_result(struct bpf_sock_addr *ctx)
{
	return 2;
}

SEC("cgroup/connect4")
int wrong_connect_field(struct bpf_sock_addr *ctx)
{
	ctx->user_ip6[0] = 0;
	return 1;
}

SEC("cgroup/recvmsg4")
int wrong_recvmsg(struct bpf_sock_addr *ctx)
{
	return 0;
}

SEC("cgroup/bind4")
int bind(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = (void *)(long)ctx->sk;

	return sk && sk->protocol == IPPROTO_TCP ? 3 : 0;
}

SEC("cgroup_skb/egress")
int egress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = (void *)(long)skb->sk;
	struct state *s;

	if (!sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 1;
	s = bpf_sk_storage_get(&storage, sk, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!s)
		return 1;
	s->seen += skb->len;
	return s->seen < 1000000;
}

SEC("cgroup_skb/ingress")
int wrong_ingress_result(struct __sk_buff *skb)
{
	return 2;
}

SEC("cgroup_skb/egress")
int wrong_storage_null(struct __sk_buff *skb)
{
	struct state *s = bpf_sk_storage_get(&storage, (void *)(long)skb->sk, NULL, 0);

	return s ? 1 : 0;
}

SEC("cgroup_skb/egress")
int rtt(struct __sk_buff *skb)
{
	struct bpf_sock *sk = (void *)(long)skb->sk;
	struct bpf_tcp_sock *tp;

	if (!sk)
		return 1;
	tp = bpf_tcp_sock(sk);
	return !tp || tp->srtt_us < 1000;
}

SEC("cgroup/getsockopt")
int getsockopt(struct bpf_sockopt *ctx)
{
	u8 *val = (void *)(long)ctx->optval, *end = (void *)(long)ctx->optval_end;

	if (ctx->level != 6 || val + 1 > end)
		return 1;
	val[0] = 7;
	ctx->retval = 0;
	ctx->optlen = 1;
	return 1;
}

SEC("cgroup/getsockopt")
int wrong_sockopt_bounds(struct bpf_sockopt *ctx)
{
	u8 *val = (void *)(long)ctx->optval;

	val[0] = 7;
	return 1;
}

SEC("cgroup/sysctl")
int sysctl(struct bpf_sysctl *ctx)
{
	static const char wanted[] = "net/ipv4/tcp_mem";
	char name[64];
	long n;

	if (ctx->write)
		return 0;
	n = bpf_sysctl_get_name(ctx, name, sizeof(name), 0);
	if (n != sizeof(wanted) - 1)
		return 1;
	for (int i = 0; i < sizeof(wanted); i++)
		if (name[i] != wanted[i])
			return 1;
	return 0;
}

SEC("cgroup/sysctl")
int wrong_sysctl_index(struct bpf_sysctl *ctx)
{
	char name[64];
	long n = bpf_sysctl_get_name(ctx, name, sizeof(name), 0);

	if (n < 0)
		return 0;
	return name[n] == 0;
}

SEC("sockops")
int ops(struct bpf_sock_ops *ctx)
{
	struct key k = {};

	if (ctx->op != 4 && ctx->op != 5)
		return 0;
	if (ctx->family != AF_INET)
		return 0;
	k.ip = ctx->remote_ip4;
	k.port = ctx->local_port;
	bpf_sock_hash_update(ctx, &hash, &k, BPF_NOEXIST);
	return 0;
}

SEC("sk_msg")
int msg(struct sk_msg_md *ctx)
{
	u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + 4 > end)
		return 1;
	if (data[0] == 'G')
		return bpf_msg_redirect_map(ctx, &socks, 0, 0);
	bpf_msg_apply_bytes(ctx, 4);
	return 1;
}

SEC("sk_msg")
int wrong_msg_stale(struct sk_msg_md *ctx)
{
	u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + 4 > end)
		return 1;
	bpf_msg_pull_data(ctx, 0, 8, 0);
	return data[0];
}

SEC("sk_skb/stream_verdict")
int verdict(struct __sk_buff *skb)
{
	u8 *data = DATA(skb);

	if (data + 1 > (u8 *)DATA_END(skb))
		return 1;
	return bpf_sk_redirect_map(skb, &socks, data[0] & 3, 0);
}

// A map of another kind.
SEC("sk_skb/stream_verdict")
int wrong_verdict_map(struct __sk_buff *skb)
{
	return bpf_sk_redirect_map(skb, &hash, 0, 0);
}

SEC("sk_reuseport")
int reuseport(struct sk_reuseport_md *ctx)
{
	u32 i = ctx->hash & 3;

	return bpf_sk_select_reuseport(ctx, &listeners, &i, 0) ? 0 : 1;
}

SEC("sk_lookup")
int steer(struct bpf_sk_lookup *ctx)
{
	u32 zero = 0;
	struct bpf_sock *sk;
	long err;

	if (ctx->protocol != IPPROTO_TCP || ctx->local_port != 7777)
		return 1;
	sk = bpf_map_lookup_elem(&socks, &zero);
	if (!sk)
		return 1;
	err = bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	return err ? 0 : 1;
}

SEC("sk_lookup")
int wrong_steer_leak(struct bpf_sk_lookup *ctx)
{
	u32 zero = 0;
	struct bpf_sock *sk = bpf_map_lookup_elem(&socks, &zero);

	if (!sk)
		return 1;
	return bpf_sk_assign(ctx, sk, 0) ? 0 : 1;
}

SEC("flow_dissector")
int dissect(struct __sk_buff *skb)
{
	struct bpf_flow_keys *keys = (void *)(long)skb->flow_keys;
	struct ipv4_hdr *ip = DATA(skb) + 14;

	if ((void *)(ip + 1) > DATA_END(skb))
		return 2;
	keys->ip_proto = ip->protocol;
	keys->thoff = keys->nhoff + 20;
	return 0;
}

SEC("flow_dissector")
int wrong_keys_bounds(struct __sk_buff *skb)
{
	struct bpf_flow_keys *keys = (void *)(long)skb->flow_keys;

	((u8 *)keys)[64] = 0;
	return 0;
}

SEC("netfilter")
int hook(struct { void *state, *skb; } *ctx)
{
	return ctx->skb ? 1 : 0;
}

SEC("socket")
int filter(struct __sk_buff *skb)
{
	u8 proto;

	if (bpf_skb_load_bytes(skb, 23, &proto, 1))
		return 0;
	return proto == IPPROTO_UDP ? -1 : 0;
}

// Filters of sockets read packets by helper only.
SEC("socket")
int wrong_filter_data(struct __sk_buff *skb)
{
	return skb->data;
}

LICENSE("GPL");
