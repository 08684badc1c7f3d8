// SPDX-License-Identifier: Apache-2.0
//
// Weak kernel symbols: a function that no kernel has, called only if it is there,
// and a variable that no kernel has.
//
// Result: 2, since neither is there.
#include "bpf.h"

extern int sandbpf_no_such_kfunc(int value) KSYM WEAK;
extern void sandbpf_no_such_variable KSYM WEAK;

SEC("tc")
int ksym(struct __sk_buff *skb)
{
	if (sandbpf_no_such_kfunc)
		return sandbpf_no_such_kfunc(1);
	return &sandbpf_no_such_variable ? 1 : 2;
}

LICENSE("GPL");
