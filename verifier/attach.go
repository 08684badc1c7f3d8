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
	case v.ctx == nil && (v.p.Type == prog.Tracing || v.p.Type == prog.LSM || v.p.Type == prog.StructOps):
		return v.failf(-1, CodeUnsupported, errnoEINVAL, "%s", v.noTarget())
	case v.p.Type == prog.Syscall && !v.sleepable:
		return v.failf(-1, CodeAttach, errnoEINVAL, "programs of type syscall must be loaded as sleepable")
	case v.sleepable && !v.maySleep():
		return v.failf(-1, CodeAttach, errnoEINVAL, "only fentry, fexit, fmod_ret, iterator, LSM, uprobe, struct_ops and syscall programs may be sleepable")
	}
	return nil
}

// noTarget says what is missing to verify a program at a function: the types of its arguments.
func (v *verifier) noTarget() string {
	switch {
	case v.p.Type == prog.StructOps:
		return "unsupported: it is not known which member of which struct of functions the program is to be"
	case v.p.Target == "":
		return "unsupported: the target's types are not known: the section does not name what the program attaches to"
	case v.p.Type == prog.LSM:
		return "there is no LSM hook " + v.p.Target
	case v.p.Attach == attachRawTP:
		return "there is no BTF tracepoint " + v.p.Target
	case v.p.Attach == attachIter:
		return "there is no iterator " + v.p.Target
	}
	return "unsupported: the target's types are not known: " + v.p.Target +
		" is not one of the functions of Linux that have them here; it may be one of another program"
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
