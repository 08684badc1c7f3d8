package ringbuf

import (
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/kernel"
)

// outputProg puts a record of spaceRecord into a ring buffer (with BPF_RB_FORCE_WAKEUP)
// and returns the helper's result; it stores what bpf_ringbuf_query says in an array.
func outputProg(t *testing.T, ring, answers *ebpf.Map, size int32) *ebpf.Program {
	insns := asm.Instructions{asm.Mov.Imm(asm.R0, size)}
	for off := int16(-512); off < 0; off += 8 {
		insns = append(insns, asm.StoreMem(asm.RFP, off, asm.R0, asm.DWord))
	}
	insns = append(insns,
		asm.LoadMapPtr(asm.R1, ring.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -512),
		asm.Mov.Imm(asm.R3, size), asm.Mov.Imm(asm.R4, 2),
		asm.FnRingbufOutput.Call(),
		asm.Mov.Reg(asm.R6, asm.R0),
		asm.LoadMapValue(asm.R7, answers.FD(), 0),
	)
	for what := range int32(4) {
		insns = append(insns,
			asm.LoadMapPtr(asm.R1, ring.FD()), asm.Mov.Imm(asm.R2, what),
			asm.FnRingbufQuery.Call(),
			asm.StoreMem(asm.R7, int16(what)*8, asm.R0, asm.DWord),
		)
	}
	insns = append(insns, asm.Mov.Reg(asm.R0, asm.R6), asm.Return())
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, Instructions: insns, License: "GPL"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// kernelRing is a ring buffer of the kernel.
func kernelRing(t *testing.T) ring {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: spaceRing})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	answers, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 32, MaxEntries: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, answers.Close()) })
	reader, err := ringbuf.NewReader(m)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, reader.Close()) })
	progs := make(map[int]*ebpf.Program)
	return ring{
		output: func(data []byte) (int64, [4]uint64) {
			p := progs[len(data)]
			if p == nil {
				p = outputProg(t, m, answers, int32(len(data)))
				progs[len(data)] = p
			}
			ret, err := p.Run(&ebpf.RunOptions{Data: make([]byte, 14)})
			require.NoError(t, err)
			var query [4]uint64
			require.NoError(t, answers.Lookup(uint32(0), &query))
			return int64(int32(ret)), query
		},
		read: func() Record {
			reader.SetDeadline(time.Now().Add(20 * time.Second))
			rec, err := reader.Read()
			require.NoError(t, err)
			return Record{RawSample: rec.RawSample, Remaining: rec.Remaining}
		},
	}
}

// TestSpaceKernel asks the kernel of this machine; with -update its answers are recorded.
func TestSpaceKernel(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	got := spaceSteps(t, kernelRing(t))
	if *update {
		require.NoError(t, os.WriteFile(spaceFile, []byte(got), 0o644))
	}
	want, err := os.ReadFile(spaceFile)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}
