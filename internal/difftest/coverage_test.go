package difftest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/enginetest"
)

// notGenerated says why some kinds of instruction are not in programs that engines are
// compared on.
func notGenerated(ins *asm.Info) string {
	switch ins.Kind {
	case asm.KindCallX:
		return "Linux refuses calls through a register, and so do the engines"
	case asm.KindAddrSpaceCast:
		return "arenas are not supported"
	case asm.KindCallKfunc:
		return "kernel functions are not supported"
	case asm.KindLoadImm64: // of a kernel variable
		return "its address is all that there is of a kernel variable"
	}
	return ""
}

// instructionCounts says how often each kind of instruction, with each kind of operand, is used.
type instructionCounts map[asm.Info]int

func (n instructionCounts) add(insns asm.Instructions) {
	for _, ins := range insns {
		if info, err := ins.Info(); err == nil {
			n[*info]++
		}
	}
}

// addGenerated counts a program as it is written, and as engines get it: with maps by index.
func (n instructionCounts) addGenerated(t *testing.T, g *Generated) {
	n.add(g.Insns)
	c, err := g.Case("")
	require.NoError(t, err)
	s, err := c.Subject()
	require.NoError(t, err)
	for i := 0; i < len(s.Prog.Insns); i += s.Prog.Insns[i].Slots() {
		if ins := s.Prog.Insns[i]; ins.Kind() == asm.KindLoadImm64 {
			n.add(asm.Instructions{ins})
		}
	}
}

// TestCoverage counts how often each kind of instruction is in the programs that engines are
// compared on, with each other and with Linux.
func TestCoverage(t *testing.T) {
	here, linux := make(instructionCounts), make(instructionCounts)
	for seed := range max(seeds(3000), 3000) { // some kinds are rare
		g := enginetest.NewGenerator(seed)
		g.Program(120)
		here.add(g.Out)
		here.addGenerated(t, GenerateRunnable(seed))
		linux.addGenerated(t, GenerateComparable(seed))
	}
	for name, used := range map[string]instructionCounts{"each other": here, "Linux": linux} {
		rarest, times := asm.Info{}, 0
		for _, info := range asm.Table() {
			if used[info] == 0 {
				require.NotEmpty(t, notGenerated(&info), "%#02x (kind %d, %v) is in no program", uint8(info.Opcode), info.Kind, info.Size)
				t.Logf("without %#02x (kind %d): %s", uint8(info.Opcode), info.Kind, notGenerated(&info))
				continue
			}
			if times == 0 || used[info] < times {
				rarest, times = info, used[info]
			}
		}
		t.Logf("with %s: %d of %d kinds of instruction; the rarest, %s, %d times", name, len(used), len(asm.Table()),
			fmt.Sprintf("%#02x (kind %d)", uint8(rarest.Opcode), rarest.Kind), times)
	}
}
