package prog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

// split cuts a program of text.
func split(t *testing.T, text string) (*Program, *Split, error) {
	insns, err := asm.Parse(text)
	require.NoError(t, err)
	p, s := build(t, insns), new(Split)
	return p, s, p.Split(s)
}

func TestSplit(t *testing.T) {
	_, s, err := split(t, "r0 = 5 ll\nif r1 == 0 goto out\nr0 += 1\nlock *(u64 *)(r10 - 8) += r0\nout:\nexit")
	require.NoError(t, err)
	require.Equal(t, []bool{true, false, false, true, false, true, true}, s.Leader)
	require.Equal(t, []int32{0, 0, 1, 2, 3, 4, 5}, s.Index)
	require.Nil(t, s.Info(1))
	require.Equal(t, asm.KindAtomic, s.Info(4).Kind)

	// The memory is used again.
	p := &Program{Insns: []asm.Instruction{asm.Return()}}
	require.NoError(t, p.Split(s))
	require.Equal(t, []bool{true, true}, s.Leader)
	require.Equal(t, []int32{0, 1}, s.Index)
}

func TestSplitErrors(t *testing.T) {
	exit, far := asm.Return(), asm.Goto("")
	far.Off = 1
	for _, c := range []struct {
		name   string
		insns  []asm.Instruction
		slot   int
		reason string
	}{
		{"empty", nil, 0, "program has no instructions"},
		{"invalid", []asm.Instruction{exit, {Op: 0xff}, exit}, 1, "unknown opcode"},
		{"half", []asm.Instruction{exit, asm.LoadImm(asm.R0, 1)}, 1, "64-bit immediate load without its second slot"},
		{"outside", []asm.Instruction{far, exit}, 0, "jump to instruction 2, outside of the program"},
		{"middle", []asm.Instruction{far, asm.LoadImm(asm.R0, 1), {}, exit}, 2, "jump into the middle of a 64-bit immediate load"},
		{"end", []asm.Instruction{exit, asm.Mov.Imm(asm.R0, 0)}, 1, "execution falls off the end of the program"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var bad *Error
			require.ErrorAs(t, (&Program{Insns: c.insns}).Split(new(Split)), &bad)
			require.Equal(t, c.slot, bad.Slot)
			require.Contains(t, bad.Reason, c.reason)
		})
	}
}

func TestCheckReads(t *testing.T) {
	for _, c := range []struct {
		name string
		text string
		slot int // of the refused instruction, -1: none
		reg  string
	}{
		{"arguments", "r0 = r1\nr0 += r2\nr0 += r10\nexit", -1, ""},
		{"never", "r0 = r3\nexit", 0, "r3"},
		{"itself", "r4 += 1\nr0 = 0\nexit", 0, "r4"},
		{"one way is enough", "if r1 == 0 goto l\nr3 = 1\nl:\nr0 = r3\nexit", -1, ""},
		{"loop", "l:\nif r1 == 0 goto m\nr0 = r3\nexit\nm:\nr3 = 1\ngoto l", -1, ""},
		{"unreachable", "r0 = 0\nexit\nr0 = r3\nexit", -1, ""},
		{"store", "*(u64 *)(r10 - 8) = r5\nr0 = 0\nexit", 0, "r5"},
		{"comparison", "if r1 == r9 goto l\nl:\nr0 = 0\nexit", 0, "r9"},
		{"result", "call 1\nr6 = r0\nr7 = r3\nexit", 2, "r3"},
		{"nothing to call", "call 2\nr0 = r3\nexit", -1, ""},
		{"function", "r6 = 1\ncall f\nexit\nf:\nr0 = r6\nr0 += r7\nexit", 4, "r7"},
		{"callback", "r2 = func[f]\nr0 = 0\nexit\nf:\nr0 = r7\nexit", -1, ""},
		{"atomic", "lock *(u64 *)(r10 - 8) += r5\nr0 = 0\nexit", -1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, s, err := split(t, c.text)
			require.NoError(t, err)
			err = s.CheckReads(p, func(slot int) bool { return p.Insns[slot].Imm == 2 })
			if c.slot < 0 {
				require.NoError(t, err)
				return
			}
			var bad *Error
			require.ErrorAs(t, err, &bad)
			require.Equal(t, c.slot, bad.Slot)
			require.Equal(t, "register "+c.reg+" is read, but nothing has written it", bad.Reason)
		})
	}
}
