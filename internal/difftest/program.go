package difftest

import (
	"encoding/binary"
	"fmt"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/linux"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

// unresolved is the index of what a program refers to and what is not there.
const unresolved = 1<<31 - 1

// flagSleepable is BPF_F_SLEEPABLE.
const flagSleepable = uint32(verifier.Sleepable)

// A Subject is a case as the verifier takes it.
type Subject struct {
	Prog *prog.Program
	Env  *verifier.Env

	// Patience is how many instructions may be explored, as far as the verifier tells of
	// its progress; 0: any number.
	Patience int

	// early and late are refusals for what the verifier is not given to see: func_info
	// and line_info. Linux finds the early ones before it looks at the instructions, the
	// late ones after it knows the functions and their ends.
	early, late *verifier.Error
}

// mapName is a [prog.Map] of which only the place in the table of maps counts.
type mapName int

func (m mapName) Name() string { return fmt.Sprint("map", int(m)) }
func (m mapName) Addr() uint64 { return 0xffff_8881_0000_0000 + uint64(m)<<12 }

// Subject converts the case. The error says that the case itself is malformed, not that
// its program is.
func (c *Case) Subject() (*Subject, error) {
	if len(c.Insns)%asm.SlotSize != 0 {
		return nil, fmt.Errorf("case %s: %d bytes of instructions", c.ID, len(c.Insns))
	}
	s := &Subject{
		Prog: &prog.Program{
			Name: "prog", Type: prog.Type(c.ProgType), Attach: prog.AttachType(c.AttachType), Target: c.target(),
			License: c.License, Sleep: c.Flags&flagSleepable != 0,
		},
		Env: &verifier.Env{Flags: verifier.Flags(c.Flags), Privilege: c.Privilege, NumCPU: 2},
	}
	s.Prog.Insns = c.instructions(s.Prog)
	types, err := newTypes(c.BTF)
	if err != nil {
		return nil, fmt.Errorf("case %s: BTF of the program: %w", c.ID, err)
	}
	s.Prog.Types = types.structs()
	if err := s.addMaps(c); err != nil {
		return nil, fmt.Errorf("case %s: %w", c.ID, err)
	}
	s.addFuncInfo(c, types)
	s.addLineInfo(c, types)
	return s, nil
}

// instructions decodes what it can: the second slot of a 64-bit immediate load stays an
// instruction of its own if there is more in it than a number.
func (c *Case) instructions(p *prog.Program) []asm.Instruction {
	insns := make([]asm.Instruction, c.Slots())
	for slot := 0; slot < len(insns); slot++ {
		ins := decodeSlot(c.Insns[slot*asm.SlotSize:])
		if ins.Slots() == 2 && slot+1 < len(insns) {
			if next := decodeSlot(c.Insns[(slot+1)*asm.SlotSize:]); next.Op == 0 && next.Dst == 0 && next.Src == 0 && next.Off == 0 {
				ins.Imm = next.Imm<<32 | int64(uint32(ins.Imm))
			} else {
				insns[slot+1] = next
			}
		}
		c.resolve(&ins, slot, p)
		insns[slot] = ins
		slot += ins.Slots() - 1
	}
	return insns
}

func decodeSlot(b []byte) asm.Instruction {
	return asm.Instruction{
		Op:  asm.Opcode(b[0]),
		Dst: asm.Register(b[1] & 15), Src: asm.Register(b[1] >> 4),
		Off: int16(binary.LittleEndian.Uint16(b[2:])),
		Imm: int64(int32(binary.LittleEndian.Uint32(b[4:]))),
	}
}

// resolve turns descriptors and ids of the kernel into indices in the program's tables.
func (c *Case) resolve(ins *asm.Instruction, slot int, p *prog.Program) {
	switch {
	case ins.Kind() == asm.KindCallKfunc:
		c.resolveKfunc(ins, p)
	case ins.Slots() != 2:
	case ins.Src == asm.PseudoMapFD || ins.Src == asm.PseudoMapValue:
		index := int64(uint32(ins.ImmLo()))
		for _, bad := range c.BadMapFDs {
			if bad == slot {
				index = unresolved
			}
		}
		ins.Imm = ins.Imm>>32<<32 | index
		ins.Src += asm.PseudoMapIdx - asm.PseudoMapFD
	case ins.Src == asm.PseudoMapIdx || ins.Src == asm.PseudoMapIdxValue: // needs fd_array
		ins.Imm = ins.Imm>>32<<32 | unresolved
	case ins.Src == asm.PseudoBTFID:
		ins.Imm = unresolved
	}
}

// resolveKfunc enters the kernel function in the program's table. One that does not exist
// is out of the table; that with id 0 stands for a weak one that was not found.
func (c *Case) resolveKfunc(ins *asm.Instruction, p *prog.Program) {
	k := prog.Kfunc{Name: c.kfuncName(ins.ImmLo())}
	if fn, ok := linux.KfuncByName(k.Name); ok {
		k.Proto = fn.Proto
	}
	if k.Name == "" && ins.Imm == 0 && ins.Off == 0 {
		k.Weak = true
	} else if k.Name == "" || ins.Off != 0 {
		ins.Imm = unresolved
		return
	}
	for i := range p.Kfuncs {
		if p.Kfuncs[i].Name == k.Name {
			ins.Imm = int64(i)
			return
		}
	}
	ins.Imm = int64(len(p.Kfuncs))
	p.Kfuncs = append(p.Kfuncs, k)
}

func (s *Subject) addMaps(c *Case) error {
	for i := range c.Maps {
		m, err := c.Maps[i].verifierMap()
		if err != nil {
			return fmt.Errorf("map %d: %w", i, err)
		}
		m.Name = mapName(i).Name()
		s.Env.Maps = append(s.Env.Maps, m)
		s.Prog.Maps = append(s.Prog.Maps, mapName(i))
	}
	return nil
}

func (m *Map) verifierMap() (*verifier.Map, error) {
	out := &verifier.Map{
		Type: maps.Type(m.Type), KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries, Flags: m.Flags,
		Frozen: m.Frozen,
	}
	if m.Frozen {
		out.Read = m.read
	}
	if m.Inner != nil {
		inner, err := m.Inner.verifierMap()
		if err != nil {
			return nil, err
		}
		out.Inner = inner
	}
	if len(m.BTF) == 0 {
		return out, nil
	}
	types, err := newTypes(m.BTF)
	if err != nil {
		return nil, err
	}
	for _, part := range []struct {
		id uint32
		to **prog.BTFType
	}{{m.BTFKey, &out.Key}, {m.BTFValue, &out.Value}} {
		if part.id == 0 {
			continue
		}
		t, err := types.byID(part.id)
		if err != nil {
			return nil, err
		}
		*part.to = types.conv.Convert(t)
	}
	return out, nil
}

// read copies bytes of the first element, which is zero where nothing is recorded.
func (m *Map) read(off uint32, b []byte) bool {
	if uint64(off)+uint64(len(b)) > uint64(m.ValueSize) {
		return false
	}
	clear(b)
	if int(off) < len(m.Value) {
		copy(b, m.Value[off:])
	}
	return true
}
