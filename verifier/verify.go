package verifier

import "github.com/sandbpf/sandbpf/internal/prog"

// Verify returns what is known of p, or an [*Error] that says why Linux would refuse it.
// It checks everything: p need not have passed [prog.Program.Check], its instructions may
// be anything. Of p.Funcs it uses names, linkage and types of functions that start where a
// function starts; without any, all are static functions of unknown type.
func Verify(p *prog.Program, env *Env) (*Proof, error) {
	return nil, &Error{Code: CodeInternalError, Insn: -1, Prog: p.Name, Reason: "not written yet"}
}
