// SPDX-License-Identifier: Apache-2.0
//
// bpf_probe_read_kernel and bpf_probe_read_kernel_str: copies from an address
// that is not checked before, which fail and do not fault.
//
// Result: 0, or the number of the first line that went wrong.
#include "bpf.h"

u64 source = 0x0123456789abcdefULL;
char name[16] = "a name";

SEC("tc")
int probe_read(struct __sk_buff *skb)
{
	u64 copy = 0;
	char text[16], cut[4];

	if (bpf_probe_read_kernel(&copy, sizeof(copy), &source) || copy != source)
		return 1;
	if (bpf_probe_read_kernel(&copy, sizeof(copy), NULL) != -14 || copy != 0)
		return 2;
	if (bpf_probe_read_kernel_str(text, sizeof(text), name) != 7 || text[5] != 'e' || text[6])
		return 3;
	if (bpf_probe_read_kernel_str(cut, sizeof(cut), name) != 4 || cut[2] != 'n' || cut[3])
		return 4;
	if (bpf_probe_read_kernel_str(cut, sizeof(cut), (void *)8) != -14)
		return 5;
	return 0;
}

LICENSE("GPL");
