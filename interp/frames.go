package interp

import "github.com/sandbpf/sandbpf/asm"

// exposed finds the functions whose frame others can have a pointer into: those
// that use r10 for more than their own loads and stores. The frames of others
// are in no region while they run: nobody was given their address.
func (d *decoder) exposed() map[int32]bool {
	takes := make([]bool, len(d.blocks))
	for i := range d.blocks {
		takes[i] = d.takesFrame(&d.blocks[i])
	}
	found := make(map[int32]bool)
	seen := make([]int32, len(d.blocks)) // by the number of the search, from 1
	search, budget := int32(0), 64*len(d.blocks)+1<<16
	for i := range d.blocks {
		n := len(d.blocks[i].instrs)
		if n == 0 || d.blocks[i].instrs[n-1].op != opCall {
			continue
		}
		target := d.blocks[i].instrs[n-1].target
		if _, done := found[target]; done {
			continue
		}
		search++
		found[target] = d.reaches(target, takes, seen, search, &budget)
	}
	for _, target := range d.callbacks {
		found[target] = true // it is given pointers into its caller's frame, and more
	}
	return found
}

// reaches reports whether control that enters at a block can come, without
// leaving the function, to a block that takes its frame's address. It says yes
// when the budget is gone, which bounds what a hostile program can make it do.
func (d *decoder) reaches(entry int32, takes []bool, seen []int32, search int32, budget *int) bool {
	work := []int32{entry}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		if i < 0 || seen[i] == search {
			continue
		}
		seen[i] = search
		if *budget--; takes[i] || *budget < 0 {
			return true
		}
		b := &d.blocks[i]
		work = append(work, b.next)
		if n := len(b.instrs); n > 0 && opInfos[b.instrs[n-1].op].jump {
			work = append(work, b.instrs[n-1].target)
		}
	}
	return false
}

// takesFrame reports whether a block uses r10 other than to address the stack
// directly.
func (d *decoder) takesFrame(b *block) bool {
	for j := range b.instrs {
		in := &b.instrs[j]
		if in.op == opAtomic {
			ins := d.p.Insns[in.slot]
			if ins.Dst == asm.R10 || ins.Src == asm.R10 {
				return true
			}
		}
		for _, v := range [...]value{in.a, in.b, in.c} {
			if v == framePointer && !(opInfos[in.op].mem && v == in.b && in.a != framePointer && onStack(in)) {
				return true
			}
		}
	}
	return false
}

// onStack reports whether a memory operation on r10 stays within the frame.
func onStack(in *instr) bool {
	return in.x >= -stackSize && in.x+int64(opInfos[in.op].size) <= 0 && !opInfos[in.op].signed
}
