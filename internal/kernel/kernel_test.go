package kernel

import (
	"encoding/binary"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"
)

func needKernel(t testing.TB) {
	t.Helper()
	if err := Available(); err != nil {
		require.ErrorIs(t, err, ErrUnavailable)
		t.Skip(err)
	}
}

// assemble encodes insns, in which a map reference is an index.
func assemble(t testing.TB, insns ...asm.Instruction) []byte {
	t.Helper()
	raw := make([]byte, 0, len(insns)*8)
	for _, insn := range insns {
		b := make([]byte, 8, 16)
		b[0] = byte(insn.OpCode)
		b[1] = byte(insn.Dst | insn.Src<<4)
		if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
			b[1] = byte(insn.Dst<<4 | insn.Src)
		}
		binary.NativeEndian.PutUint16(b[2:], uint16(insn.Offset))
		binary.NativeEndian.PutUint32(b[4:], uint32(insn.Constant))
		if insn.OpCode.IsDWordLoad() {
			b = binary.NativeEndian.AppendUint32(append(b, 0, 0, 0, 0), uint32(insn.Constant>>32))
		}
		raw = append(raw, b...)
	}
	return raw
}

func mustLoad(t testing.TB, p Prog) *Loaded {
	t.Helper()
	l, err := Load(p)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

func TestAccepted(t *testing.T) {
	needKernel(t)
	l := mustLoad(t, Prog{
		Name:  "trivial",
		Type:  ebpf.SocketFilter,
		Insns: assemble(t, asm.Mov.Imm(asm.R0, 7), asm.Return()),
	})
	require.True(t, l.Accepted(), l.Log)
	require.Equal(t, 2, l.Stats.Insns)
	require.Contains(t, l.Log, "processed 2 insns")
	require.NotNil(t, l.Program())

	got, err := l.Run(make([]byte, 14+20), nil, 1)
	require.NoError(t, err)
	require.Equal(t, uint32(7), got.Ret)
}

func TestRefused(t *testing.T) {
	needKernel(t)
	l := mustLoad(t, Prog{
		Type:  ebpf.SocketFilter,
		Insns: assemble(t, asm.Mov.Reg(asm.R0, asm.R3), asm.Return()),
	})
	require.False(t, l.Accepted())
	require.Equal(t, syscall.EACCES, l.Errno)
	require.Contains(t, l.Log, "R3 !read_ok")
	require.Equal(t, 1, l.Stats.Insns)
	require.Nil(t, l.Program())

	_, err := l.Run(make([]byte, 64), nil, 1)
	require.Error(t, err)
}

// A log far larger than the first buffer arrives whole.
func TestLongLog(t *testing.T) {
	needKernel(t)
	var insns []asm.Instruction
	for range 10000 {
		insns = append(insns, asm.Mov.Imm(asm.R0, 1))
	}
	insns = append(insns, asm.Mov.Reg(asm.R0, asm.R9), asm.Return())
	l := mustLoad(t, Prog{Type: ebpf.SocketFilter, Insns: assemble(t, insns...)})
	require.Equal(t, syscall.EACCES, l.Errno)
	require.Greater(t, len(l.Log), 64<<10)
	require.Contains(t, l.Log, "0: (b7) r0 = 1")
	require.Contains(t, l.Log, "R9 !read_ok")
}

func TestMaps(t *testing.T) {
	needKernel(t)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	require.NoError(t, err)
	defer m.Close()
	require.NoError(t, m.Put(uint32(0), uint64(41)))

	load := asm.LoadImm(asm.R1, 0, asm.DWord) // index 0 of Maps, offset 0 of its value
	load.Src = asm.PseudoMapValue
	p := Prog{
		Type: ebpf.SocketFilter,
		Insns: assemble(t,
			load,
			asm.LoadMem(asm.R0, asm.R1, 0, asm.DWord),
			asm.Add.Imm(asm.R0, 1),
			asm.StoreMem(asm.R1, 0, asm.R0, asm.DWord),
			asm.Return()),
		Maps: []*ebpf.Map{m},
	}
	l := mustLoad(t, p)
	require.True(t, l.Accepted(), l.Log)
	got, err := l.Run(make([]byte, 64), nil, 5)
	require.NoError(t, err)
	require.Equal(t, uint32(46), got.Ret)
	var value uint64
	require.NoError(t, m.Lookup(uint32(0), &value))
	require.Equal(t, uint64(46), value)

	p.RawMapFDs = []int{0}
	p.Insns = append([]byte(nil), p.Insns...)
	p.Maps = append(p.Maps, m)
	binary.NativeEndian.PutUint32(p.Insns[4:], 1<<30) // no such descriptor
	require.Equal(t, syscall.EBADF, mustLoad(t, p).Errno)
}

func TestXDPModifiesPacketAndContext(t *testing.T) {
	needKernel(t)
	l := mustLoad(t, Prog{
		Type: ebpf.XDP,
		Insns: assemble(t,
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.Mov.Imm(asm.R2, -2),
			asm.FnXdpAdjustHead.Call(),
			asm.LoadMem(asm.R2, asm.R6, 0, asm.Word), // data
			asm.LoadMem(asm.R3, asm.R6, 4, asm.Word), // data_end
			asm.Mov.Imm(asm.R0, 0),
			asm.Mov.Reg(asm.R4, asm.R2),
			asm.Add.Imm(asm.R4, 2),
			asm.Instruction{OpCode: asm.JGT.Op(asm.RegSource), Dst: asm.R4, Src: asm.R3, Offset: 2},
			asm.StoreImm(asm.R2, 0, 0x2a, asm.Half),
			asm.Mov.Imm(asm.R0, 3),
			asm.Return()),
	})
	require.True(t, l.Accepted(), l.Log)
	packet := make([]byte, 60)
	for i := range packet {
		packet[i] = byte(i + 1)
	}
	ctx := make([]byte, 24)
	binary.NativeEndian.PutUint32(ctx[4:], uint32(len(packet))) // data_end
	got, err := l.Run(packet, ctx, 1)
	require.NoError(t, err)
	require.Equal(t, uint32(3), got.Ret)
	want := append(binary.NativeEndian.AppendUint16(nil, 0x2a), packet...)
	require.Equal(t, want, got.Data)
	require.Len(t, got.Ctx, len(ctx))
	require.Equal(t, uint32(len(want)), binary.NativeEndian.Uint32(got.Ctx[4:]))
}

// Duration is that of one run, not of all.
func TestDuration(t *testing.T) {
	needKernel(t)
	const trips = 2000
	l := mustLoad(t, Prog{
		Type: ebpf.SocketFilter,
		Insns: assemble(t,
			asm.Mov.Imm(asm.R0, 0),
			asm.Add.Imm(asm.R0, 1),
			asm.Instruction{OpCode: asm.JLT.Op(asm.ImmSource), Dst: asm.R0, Constant: trips, Offset: -2},
			asm.Return()),
	})
	require.True(t, l.Accepted(), l.Log)
	const repeat = 5000
	start := time.Now()
	got, err := l.Run(make([]byte, 64), nil, repeat)
	elapsed := time.Since(start)
	require.NoError(t, err)
	require.Equal(t, uint32(trips), got.Ret)
	require.Positive(t, got.Duration)
	require.LessOrEqual(t, got.Duration*repeat, elapsed)
}

func TestBadInput(t *testing.T) {
	needKernel(t)
	_, err := Load(Prog{Insns: make([]byte, 9)})
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrUnavailable)

	l := mustLoad(t, Prog{Type: ebpf.XDP, Insns: assemble(t, asm.Mov.Imm(asm.R0, 2), asm.Return())})
	_, err = l.Run(nil, nil, 1)
	require.ErrorIs(t, err, syscall.EINVAL)
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())

	_, err = Load(Prog{BTF: []byte("no BTF"), Insns: make([]byte, 8)})
	require.ErrorIs(t, err, syscall.EINVAL)
}

func TestLoadSpecRefused(t *testing.T) {
	needKernel(t)
	_, err := LoadSpec(&ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{
		"bad": {Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Return()}},
	}})
	var refused *ebpf.VerifierError
	require.True(t, errors.As(err, &refused))
	require.Contains(t, strings.Join(refused.Log, "\n"), "R0 !read_ok")
}

func TestParseStats(t *testing.T) {
	const log = `0: R1=ctx() R10=fp0
0: (95) exit
verification time 1234 usec
stack depth 8+0+16
processed 20 insns (limit 1000000) max_states_per_insn 2 total_states 3 peak_states 4 mark_read 5
`
	require.Equal(t, Stats{
		Insns: 20, MaxStates: 2, TotalStates: 3, PeakStates: 4, MarkRead: 5,
		Time: 1234 * time.Microsecond, StackDepth: "8+0+16",
	}, ParseStats(log))
	require.Zero(t, ParseStats("0: (95) exit\n"))
	require.Zero(t, ParseStats(""))
}
