package enginetest

import (
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/verifier"
)

// Tracer makes a proof of what a program was seen to do: it holds for runs that do the
// same, which is enough for tests. Accesses that no run has made are not proved.
type Tracer struct {
	Proof *verifier.Proof
	p     *prog.Program
	cpu   *vm.CPU
}

// NewTracer returns a tracer of runs of p on c.
func NewTracer(p *prog.Program, c *vm.CPU) *Tracer {
	t := &Tracer{Proof: &verifier.Proof{Insns: make([]verifier.InsnProof, len(p.Insns))}, p: p, cpu: c}
	for i := range t.Proof.Insns {
		t.Proof.Insns[i] = verifier.InsnProof{Seen: true, Taken: true, Falls: true, Map: -1}
	}
	return t
}

// Observe sees the registers before the instruction at slot is executed.
func (t *Tracer) Observe(slot int, r *[asm.NumRegisters]uint64) {
	ins := t.p.Insns[slot]
	info, err := ins.Info()
	if err != nil {
		return
	}
	base := ins.Dst
	switch info.Kind {
	case asm.KindLoad, asm.KindLoadAcquire:
		base = ins.Src
	case asm.KindStoreImm, asm.KindStoreReg, asm.KindAtomic, asm.KindStoreRelease:
	default:
		return
	}
	seen := t.classify(r[base]+uint64(int64(ins.Off)), info.Size.Bytes())
	a := &t.Proof.Insns[slot].Access
	switch {
	case a.Memory == verifier.MemNone:
		*a = seen
	case a.Memory != seen.Memory || !seen.Proved:
		a.Memory, a.Proved = verifier.MemMixed, false
	case a.Off != seen.Off:
		a.Const = false
	}
}

// classify says which memory an access is to.
func (t *Tracer) classify(addr uint64, size int) verifier.Access {
	if t.cpu.InCtx(addr) {
		return verifier.Access{Memory: verifier.MemCtx, Proved: true, Const: true, Off: int32(addr - t.cpu.CtxAddr())}
	}
	region, ok := t.cpu.Find(uintptr(addr))
	if !ok || !region.Contains(uintptr(addr), uintptr(size)) {
		return verifier.Access{Memory: verifier.MemMixed}
	}
	kinds := map[mem.Kind]verifier.Memory{mem.KindStack: verifier.MemStack, mem.KindPacket: verifier.MemPacket,
		mem.KindMeta: verifier.MemPacket, mem.KindMapValue: verifier.MemMapValue, mem.KindGlobal: verifier.MemMapValue}
	kind, ok := kinds[region.Kind]
	if !ok {
		kind = verifier.MemSized
	}
	return verifier.Access{Memory: kind, Proved: true, Map: -1, Frame: -1}
}
