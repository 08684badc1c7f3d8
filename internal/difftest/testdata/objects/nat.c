// SPDX-License-Identifier: Apache-2.0
//
// NAT and tunnels in tc, in the manner of CNI plug-ins: skb helpers, checksums, tail calls,
// scratch memory per CPU, global functions.
#include "objects.h"

struct tuple { be32 saddr, daddr; be16 sport, dport; u8 proto, dir; u16 pad; };
struct entry { be32 addr; be16 port; u16 flags; u64 packets; };
struct scratch { struct tuple tuple; u8 buf[1024]; u32 len; };

struct {
	NUM(type, BPF_MAP_TYPE_LRU_HASH);
	NUM(max_entries, 65536);
	TYPE(key, struct tuple);
	TYPE(value, struct entry);
} nat SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	NUM(max_entries, 1);
	TYPE(key, u32);
	TYPE(value, struct scratch);
} scratch SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_PROG_ARRAY);
	NUM(max_entries, 8);
	NUM(key_size, 4);
	NUM(value_size, 4);
} calls SEC(".maps");

struct {
	NUM(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	NUM(key_size, 4);
	NUM(value_size, 4);
} events SEC(".maps");

#define L3 14
#define L4 34

static INLINE bool pull(struct __sk_buff *skb, void **data, void **end, struct ipv4_hdr **ip)
{
	*data = DATA(skb);
	*end = DATA_END(skb);
	if (*data + L4 > *end) {
		if (bpf_skb_pull_data(skb, L4))
			return false;
		*data = DATA(skb);
		*end = DATA_END(skb);
		if (*data + L4 > *end)
			return false;
	}
	*ip = *data + L3;
	return true;
}

static NOINLINE int rewrite(struct __sk_buff *skb, struct entry *e, be32 old, be16 port, u32 csum)
{
	be32 addr = e->addr;
	be16 to = e->port;

	if (bpf_l3_csum_replace(skb, L3 + 10, old, addr, 4))
		return TC_ACT_SHOT;
	if (bpf_l4_csum_replace(skb, L4 + csum, old, addr, BPF_F_PSEUDO_HDR | 4))
		return TC_ACT_SHOT;
	if (bpf_l4_csum_replace(skb, L4 + csum, port, to, 2))
		return TC_ACT_SHOT;
	if (bpf_skb_store_bytes(skb, L3 + 12, &addr, 4, 0) || bpf_skb_store_bytes(skb, L4, &to, 2, 0))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

SEC("tc")
int snat(struct __sk_buff *skb)
{
	void *data, *end;
	struct ipv4_hdr *ip;
	struct tuple t = {};
	struct entry *e;
	struct tcp_hdr tcp;
	u32 csum;

	if (skb->protocol != htons(ETH_P_IP) || !pull(skb, &data, &end, &ip))
		return TC_ACT_OK;
	t.saddr = ip->saddr;
	t.daddr = ip->daddr;
	t.proto = ip->protocol;
	if (bpf_skb_load_bytes(skb, L4, &tcp, sizeof(tcp)))
		return TC_ACT_SHOT;
	t.sport = tcp.sport;
	t.dport = tcp.dport;
	e = bpf_map_lookup_elem(&nat, &t);
	if (!e)
		return TC_ACT_OK;
	__sync_fetch_and_add(&e->packets, 1);
	csum = t.proto == IPPROTO_TCP ? 16 : 6;
	return rewrite(skb, e, t.saddr, t.sport, csum);
}

// ip is of no use after the helper has changed the packet.
SEC("tc")
int wrong_stale(struct __sk_buff *skb)
{
	void *data, *end;
	struct ipv4_hdr *ip;
	be32 addr = 1;

	if (!pull(skb, &data, &end, &ip))
		return TC_ACT_OK;
	if (bpf_skb_store_bytes(skb, L3 + 12, &addr, 4, 0))
		return TC_ACT_SHOT;
	return ip->ttl == 1 ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("tc")
int vxlan(struct __sk_buff *skb)
{
	struct { struct ipv4_hdr ip; struct udp_hdr udp; u32 vx[2]; } hdr = {};
	u32 len = skb->len;

	if (len > 1500)
		return TC_ACT_SHOT;
	if (bpf_skb_adjust_room(skb, sizeof(hdr), BPF_ADJ_ROOM_MAC, 0))
		return TC_ACT_SHOT;
	hdr.ip.ver_ihl = 0x45;
	hdr.ip.tot_len = htons(len + sizeof(hdr));
	hdr.ip.protocol = IPPROTO_UDP;
	hdr.udp.dport = htons(4789);
	hdr.vx[0] = htonl(0x08000000);
	hdr.vx[1] = htonl(skb->mark << 8);
	hdr.ip.check = bpf_csum_diff(NULL, 0, (be32 *)&hdr.ip, 20, 0);
	if (bpf_skb_store_bytes(skb, L3, &hdr, sizeof(hdr), BPF_F_INVALIDATE_HASH))
		return TC_ACT_SHOT;
	return bpf_redirect(skb->ifindex, 0);
}

// The size of a checksum must be a multiple of four, at most the buffer.
SEC("tc")
int wrong_csum_size(struct __sk_buff *skb)
{
	be32 words[4] = {};
	u32 n = skb->mark;

	if (n > 20)
		return TC_ACT_OK;
	return bpf_csum_diff(words, n, NULL, 0, 0);
}

SEC("tc")
int copy_out(struct __sk_buff *skb)
{
	u32 zero = 0, n = skb->len;
	struct scratch *s = bpf_map_lookup_elem(&scratch, &zero);

	if (!s)
		return TC_ACT_SHOT;
	if (n > sizeof(s->buf))
		n = sizeof(s->buf);
	if (n < 1)
		return TC_ACT_OK;
	if (bpf_skb_load_bytes(skb, 0, s->buf, n))
		return TC_ACT_SHOT;
	s->len = n;
	bpf_perf_event_output(skb, &events, BPF_F_CURRENT_CPU | (u64)n << 32, s, sizeof(*s));
	return TC_ACT_OK;
}

// Nothing says that there is a byte to copy.
SEC("tc")
int wrong_zero_size(struct __sk_buff *skb)
{
	u32 zero = 0, n = skb->len;
	struct scratch *s = bpf_map_lookup_elem(&scratch, &zero);

	if (!s || n > sizeof(s->buf))
		return TC_ACT_SHOT;
	return bpf_skb_load_bytes(skb, 0, s->buf, n);
}

// The buffer is smaller than the bound.
SEC("tc")
int wrong_bound(struct __sk_buff *skb)
{
	u32 zero = 0, n = skb->len;
	struct scratch *s = bpf_map_lookup_elem(&scratch, &zero);

	if (!s || n < 1 || n > 1032)
		return TC_ACT_SHOT;
	return bpf_skb_load_bytes(skb, 0, s->buf, n);
}

// A signed length may be below zero.
SEC("tc")
int wrong_signed(struct __sk_buff *skb)
{
	u32 zero = 0;
	s32 n = skb->mark;
	struct scratch *s = bpf_map_lookup_elem(&scratch, &zero);

	if (!s || n > 1024)
		return TC_ACT_SHOT;
	return bpf_skb_load_bytes(skb, 0, s->buf, n);
}

SEC("tc")
int first(struct __sk_buff *skb)
{
	skb->cb[0] = skb->len;
	skb->cb[1] = 7;
	bpf_tail_call(skb, &calls, 1);
	return TC_ACT_SHOT;
}

SEC("tc")
int second(struct __sk_buff *skb)
{
	u32 i = skb->cb[1];

	bpf_tail_call(skb, &calls, i);
	return skb->cb[0] > 100 ? TC_ACT_OK : TC_ACT_SHOT;
}

// Not an array of programs.
SEC("tc")
int wrong_tail_map(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &nat, 0);
	return 0;
}

NOINLINE int parse_opts(struct tcp_hdr *tcp ARG_NONNULL, u8 *opts ARG_NONNULL, u32 kind)
{
	u32 sum = tcp->doff;

	return sum + *opts + kind;
}

SEC("tc")
int calls_global(struct __sk_buff *skb)
{
	struct tcp_hdr tcp;
	u8 opt = 2;

	if (bpf_skb_load_bytes(skb, L4, &tcp, sizeof(tcp)))
		return TC_ACT_SHOT;
	return parse_opts(&tcp, &opt, skb->mark);
}

NOINLINE int sum_tuple(struct tuple *t)
{
	if (!t)
		return -1;
	return t->saddr + t->sport;
}

NOINLINE int sum_wrong(struct tuple *t)
{
	return t->saddr + t->sport;
}

SEC("tc")
int calls_nullable(struct __sk_buff *skb)
{
	struct tuple t = { .saddr = skb->mark };

	return sum_tuple(&t) + sum_tuple(NULL);
}

// The global function does not compare its argument with null.
SEC("tc")
int wrong_global_null(struct __sk_buff *skb)
{
	struct tuple t = { .saddr = skb->mark };

	return sum_wrong(&t);
}

// Too little memory for the argument of a global function.
SEC("tc")
int wrong_global_size(struct __sk_buff *skb)
{
	u64 small = skb->mark;

	return sum_tuple((struct tuple *)&small);
}

NOINLINE int ctx_arg(struct __sk_buff *skb, int off)
{
	void *data = DATA(skb);

	if (data + 20 > DATA_END(skb))
		return 0;
	return *(u8 *)(data + (off & 15));
}

SEC("tc")
int calls_ctx(struct __sk_buff *skb)
{
	return ctx_arg(skb, skb->mark);
}

static NOINLINE int deep(u8 *p, int n)
{
	u8 buf[200];

	for (int i = 0; i < 200; i++)
		buf[i] = p[i & 7] + n;
	opaque(n);
	return buf[n & 127] + buf[7];
}

static NOINLINE int deeper(u8 *p, int n)
{
	u8 buf[200];

	for (int i = 0; i < 200; i++)
		buf[i] = i ^ n;
	return deep(buf, n) + buf[n & 127] + p[0];
}

// 400 bytes below the 200 of the entry's.
SEC("tc")
int wrong_stack_depth(struct __sk_buff *skb)
{
	u8 buf[200];

	for (int i = 0; i < 200; i++)
		buf[i] = skb->mark + i;
	return deeper(buf, skb->len) + buf[skb->len & 127];
}

SEC("tc")
int meta(struct __sk_buff *skb)
{
	u32 *meta = DATA_META(skb);

	if ((void *)(meta + 1) > DATA(skb))
		return TC_ACT_OK;
	skb->mark = *meta;
	skb->tc_classid = *meta >> 16;
	skb->tstamp = 0;
	return TC_ACT_OK;
}

// Fields that programs of tc cannot write.
SEC("tc")
int wrong_field(struct __sk_buff *skb)
{
	skb->len = 3;
	return TC_ACT_OK;
}

SEC("tc")
int sockets(struct __sk_buff *skb)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk;
	u32 mark = 0;

	t.ipv4.saddr = skb->mark;
	t.ipv4.dport = htons(80);
	sk = bpf_skc_lookup_tcp(skb, &t, sizeof(t.ipv4), -1, 0);
	if (!sk)
		return TC_ACT_OK;
	if (sk->state == 10)
		mark = bpf_sk_assign(skb, sk, 0);
	bpf_sk_release(sk);
	return mark ? TC_ACT_SHOT : TC_ACT_OK;
}

// The socket is never released on one path.
SEC("tc")
int wrong_leak(struct __sk_buff *skb)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk = bpf_sk_lookup_tcp(skb, &t, sizeof(t.ipv4), -1, 0);

