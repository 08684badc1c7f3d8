package verifier

import "github.com/sandbpf/sandbpf/internal/prog"

// checkAttach refuses programs of types that attach to something which is not there, and programs that
// may sleep where they cannot (check_attach_btf_id).
func (v *verifier) checkAttach() error {
	switch {
	case v.p.Type == prog.Custom:
		return nil
	case !v.leaks && needsPerfmon(v.p.Type):
		return v.failf(-1, CodePrivilege, errnoEPERM, "programs of type %v need CAP_PERFMON", v.p.Type)
	case !v.known:
		return v.failf(-1, CodeUnsupported, errnoEINVAL, "programs of type %v are not known", v.p.Type)
	case v.p.Type == prog.Syscall && !v.sleepable:
		return v.failf(-1, CodeAttach, errnoEINVAL, "programs of type syscall must be loaded as sleepable")
	case v.sleepable && !v.maySleep():
		return v.failf(-1, CodeAttach, errnoEINVAL, "only fentry, fexit, fmod_ret, iterator, LSM, uprobe, struct_ops and syscall programs may be sleepable")
	}
	return nil
}

// maySleep reports whether programs of the type may be sleepable (can_be_sleepable).
func (v *verifier) maySleep() bool {
	switch v.p.Type {
	case prog.Tracing:
		switch v.p.Attach {
		case attachFentry, attachFexit, attachModifyReturn, attachIter:
			return true
		}
		return false
	case prog.LSM, prog.Kprobe, prog.StructOps, prog.Syscall:
		return true
	}
	return false
}

// needsPerfmon reports whether programs of a type see what the kernel does (is_perfmon_prog_type).
func needsPerfmon(t prog.Type) bool {
	switch t {
	case prog.Kprobe, prog.Tracepoint, prog.PerfEvent, prog.RawTracepoint, prog.RawTracepointWritable, prog.Tracing, prog.LSM,
		prog.StructOps, prog.Extension:
		return true
	}
	return false
}
