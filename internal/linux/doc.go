// Package linux holds what the verifier has to know of Linux 6.18 besides its
// helpers: how programs may access their contexts ([Ctx], [SockAccess]), which kfuncs
// there are and who may call them ([KfuncByName]), and the kernel's own types
// ([Struct], [Tracepoint], [Iter]).
//
// Nothing here is typed from memory. The tables are what a running kernel (6.18, x86-64)
// has answered to probes, and what its BTF says; "go test -update" asks it again:
//
//	ctx.txt       accesses to contexts and sockets       zz_ctx.go
//	kfuncs.txt    kfuncs, flags, who may call them       zz_kfuncs.go
//	args.txt      arguments of BTF tracepoints           zz_args.go
//	vmlinux.btf.z the part of /sys/kernel/btf/vmlinux that programs can reach
//
// "go generate" makes the Go tables of the text files.
package linux
