package interp

import (
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// sanitiser finds what is no violation of memory but a mistake all the same,
// and which Linux's verifier refuses: reads of stack bytes that were never
// written, and reads of packet bytes that were never compared with data_end.
type sanitiser struct {
	c       *vm.CPU
	written [prog.MaxFrames * prog.StackSize]bool // by byte of the stack
	checked uint64                                // packet bytes below this address were compared
	packet  mem.Region                            // for which checked holds
}

func newSanitiser(c *vm.CPU) *sanitiser { return &sanitiser{c: c} }

// newFrame forgets what earlier calls wrote to the frame.
func (s *sanitiser) newFrame(frame int) {
	low := (prog.MaxFrames - 1 - frame) * prog.StackSize
	clear(s.written[low : low+prog.StackSize])
}

// helperAccess sees every access to memory, those of helpers included.
func (s *sanitiser) helperAccess(addr uint64, n int, perm mem.Perm) error {
	off := addr - uint64(uintptr(s.c.Stack()))
	if off >= uint64(len(s.written)) {
		return nil
	}
	bytes := s.written[off : off+uint64(n)]
	for i := range bytes {
		if !bytes[i] && perm&mem.Read != 0 {
			r, _ := s.c.Find(uintptr(addr))
			return &vm.Fault{Err: vm.ErrUninit, Addr: addr + uint64(i), Size: n - i, Region: r}
		}
		bytes[i] = bytes[i] || perm&mem.Write != 0
	}
	return nil
}

// compared sees every conditional jump: one that compares a pointer into the packet with its
// end makes the bytes below the pointer known, and the one that it points to if the comparison
// tells that it is not the end.
func (s *sanitiser) compared(op asm.JumpOp, a, b uint64) {
	r := s.c.Packet.Region()
	if r != s.packet {
		s.packet, s.checked = r, 0
	}
	start, end := uint64(r.Addr), uint64(r.Addr+r.Len)
	p, strict := a, op == asm.JLT || op == asm.JGE
	if a == end && b != end {
		p, strict = b, op == asm.JGT || op == asm.JLE
	}
	if a != end && b != end || p < start || p > end {
		return
	}
	if strict && p < end {
		p++
	}
	s.checked = max(s.checked, p)
}

// packetRead checks a read of the program itself against what was compared.
func (s *sanitiser) packetRead(addr uint64, size int) error {
	r := s.c.Packet.Region()
	if r != s.packet {
		s.packet, s.checked = r, 0
	}
	if !r.Contains(uintptr(addr), uintptr(size)) || addr+uint64(size) <= s.checked {
		return nil
	}
	return &vm.Fault{Err: vm.ErrUnchecked, Addr: addr, Size: size, Region: r}
}
