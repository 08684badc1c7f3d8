// SPDX-License-Identifier: Apache-2.0
//
// bpf_strtol, bpf_strtoul and bpf_strncmp.
//
// Result: 0, or the number of the first line that went wrong. parsed[] holds the
// numbers, used[] the characters taken or the error.
#include "bpf.h"

long parsed[6];
long used[8];

SEC("tc")
int strto(struct __sk_buff *skb)
{
	const char decimal[] = "-1234 rest", hex[] = "0x7fff", octal[] = "0755";
	const char junk[] = "nonsense", large[] = "99999999999999999999";
	static const char same[] = "nonsense";
	unsigned long up;
	long n;

	n = 0;
	used[0] = bpf_strtol(decimal, sizeof(decimal) - 1, 0, &n);
	parsed[0] = n;
	if (n != -1234 || used[0] != 5)
		return 1;
	used[1] = bpf_strtol(hex, sizeof(hex) - 1, 0, &n);
	parsed[1] = n;
	if (n != 0x7fff || used[1] != 6)
		return 2;
	used[2] = bpf_strtol(octal, sizeof(octal) - 1, 0, &n);
	parsed[2] = n;
	if (n != 0755)
		return 3;
	used[3] = bpf_strtoul(decimal + 1, 4, 16, &up);
	parsed[3] = up;
	if (up != 0x1234)
		return 4;
	used[4] = bpf_strtol(junk, sizeof(junk) - 1, 10, &n);
	used[5] = bpf_strtoul(large, sizeof(large) - 1, 10, &up);
	used[6] = bpf_strtoul(decimal, sizeof(decimal) - 1, 10, &up);
	used[7] = bpf_strtol(decimal, sizeof(decimal) - 1, 3, &n);
	if (used[4] != -22 || used[5] != -34 || used[6] != -22 || used[7] != -22)
		return 5;
	if (bpf_strncmp(junk, sizeof(junk), same))
		return 6;
	return 0;
}

LICENSE("GPL");
