package domain

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

const recordedVerdicts = "../../../shared/verdicts/linux-6.18.jsonl"

// TestLinuxLogs computes with Linux's rules what the logs of Linux 6.18 show: from
// the printed registers before an instruction, or an edge of a jump, those after it.
func TestLinuxLogs(t *testing.T) {
	f, err := os.Open(recordedVerdicts)
	if os.IsNotExist(err) {
		t.Skip("the recorded verdicts are not beside the repository")
	}
	require.NoError(t, err)
	defer f.Close()

	var r replay
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var p struct{ ID, Insns, Log string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &p))
		code, err := hex.DecodeString(p.Insns)
		require.NoError(t, err)
		if insns, err := asm.Decode(code, binary.LittleEndian); err == nil {
			r.program(t, p.ID, insns, p.Log)
		}
	}
	require.NoError(t, lines.Err())
	t.Logf("%d results and %d edges as Linux printed them", r.results, r.edges)
	require.Greater(t, r.results, 100)
	require.Greater(t, r.edges, 20)
}

// replay follows a log.
type replay struct {
	results, edges int

	regs map[asm.Register]Scalar // those whose value the log has shown, if it is a scalar
}

var (
	logInsn  = regexp.MustCompile(`^(\d+): \([0-9a-f]{2}\) (.*?)(?:\s+; (.*)|\s(\d+): (.*))?$`)
	logState = regexp.MustCompile(`^(\d+): (.*)$`)
	logReg   = regexp.MustCompile(`(?:^| )R(\d+)=(P?(?:scalar\([^ ]*(?: [^ ]*\))?|0x[0-9a-f]+|-?\d+)|[^ ]*)`)
)

func (r *replay) forget() {
	r.regs = map[asm.Register]Scalar{}
}

func (r *replay) program(t *testing.T, id string, insns asm.Instructions, log string) {
	bySlot := map[int]asm.Instruction{}
	slot := 0
	for _, ins := range insns {
		bySlot[slot] = ins
		slot += ins.Slots()
	}
	r.forget()
	lines := strings.Split(log, "\n")
	for i, line := range lines {
		if m := logInsn.FindStringSubmatch(line); m != nil {
			pc, _ := strconv.Atoi(m[1])
			next := m[4]
			if next == "" && i+1 < len(lines) {
				next, _, _ = strings.Cut(lines[i+1], ":")
			}
			r.insn(t, id, bySlot[pc], pc, next, m[3]+m[5])
		} else if m := logState.FindStringSubmatch(line); m != nil {
			r.show(m[2])
		} else {
			r.forget()
		}
	}
}

// insn holds what follows from an instruction against the registers printed after it.
func (r *replay) insn(t *testing.T, id string, ins asm.Instruction, pc int, next, after string) {
	a, aKnown := r.regs[ins.Dst]
	b, bKnown := r.regs[ins.Src]
	alu := ins.Op.Class() == asm.ClassALU || ins.Op.Class() == asm.ClassALU64
	wide := ins.Op.Class() == asm.ClassALU64 || ins.Op.Class() == asm.ClassJMP
	if ins.Op&0x08 == 0 { // immediate
		b, bKnown = Const(uint64(ins.Imm)), true
	}
	kind := ins.Op & 0xf0
	if kind == 0xb0 && alu {
		aKnown = true // a move
	}
	switch {
	case alu:
		delete(r.regs, ins.Dst)
		r.show(after)
		if got, shown := r.regs[ins.Dst]; aKnown && bKnown && shown {
			want, ok := r.result(ins, kind, wide, a, b)
			if ok {
				require.Equal(t, want, got, "%s, instruction %d: %v of %v, %v", id, pc, ins, a, b)
				r.results++
			}
		}
	case ins.Op.Class() == asm.ClassJMP || ins.Op.Class() == asm.ClassJMP32:
		r.forget() // registers that share the value are refined, too
		r.show(after)
		target := strconv.Itoa(pc + 1 + int(ins.Off))
		conditional := kind != 0 && kind != 0x80 && kind != 0x90 && kind != 0xe0
		if !conditional || !aKnown || !bKnown || ins.Off == 0 || next != target && next != strconv.Itoa(pc+1) {
			return
		}
		r.edge(t, id, ins, pc, next == target, a, b)
	default:
		r.forgetWritten(ins)
		r.show(after)
	}
}

