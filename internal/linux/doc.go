// Package linux holds what the verifier has to know of Linux 6.18 besides its
// helpers: how programs may access their contexts ([Ctx], [CtxOf], [SockAccess]), how they
// are loaded ([ValidAttach], [MaySleep], [LSM]), which kfuncs there are and who may call
// them ([KfuncByName]), and the kernel's own types ([Struct], [Tracepoint], [Iter],
// [MemberTrust], [RefKptr]).
//
// Nothing here is typed from memory. The tables are what a running kernel (6.18.44, x86-64)
// has answered to probes, what its BTF says, and where neither tells, what its sources
// register; each file says which. Tests ask the kernel again: a sample by default, all with
// -long; -update writes the files anew, which takes ten minutes.
//
//	ctx.txt        accesses to contexts and sockets        zz_ctx.go
//	args.txt       odd arguments of BTF tracepoints        zz_args.go
//	kfuncs.txt     kfuncs, flags, who may call them        zz_kfuncs.go
//	vmlinux.btf.z  the part of /sys/kernel/btf/vmlinux that programs can reach
//
// "go generate" makes the Go tables of the text files. vmlinux.btf.z is embedded, and
// inflated when the first type is asked for. All functions may be called by several
// goroutines at a time.
package linux
