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
	case asm.KindLoadImm64:
		return "loaders resolve it"
	}
	return ""
}

// TestCoverage counts how often each kind of instruction, with each kind of operand, is in
// the programs that engines are compared on.
func TestCoverage(t *testing.T) {
	used := make(map[asm.Info]int)
	count := func(insns asm.Instructions) {
		for _, ins := range insns {
			if info, err := ins.Info(); err == nil {
				used[*info]++
			}
		}
	}
	n := seeds(3000)
	for seed := range n {
		g := enginetest.NewGenerator(seed)
		g.Program(120)
		count(g.Out)
		count(GenerateRunnable(seed).Insns)
	}
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
	t.Logf("%d of %d kinds of instruction in %d programs; the rarest, %s, %d times", len(used), len(asm.Table()), 2*n,
		fmt.Sprintf("%#02x (kind %d)", uint8(rarest.Opcode), rarest.Kind), times)
}
