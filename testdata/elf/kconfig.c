// SPDX-License-Identifier: Apache-2.0
//
// External settings of the kernel's configuration: its version, a number, a
// boolean and a tristate.
//
// Result: bits: 1 the version is at least 5.10, 2 CONFIG_HZ is one of 100, 250,
// 300 and 1000, 4 CONFIG_BPF is set, 8 CONFIG_NET is built in. So 15 on any kernel
// that runs this.
#include "bpf.h"

enum libbpf_tristate { TRI_NO, TRI_YES, TRI_MODULE };

extern unsigned int LINUX_KERNEL_VERSION KCONFIG;
extern unsigned int CONFIG_HZ KCONFIG;
extern bool CONFIG_BPF KCONFIG;
extern enum libbpf_tristate CONFIG_NET KCONFIG;

SEC("xdp")
int kconfig(struct xdp_md *ctx)
{
	u32 ret = 0, hz = CONFIG_HZ;

	ret |= LINUX_KERNEL_VERSION >= (5 << 16 | 10 << 8);
	ret |= (hz == 100 || hz == 250 || hz == 300 || hz == 1000) << 1;
	ret |= CONFIG_BPF << 2;
	ret |= (CONFIG_NET == TRI_YES) << 3;
	return ret;
}

LICENSE("GPL");
