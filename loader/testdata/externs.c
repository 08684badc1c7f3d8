// SPDX-License-Identifier: Apache-2.0
// Externs of all kinds: kconfig of every type, typed and typeless kernel
// variables, kernel functions; weak and not.
#include "bpf.h"

enum libbpf_tristate { TRI_NO = 0, TRI_YES = 1, TRI_MODULE = 2 };

extern int LINUX_KERNEL_VERSION KCONFIG;
extern bool LINUX_HAS_BPF_COOKIE KCONFIG;
extern u64 CONFIG_HZ KCONFIG;
extern bool CONFIG_BPF KCONFIG;
extern enum libbpf_tristate CONFIG_XDP KCONFIG;
extern char CONFIG_LETTER KCONFIG;
extern const char CONFIG_HOST[16] KCONFIG;
extern int CONFIG_MISSING KCONFIG WEAK;

extern const void typeless KSYM;
extern const void typeless_weak KSYM WEAK;
struct rq {
	int cpu;
};
extern const struct rq runqueues KSYM;
extern const int typed_weak KSYM WEAK;

extern int bpf_strong(u32 x) KSYM;
extern int bpf_maybe(u32 x) KSYM WEAK;

SEC("tc")
int kconfig(struct __sk_buff *skb)
{
	return LINUX_KERNEL_VERSION + LINUX_HAS_BPF_COOKIE + CONFIG_HZ + CONFIG_BPF + CONFIG_XDP + CONFIG_LETTER +
	       CONFIG_HOST[0] + CONFIG_MISSING;
}

SEC("tc")
int ksyms(struct __sk_buff *skb)
{
	u64 sum = (u64)&typeless + (u64)&runqueues;
	if (&typeless_weak)
		sum++;
	if (&typed_weak)
		sum++;
	return sum;
}

SEC("tc")
int kfuncs(struct __sk_buff *skb)
{
	if (bpf_maybe)
		return bpf_maybe(1);
	return bpf_strong(2);
}

LICENSE("GPL");