	if (!sk)
		return TC_ACT_OK;
	if (sk->mark == 4)
		return TC_ACT_SHOT;
	bpf_sk_release(sk);
	return TC_ACT_OK;
}

// Used after it was released.
SEC("tc")
int wrong_after_release(struct __sk_buff *skb)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk = bpf_sk_lookup_udp(skb, &t, sizeof(t.ipv4), -1, 0);

	if (!sk)
		return TC_ACT_OK;
	bpf_sk_release(sk);
	return sk->mark;
}

// Released without a look whether there is one.
SEC("tc")
int wrong_release_null(struct __sk_buff *skb)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk = bpf_sk_lookup_udp(skb, &t, sizeof(t.ipv4), -1, 0);

	bpf_sk_release(sk);
	return 0;
}

// A tail call leaves the socket behind.
SEC("tc")
int wrong_tail_leak(struct __sk_buff *skb)
{
	struct bpf_sock_tuple t = {};
	struct bpf_sock *sk = bpf_sk_lookup_udp(skb, &t, sizeof(t.ipv4), -1, 0);

	if (!sk)
		return TC_ACT_OK;
	bpf_tail_call(skb, &calls, 1);
	bpf_sk_release(sk);
	return 0;
}

SEC("tc")
int own_socket(struct __sk_buff *skb)
{
	struct bpf_sock *sk = (void *)(long)skb->sk, *full;

	if (!sk)
		return TC_ACT_OK;
	full = bpf_sk_fullsock(sk);
	if (!full)
		return TC_ACT_OK;
	return full->priority + full->src_port;
}

// A field of full sockets only.
SEC("tc")
int wrong_common(struct __sk_buff *skb)
{
	struct bpf_sock *sk = (void *)(long)skb->sk;

	if (!sk)
		return TC_ACT_OK;
	return sk->mark;
}

LICENSE("GPL");
