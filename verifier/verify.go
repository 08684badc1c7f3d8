package verifier

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/linux"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// Verify returns what is known of p, or an [*Error] that says why Linux would refuse it.
// It checks everything: p need not have passed [prog.Program.Check], its instructions may
// be anything. Of p.Funcs it uses names, linkage and types of functions that start where a
// function starts; without any, all are static functions of unknown type. A nil env is the zero Env.
func Verify(p *prog.Program, env *Env) (*Proof, error) {
	if env == nil {
		env = &Env{}
	}
	switch {
	case p == nil:
		return nil, errors.New("verifier: nil Program")
	case slices.Contains(env.Maps, nil):
		return nil, fmt.Errorf("verifier: program %s: nil Map in Env", p.Name)
	}
	started := time.Now()
	v := pool.Get().(*verifier)
	v.begin(p, env)
	err := v.verify()
	v.stats.Micros, v.stats.Processed = time.Since(started).Microseconds(), v.processed
	proof, stats := v.proof, v.stats
	v.proof = nil
	err = v.finish(err)
	v.log.end(err)
	v.end()
	pool.Put(v)
	if err != nil {
		return nil, err
	}
	proof.Stats = stats
	proof.Stats.StackDepth = slices.Clone(stats.StackDepth)
	return proof, nil
}

// pool keeps the memory of verifications for the next ones.
var pool = sync.Pool{New: func() any { return new(verifier) }}

// Numbers of errors, as bpf(2) returns them on Linux.
const (
	errnoEPERM    = 1
	errnoENOENT   = 2
	errnoE2BIG    = 7
	errnoEBADF    = 9
	errnoENOMEM   = 12
	errnoEACCES   = 13
	errnoEFAULT   = 14
	errnoEBUSY    = 16
	errnoEINVAL   = 22
	errnoERANGE   = 34
	errnoEPROTO   = 71
	errnoENOTSUPP = 524
)

// verifier is the state of a verification.
type verifier struct {
	p   *prog.Program
	env *Env

	// What the program is and may do.
	variant    helper.Variant
	known      bool // it is a program type of Linux, variant says which
	ctx        *linux.Context
	gpl        bool
	sleepable  bool
	leaks      bool // kernel addresses may be seen (CAP_PERFMON)
	strict     bool // all accesses must be aligned
	seesPacket bool
	writesPkt  bool

	insns   []insn
	backs   []uint16 // see backOf; the way back looks at little else
	funcs   []subprog
	maps    []*mapInfo // those of the program, then what is derived from them
	numMaps int        // those of the program
	types   []*prog.BTFType
	typeOf  map[*prog.BTFType]uint32
	objects map[*prog.BTFType][]field // special fields of types of objects
	effects []stackEffect
	ints    []int
	sccs    int

	jumpsTo  []int32 // by instruction: one more than the last jump there,
	nextJump []int32 // and by that jump the one before it; 0: none

	anyTailCall bool
	usesArena   bool // the program refers to an arena

	maskings     map[int]masking // without CAP_PERFMON, by instruction
	limitsMatter bool            // some instruction is masked by what depends on the path

	// The walk.
	cur        *state
	insnIdx    int
	prevIdx    int
	pending    []pendingState
	ids        uint32
	heads      []*explored
	kept       int
	evicted    []*explored // kept no more, but paths may still lead back to them
	freed      int         // of these, how many have been given back
	visits     map[sccKey]*sccVisit
	callArgs   callMeta
	wrote      uint64 // slots of the current frame that the call at hand has written whole
	linked     []linkedReg
	immReg     reg // an immediate operand
	aux        []insnAux
	want       wanted
	recorded   bool // the current instruction is in the history
	idMap      idMap
	apart      int8 // what two states were not alike in, see explored; -1: none
	processed  int
	jumps      int
	prevProc   int // processed when the last state was stored
	prevJumps  int
	walkedFunc int // the function that is verified on its own

	freeStates   []*state
	freeFrames   []*frame
	freeExplored []*explored

	proof *Proof
	stats Stats
	log   logger
}

// begin makes v ready for p.
func (v *verifier) begin(p *prog.Program, env *Env) {
	v.p, v.env = p, env
	v.gpl = p.GPL()
	v.sleepable = p.Sleep || env.Flags&Sleepable != 0
	v.leaks = env.Privilege == Root
	v.strict = env.Flags&(StrictAlignment|AnyAlignment) == StrictAlignment
	v.variant, v.known = helper.VariantOf(p.Type, p.Attach, p.Target)
	v.ctx = nil
	if v.known {
		v.ctx = linux.CtxOf(v.variant, p.Attach, strings.Replace(p.Target, ":", "/", 1))
	}
	v.seesPacket, v.writesPkt = packetAccess(p.Type, p.Attach)
	v.funcs, v.maps, v.types = v.funcs[:0], v.maps[:0], v.types[:0]
	v.addMaps(env.Maps)
	v.ids, v.processed, v.jumps, v.prevProc, v.prevJumps = 0, 0, 0, 0, 0
	v.stats = Stats{}
	v.anyTailCall, v.usesArena = false, false
	v.proof = &Proof{Insns: make([]InsnProof, len(p.Insns))}
	v.log.begin(v)
}

// end lets go of what belongs to the caller.
func (v *verifier) end() {
	v.p, v.env, v.ctx = nil, nil, nil
	clear(v.maps)
	clear(v.types)
	clear(v.typeOf)
	clear(v.objects)
	clear(v.visits)
	clear(v.maskings)
	v.limitsMatter = false
	v.dropStates()
}

// verify is bpf_check.
func (v *verifier) verify() error {
	if err := v.structure(); err != nil {
		return err
	}
	v.prepareWalk()
	if err := v.walkAll(); err != nil {
		return err
	}
	if err := v.checkDepth(); err != nil {
		return err
	}
	if err := v.checkLeftovers(); err != nil {
		return err
	}
	v.prove()
	return nil
}

// checkLeftovers refuses what only dead code may have.
func (v *verifier) checkLeftovers() error {
	for slot := range v.insns {
		if in := &v.insns[slot]; in.kind == asm.KindCallKfunc && v.proof.Insns[slot].Seen && v.p.Kfuncs[in.Imm].Name == "" {
			return v.failf(slot, CodeKfunc, errnoEINVAL, "call of a kernel function that was not found")
		}
	}
	return nil
}

// failf returns the refusal of the program for the instruction at slot.
func (v *verifier) failf(slot int, code Code, errno int, format string, args ...any) *Error {
	e := &Error{Code: code, Errno: errno, Reason: fmt.Sprintf(format, args...), Prog: v.p.Name, Insn: slot}
	return e
}

// fail is failf for the instruction at hand.
func (v *verifier) fail(code Code, errno int, format string, args ...any) *Error {
	return v.failf(v.insnIdx, code, errno, format, args...)
}

// failReg is fail about register r.
func (v *verifier) failReg(r asm.Register, code Code, errno int, format string, args ...any) *Error {
	e := v.fail(code, errno, format, args...)
	e.Reg = r.String()
	if v.cur != nil && int(r) < asm.NumRegisters {
		e.Known = v.describe(&v.cur.cur().regs[r])
	}
	return e
}

// finish completes an error: where it is, how it is reached, what helps.
func (v *verifier) finish(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	v.explain(e)
	e.Stats = v.stats
	return e
}
