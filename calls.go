package sandbpf

import (
	"fmt"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/verifier"
)

// checkCalls makes sure that all that the program calls is there and that it may
// call it. The error is a [*CallError].
// Code that is proved to be dead may call what it likes, as in Linux.
func checkCalls(p *prog.Program, hook *hooks.Type, proof *verifier.Proof) error {
	for slot, ins := range p.Insns {
		if proof != nil && !proof.Insns[slot].Seen {
			continue
		}
		var err *CallError
		switch ins.Kind() {
		case asm.KindCallHelper:
			err = checkHelper(p, hook, asm.BuiltinFunc(ins.ImmLo()))
		case asm.KindCallKfunc:
			if fn := p.Kfuncs[ins.Imm]; !fn.Weak { // a weak one is an error if it is reached
				err = &CallError{Func: fn.Name, Err: ErrNotSupported, Reason: "kernel functions cannot be called"}
			}
		}
		if err != nil {
			err.Program, err.Slot, err.Line = p.Name, slot, p.LineAt(slot)
			return err
		}
	}
	for _, e := range p.Externs {
		if !e.Weak { // a weak one is not there: its address is 0
			return fmt.Errorf("program %s: kernel variable %s: %w", p.Name, e.Name, ErrNotSupported)
		}
	}
	return nil
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
