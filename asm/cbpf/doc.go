// Package cbpf reads, checks and prints classic BPF, the language of tcpdump
// filters, SO_ATTACH_FILTER and seccomp, and translates it to eBPF.
//
// A classic program has two 32-bit registers, A and X, and 16 words of scratch
// memory M[]. It starts with A = X = 0, jumps forward only and returns a 32-bit
// number: of a packet, how many bytes to keep, and 0 to drop it. A load outside
// of the packet and a division by an X of zero end it with 0.
//
//	prog, err := cbpf.Parse(text)                      // what tcpdump -ddd prints
//	insns, err := cbpf.Translate(prog, cbpf.SocketFilter)
//
// # Which classic BPF
//
// Linux's, since there are several. Where golang.org/x/net/bpf's VM computes
// something else, this package does as Linux:
//
//   - a shift by X takes X modulo 32 (the VM: 0 where X is 32 or more);
//   - the offset X + K of an indirect load wraps at 2^32 (the VM: it is outside
//     of the packet);
//   - neg works (the VM: an error);
//   - all of Linux's ancillary loads are known (the VM: the length only), and
//     the negative offsets SKF_NET_OFF and SKF_LL_OFF.
//
// # Security
//
// Programs and text may be hostile: functions return an error, do not panic,
// and allocate linearly in the size of their input.
package cbpf
