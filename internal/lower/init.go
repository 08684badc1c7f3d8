package lower

import "github.com/sandbpf/sandbpf/asm"

// initialised refuses programs that read a register which nothing can have
// written: no path to the instruction does. Linux refuses more, those where
// some path does not; that takes its verifier.
func (b *builder) initialised() error {
	in := make([]Regs, len(b.Blocks))
	reached := make([]bool, len(b.Blocks))
	var work []int32
	flow := func(to int32, have Regs) {
		if !reached[to] || have&^in[to] != 0 {
			reached[to] = true
			in[to] |= have
			work = append(work, to)
		}
	}
	flow(0, 1<<asm.R1|1<<asm.R2|1<<asm.R10)
	for _, target := range b.callbacks {
		flow(target, AllRegs)
	}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		bl := &b.Blocks[i]
		have := in[i]
		for j := range bl.Ins {
			have = written(have, &bl.Ins[j])
		}
		if last := bl.Last(); last != nil && (last.Jumps() || last.Op == Call) {
			flow(last.Target, have)
		}
		if bl.Next >= 0 {
			flow(bl.Next, have)
		}
	}
	for i := range b.Blocks {
		if !reached[i] {
			continue
		}
		if err := b.checkReads(&b.Blocks[i], in[i]); err != nil {
			return err
		}
	}
	return nil
}

// written returns the registers that may have been written once in is done.
func written(have Regs, in *Ins) Regs {
	have |= bit(in.Dst)
	switch in.Op {
	case Helper, Call, Packet:
		have |= Result
	case Atomic, LoadAcquire, StoreRelease:
		have = AllRegs // what it writes has been read
	}
	return have
}

func (b *builder) checkReads(bl *Block, have Regs) error {
	for j := range bl.Ins {
		in := &bl.Ins[j]
		read := in.Reads()
		switch in.Op {
		case Atomic, LoadAcquire, StoreRelease, Packet:
			read = 0
		}
		if missing := read &^ have; missing != 0 {
			for r := Reg(0); ; r++ {
				if missing.Has(r) {
					return b.P.Errorf(int(in.Slot), "register r%d is read, but nothing has written it", r)
				}
			}
		}
		have = written(have, in)
	}
	return nil
}
