package lower

import (
	"sync"

	"github.com/sandbpf/sandbpf/internal/prog"
)

// memory is what programs are made in, one after the other: on a heap that grows for each, most
// of the time would go into its pages.
type memory struct {
	program   Program
	split     prog.Split
	optimiser optimiser
	blocks    stock[Block]
	ins       stock[Ins]
	flows     stock[flow]
	ints      stock[int32]
	bools     stock[bool]
	regs      stock[Regs]
	consts    stock[[framePointer]int64]
	path      []step // of a walk through blocks
	moved     []Ins  // see sinkTo
	loops     []loop
	literals  []int64 // see flow.constants
	values    [framePointer]int64
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
	m.optimiser.b, m.optimiser.constAt = nil, nil
	m.blocks.reset()
	m.ins.reset()
	m.flows.reset()
	m.ints.reset()
	m.bools.reset()
	m.regs.reset()
	m.consts.reset()
	memories.Put(m)
}

// stock is memory that slices are cut from.
type stock[T any] struct {
	all   []T // kept for the next program
	free  []T // the rest of what was cut from last
	taken int // since the last reset
	most  int // that a program has taken
}

// cut returns a slice of n elements that may hold anything.
func (s *stock[T]) cut(n int) []T {
	if s.taken += n; n > len(s.free) {
		s.free = make([]T, max(n, s.most, 64))
		if len(s.free) > len(s.all) {
			s.all = s.free
		}
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

// reset takes all slices back. The next program finds room for what the greatest has taken.
func (s *stock[T]) reset() {
	s.most, s.taken = max(s.most, s.taken), 0
	if s.free = s.all; len(s.all) < s.most {
		s.free, s.all = nil, nil
	}
}

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
