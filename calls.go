package sandbpf

import (
	"errors"
	"fmt"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/verifier"
)

// checkCalls makes sure that all that the program calls is there and that it may
// call it. The error is a [*CallError]. Code that is proved to be dead may call what it
// likes, as in Linux.
func checkCalls(p *prog.Program, hook *hooks.Type, proof *verifier.Proof) error {
	for slot, ins := range p.Insns {
		if proof != nil && !proof.Insns[slot].Seen {
			continue
		}
		if ins.Kind() == asm.KindCallKfunc && p.Kfuncs[ins.Imm].Weak {
			continue // an error if it is reached
		}
		if err := checkCall(p, hook, slot); err != nil {
			return err
		}
	}
	for _, e := range p.Externs {
		if !e.Weak { // a weak one is not there: its address is 0
			return externError(p, e.Name)
		}
	}
	return nil
}

// checkCall is checkCalls for one instruction, which may be no call.
func checkCall(p *prog.Program, hook *hooks.Type, slot int) error {
	var err *CallError
	switch ins := p.Insns[slot]; ins.Kind() {
	case asm.KindCallHelper:
		err = checkHelper(p, hook, asm.BuiltinFunc(ins.ImmLo()))
	case asm.KindCallKfunc:
		err = &CallError{Func: p.Kfuncs[ins.Imm].Name, Err: ErrNotSupported, Reason: "kernel functions cannot be called"}
	}
	if err == nil {
		return nil
	}
	err.Program, err.Slot, err.Line = p.Name, slot, p.LineAt(slot)
	return err
}

// unsupported returns an error if the instruction is one that Linux has and the sandbox has not.
func unsupported(p *prog.Program, hook *hooks.Type, slot int) error {
	switch ins := p.Insns[slot]; {
	case ins.Kind() == asm.KindAddrSpaceCast:
		return fmt.Errorf("program %s: instruction %d: %w: arenas are not supported", p.Name, slot, ErrNotSupported)
	case ins.Kind() == asm.KindLoadImm64 && ins.Src == asm.PseudoBTFID:
		return externError(p, p.Externs[ins.ImmLo()].Name)
	}
	if err := checkCall(p, hook, slot); errors.Is(err, ErrNotSupported) {
		return err
	}
	return nil
}

func externError(p *prog.Program, name string) error {
	return fmt.Errorf("program %s: kernel variable %s: %w", p.Name, name, ErrNotSupported)
}

func checkHelper(p *prog.Program, hook *hooks.Type, fn asm.BuiltinFunc) *CallError {
	if hook.CustomHelper(fn) != nil {
		return nil
	}
	proto, ok := helper.Get(fn)
	switch {
	case fn == prog.FailedRelocation:
		return nil // an error if it is reached
	case !ok:
		return &CallError{Func: fmt.Sprintf("helper#%d", int32(fn)), Err: ErrUnknownHelper}
	case !allowed(p, hook, proto):
		return &CallError{Func: proto.String(), Err: ErrNotAllowed, Reason: "not for programs of " + hook.Name}
	case proto.GPL && !p.GPL():
		return &CallError{Func: proto.String(), Err: ErrNotAllowed,
			Reason: fmt.Sprintf("only for programs with a GPL-compatible licence, this one has %q", p.License)}
	case proto.Sleeps && !p.Sleep:
		return &CallError{Func: proto.String(), Err: ErrNotAllowed, Reason: "only for sleepable programs"}
	case fn != asm.FnTailCall && helper.Bodies(fn) == nil:
		return &CallError{Func: proto.String(), Err: ErrNotSupported}
	}
	return nil
}

// allowed reports whether programs of a hook may call a helper. Hooks that Linux
// does not have allow what Linux allows a kprobe.
func allowed(p *prog.Program, hook *hooks.Type, proto *helper.Proto) bool {
	if hook.Prog == prog.Custom || hook.Prog == prog.Unspec {
		return hook.Allows(proto.ID) && proto.Allowed(prog.Kprobe, 0, "")
	}
	return proto.Allowed(p.Type, p.Attach, p.Target)
}

// bodyOf returns what finds the body of a helper for programs of a hook.
func bodyOf(hook *hooks.Type) func(asm.BuiltinFunc) vm.Helper {
	return func(fn asm.BuiltinFunc) vm.Helper {
		if h := hook.CustomHelper(fn); h != nil {
			return h.Body
		}
		return helper.Bodies(fn)
	}
}
