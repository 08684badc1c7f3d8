package cbpf

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/kernel"
)

// engine runs translations.
type engine struct {
	name string
	// linux says that the engine may be missing, and must be used sparingly: Linux
	// frees programs on a shared work queue, and thousands of loads in a few
	// seconds fill that with work that blocks on a lock, whose holder waits for
	// the same queue. From then on nothing on the machine can load a program.
	linux bool
	// load readies a translation. The functions that it returns give r0, and
	// release what was loaded.
	load func(t testing.TB, insns asm.Instructions, mode Mode) (run func(in input) uint32, release func())
}

var engines = []engine{
	{name: "interp", load: loadInterp()},
	{name: "sanitizer", load: loadInterp(sandbpf.WithSanitizer())},
	{name: "linux", linux: true, load: loadLinux},
}

// eachEngine runs the test on every engine that is there.
func eachEngine(t *testing.T, test func(t *testing.T, e engine)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			if e.linux {
				if err := kernel.Available(); err != nil {
					t.Skip(err)
				}
			}
			test(t, e)
		})
	}
}

// loadInterp loads into a VM of one CPU, which lives as long as the process.
func loadInterp(options ...sandbpf.Option) func(testing.TB, asm.Instructions, Mode) (func(input) uint32, func()) {
	vm := sync.OnceValues(func() (*sandbpf.VM, error) {
		return sandbpf.New(append(options, sandbpf.WithCPUs(1), sandbpf.WithLimit(1<<20))...)
	})
	return func(t testing.TB, insns asm.Instructions, mode Mode) (run func(input) uint32, release func()) {
		vm, err := vm()
		require.NoError(t, err)
		spec := &sandbpf.ProgramSpec{Name: mode.String(), Instructions: insns} // r1 is memory, r2 its length
		if mode == SocketFilter {
			spec.Type = sandbpf.SocketFilter
		}
		prog, err := vm.LoadProgram(spec, nil)
		require.NoError(t, err)
		var test hooks.TestRun
		return func(in input) uint32 {
			test.Data = in.data
			if mode == SocketFilter {
				test.Data, test.Context = in.frame(), in.context()
			}
			require.NoError(t, prog.Run(t.Context(), &test))
			require.LessOrEqual(t, test.Ret, uint64(maxWord))
			return uint32(test.Ret)
		}, func() { require.NoError(t, prog.Close()) }
	}
}

// frame returns the packet that a test run makes in's socket buffer of: it takes
// the first 14 bytes for a link layer header, and shows socket filters what is
// behind it.
func (in *input) frame() []byte { return slices.Concat(in.link, in.data) }

// context returns the struct __sk_buff with what a test run does not make up.
func (in *input) context() []byte {
	ctx := make([]byte, 192)
	binary.NativeEndian.PutUint32(ctx[skbMark:], in.anc[adMark])
	return ctx
}

// memorySize is how many bytes of input Linux's maps hold in these tests.
const memorySize = 4096

func loadLinux(t testing.TB, insns asm.Instructions, mode Mode) (run func(input) uint32, release func()) {
	if mode == SocketFilter {
		prog := mustLoad(t, kernel.Prog{Type: ebpf.SocketFilter}, insns)
		return func(in input) uint32 {
			res, err := prog.Run(in.frame(), in.context(), 1)
			require.NoError(t, err)
			return res.Ret
		}, func() { require.NoError(t, prog.Close()) }
	}
	holder, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8 + memorySize, MaxEntries: 1})
	require.NoError(t, err)
	// The input is in a map: its length, which a verifier must see bounded, then
	// its bytes.
	entry := asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		{Op: 0x18, Dst: asm.R1, Src: asm.PseudoMapFD}, // map 0
		asm.FnMapLookupElem.Call(),
		skip(asm.JNE.Imm(asm.R0, 0, ""), 1),
		asm.Return(),
		asm.LoadMem(asm.R2, asm.R0, 0, asm.Word),
		skip(asm.JLE.Imm(asm.R2, memorySize, ""), 2),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
		asm.Mov.Reg(asm.R1, asm.R0),
		asm.Add.Imm(asm.R1, 8),
	}
	prog := mustLoad(t, kernel.Prog{Type: ebpf.XDP, Maps: []*ebpf.Map{holder}}, append(entry, insns...))
	return func(in input) uint32 {
		value := make([]byte, 8+memorySize)
		binary.NativeEndian.PutUint32(value, uint32(len(in.data)))
		copy(value[8:], in.data)
		require.NoError(t, holder.Put(uint32(0), value))
		res, err := prog.Run(make([]byte, 64), nil, 1)
		require.NoError(t, err)
		return res.Ret
	}, func() { require.NoError(t, errors.Join(prog.Close(), holder.Close())) }
}

func mustLoad(t testing.TB, p kernel.Prog, insns asm.Instructions) *kernel.Loaded {
	t.Helper()
	raw, err := insns.Encode(binary.NativeEndian)
	require.NoError(t, err)
	p.Insns = raw
	prog, err := kernel.Load(p)
	require.NoError(t, err)
	require.True(t, prog.Accepted(), "%v\n%s", prog.Errno, prog.Log)
	return prog
}
