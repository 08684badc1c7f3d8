package leaf_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/kernel"
)

// linuxLoop is a program in Linux that does something with each of n keys of size
// bytes, which lie one behind the other in an array's only value.
func linuxLoop(tb testing.TB, m, keys *ebpf.Map, size, n int, call asm.Instructions) *kernel.Loaded {
	insns := asm.Instructions{
		asm.LoadMapValue(asm.R6, 1, 0),
		asm.Mov.Imm(asm.R7, 0),
		asm.Mov.Reg(asm.R2, asm.R6).WithSymbol("loop"),
		asm.Add.Reg(asm.R2, asm.R7),
	}
	insns = append(insns, call...)
	insns = append(insns,
		asm.Add.Imm(asm.R7, int32(size)),
		asm.JLT.Imm(asm.R7, int32(size*n), "loop"),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	)
	var raw bytes.Buffer
	require.NoError(tb, insns.Marshal(&raw, binary.LittleEndian))
	l, err := kernel.Load(kernel.Prog{Type: ebpf.SocketFilter, Insns: raw.Bytes(), Maps: []*ebpf.Map{m, keys}})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, l.Close()) })
	require.True(tb, l.Accepted(), l.Log)
	return l
}

func TestQuick(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		name string
		spec ebpf.MapSpec
		n    int
		upd  bool
	}{
		{"hash8", ebpf.MapSpec{Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}, 10000, false},
		{"hash8u", ebpf.MapSpec{Type: ebpf.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}, 10000, true},
		{"lru8", ebpf.MapSpec{Type: ebpf.LRUHash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}, 10000, false},
		{"pcpu8", ebpf.MapSpec{Type: ebpf.PerCPUHash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}, 10000, false},
		{"lpm", ebpf.MapSpec{Type: ebpf.LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 1000, Flags: 1}, 1000, false},
	} {
		m, err := ebpf.NewMap(&c.spec)
		require.NoError(t, err)
		defer m.Close()
		var all []byte
		for i := range c.n {
			k := make([]byte, 8)
			binary.NativeEndian.PutUint64(k, uint64(i)*0x9e3779b97f4a7c15)
			if c.spec.Type == ebpf.LPMTrie {
				binary.NativeEndian.PutUint32(k, 8+rand.Uint32N(25))
				binary.NativeEndian.PutUint32(k[4:], rand.Uint32())
			}
			if c.spec.Type == ebpf.PerCPUHash {
				require.NoError(t, m.Put(k, []uint64{1, 2}))
			} else {
				require.NoError(t, m.Put(k, uint64(i)))
			}
			if c.spec.Type == ebpf.LPMTrie {
				binary.NativeEndian.PutUint32(k, 32)
			}
			all = append(all, k...)
		}
		keys, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(all)), MaxEntries: 1})
		require.NoError(t, err)
		defer keys.Close()
		r := rand.New(rand.NewPCG(1, 2))
		r.Shuffle(c.n, func(i, j int) {
			for b := range 8 {
				all[8*i+b], all[8*j+b] = all[8*j+b], all[8*i+b]
			}
		})
		require.NoError(t, keys.Put(uint32(0), all))
		call := asm.Instructions{asm.LoadMapPtr(asm.R1, 0), asm.FnMapLookupElem.Call()}
		if c.upd {
			call = asm.Instructions{asm.LoadMapPtr(asm.R1, 0), asm.Mov.Reg(asm.R3, asm.R2), asm.Mov.Imm(asm.R4, 0), asm.FnMapUpdateElem.Call()}
		}
		l := linuxLoop(t, m, keys, 8, c.n, call)
		e := linuxLoop(t, m, keys, 8, c.n, nil)
		for range 3 {
			res, err := l.Run(make([]byte, 64), nil, 50)
			require.NoError(t, err)
			require.Zero(t, res.Ret)
			res2, err := e.Run(make([]byte, 64), nil, 50)
			require.NoError(t, err)
			t.Logf("%s %.2f ns, loop %.2f", c.name, float64(res.Duration)/float64(c.n), float64(res2.Duration)/float64(c.n))
		}
	}
}
