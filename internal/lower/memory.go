package lower

import (
	"sync"

	"github.com/sandbpf/sandbpf/internal/prog"
)

// memory is what programs are made in, one after the other: on a heap that grows for each, most
// of the time would go into its pages.
type memory struct {
	program    Program
	split      prog.Split
	optimiser  optimiser
	fuser      fuser
	blocks     stock[Block]
	ins        stock[Ins]
	flows      stock[flow]
	ints       stock[int32]
	bools      stock[bool]
	regs       stock[Regs]
	parts      stock[registerParts]
	narrowings stock[narrowing]
	consts     stock[[framePointer]int64]
	path       []step // of a walk through blocks
	loops      []loop
	heads      []int32 // of loops
	work       []int32 // see explore
	literals   []int64 // see flow.constants
	values     [framePointer]int64
}

var memories = sync.Pool{New: func() any { return new(memory) }}

// newProgram returns an empty program.
func newProgram() *Program {
	m := memories.Get().(*memory)
	m.program, m.literals = Program{memory: m}, m.literals[:0]
	return &m.program
}

// Free lets the memory of p be used for another program. Nothing of p may be used any more.
func (p *Program) Free() {
	m := p.memory
	m.program = Program{}
	m.optimiser.b, m.optimiser.constAt, m.fuser.ins = nil, nil, nil
	m.blocks.reset()
	m.ins.reset()
	m.flows.reset()
	m.ints.reset()
	m.bools.reset()
	m.regs.reset()
	m.parts.reset()
	m.narrowings.reset()
	m.consts.reset()
	memories.Put(m)
}

// stock is memory that slices are cut from.
type stock[T any] struct {
	chunks [][]T // kept for the next program
	used   int   // how many of them have been cut from since the last reset
	free   []T   // the rest of the last of these
	total  int   // elements of all
}

// cut returns a slice of n elements that may hold anything.
func (s *stock[T]) cut(n int) []T {
	for n > len(s.free) {
		if s.used == len(s.chunks) {
			s.chunks = append(s.chunks, make([]T, max(n, s.total, 64))) // twice as much as there was
			s.total += len(s.chunks[s.used])
		}
		s.free = s.chunks[s.used]
		s.used++
	}
	list := s.free[:n:n]
	s.free = s.free[n:]
	return list
}

// take returns a slice of n zeroes.
func (s *stock[T]) take(n int) []T {
	list := s.cut(n)
	clear(list)
	return list
}

// reset takes all slices back.
func (s *stock[T]) reset() { s.used, s.free = 0, nil }

// clone returns a copy of instructions.
func (p *Program) clone(ins []Ins) []Ins {
	list := p.memory.ins.cut(len(ins))
	copy(list, ins)
	return list
}

// room returns an empty list of instructions with room for n.
func (p *Program) room(n int) []Ins { return p.memory.ins.cut(n)[:0] }

// replace returns a copy of instructions, in the place of old ones if there is room.
func (p *Program) replace(old, by []Ins) []Ins {
	if len(by) > cap(old) {
		return p.clone(by)
	}
	return append(old[:0], by...)
}