// edge holds what follows from a jump against the destination printed after it.
func (r *replay) edge(t *testing.T, id string, ins asm.Instruction, pc int, taken bool, a, b Scalar) {
	op, wide := asm.JumpOp(ins.Op&0xf0), ins.Op.Class() == asm.ClassJMP
	if known, to := Linux.Decide(op, wide, &a, &b); known {
		require.Equal(t, to, taken, "%s, instruction %d: %v of %v, %v", id, pc, ins, a, b)
	} else {
		Linux.Refine(op, wide, taken, &a, &b)
	}
	if got, shown := r.regs[ins.Dst]; shown {
		require.Equal(t, a, got, "%s, instruction %d, taken %v: %v", id, pc, taken, ins)
		r.edges++
	}
}

// result returns what Linux's rules make of an arithmetic instruction.
func (r *replay) result(ins asm.Instruction, kind asm.Opcode, wide bool, a, b Scalar) (Scalar, bool) {
	switch {
	case kind == 0x80:
		return Linux.Neg(wide, a), true
	case kind == 0xd0 && (wide || ins.Op&0x08 != 0):
		return Linux.BSwap(a, uint(ins.Imm)), true
	case kind == 0xd0:
		return Linux.Truncate(a, uint(ins.Imm)), true
	case kind == 0xb0 && ins.Off != 0:
		return Linux.MovSX(wide, b, uint(ins.Off)), true
	}
	return Linux.ALU(asm.ALUOp(kind), wide, a, b), true
}

// forgetWritten forgets what an instruction other than arithmetic and jumps may
// write.
func (r *replay) forgetWritten(ins asm.Instruction) {
	switch ins.Op.Class() {
	case asm.ClassLDX:
		delete(r.regs, ins.Dst)
	case asm.ClassST:
	default:
		r.forget()
	}
}

// show takes over the registers that the log prints.
func (r *replay) show(state string) {
	for _, m := range logReg.FindAllStringSubmatch(state, -1) {
		n, _ := strconv.Atoi(m[1])
		s, ok := parseScalar(m[2])
		if ok {
			r.regs[asm.Register(n)] = s
		} else {
			delete(r.regs, asm.Register(n))
		}
	}
}

// parseScalar reads a scalar as the kernel prints it: limits that are the type's
// own are left out, and limits of equal value share it.
func parseScalar(text string) (Scalar, bool) {
	text = strings.TrimPrefix(text, "P")
	if v, err := strconv.ParseInt(text, 0, 64); err == nil {
		return Const(uint64(v)), true
	}
	if v, err := strconv.ParseUint(text, 0, 64); err == nil {
		return Const(v), true
	}
	body, ok := strings.CutPrefix(text, "scalar(")
	if !ok {
		return Scalar{}, false
	}
	s := Unknown()
	for _, field := range strings.Split(strings.TrimSuffix(body, ")"), ",") {
		names := strings.Split(field, "=")
		value := names[len(names)-1]
		if names[0] == "var_off" {
			v, m, _ := strings.Cut(strings.Trim(value, "()"), "; ")
			s.Tnum.Value, _ = strconv.ParseUint(v, 0, 64)
			s.Tnum.Mask, _ = strconv.ParseUint(m, 0, 64)
			continue
		}
		v, err := strconv.ParseInt(value, 0, 64)
		if err != nil {
			u, _ := strconv.ParseUint(value, 0, 64)
			v = int64(u)
		}
		for _, name := range names[:len(names)-1] {
			s.setLimit(name, v)
		}
	}
	return s, true
}

func (s *Scalar) setLimit(name string, v int64) {
	switch name {
	case "smin":
		s.S64.Min = v
	case "smax":
		s.S64.Max = v
	case "umin":
		s.U64.Min = uint64(v)
	case "umax":
		s.U64.Max = uint64(v)
	case "smin32":
		s.S32.Min = int32(v)
	case "smax32":
		s.S32.Max = int32(v)
	case "umin32":
		s.U32.Min = uint32(v)
	case "umax32":
		s.U32.Max = uint32(v)
	}
}
