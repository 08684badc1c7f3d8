package jit

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// noMap is a map that holds nothing.
type noMap struct{ vm.Map }

func (noMap) Name() string                         { return "none" }
func (noMap) Addr() uint64                         { return 0x1000 }
func (noMap) Find(uintptr) (_ mem.Region, ok bool) { return }

// TestLeaf calls a leaf that adds r1 and r2, unless r2 is 7: then it declines, and Go
// does the call.
func TestLeaf(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	pages, err := mem.NewCode(64)
	require.NoError(t, err)
	defer pages.Release()
	addr, err := pages.Write([]byte{
		0x48, 0x83, 0xfe, 0x07, // cmp rsi, 7
		0x74, 0x06, // je decline
		0x48, 0x8d, 0x04, 0x37, // lea rax, [rdi+rsi]
		0xf8, 0xc3, // clc; ret
		0xf9, 0xc3, // decline: stc; ret
	})
	require.NoError(t, err)
	require.NoError(t, pages.Seal())
	for text, want := range map[string]uint64{
		"r1 = 30\nr2 = 12\ncall 1\nexit": 42,
		"r1 = 30\nr2 = 7\ncall 1\nexit":  1000 + 37,
	} {
		p := enginetest.Parse(t, text)
		r := enginetest.NewRig(t)
		tracer := enginetest.NewTracer(p, r.CPU)
		tracer.Proof.Insns[2].Map = 0
		asked := 0
		code := compile(t, p, Env{Proof: tracer.Proof, Maps: []vm.Map{noMap{}},
			Helper: func(asm.BuiltinFunc) vm.Helper {
				return func(_ *vm.CPU, a *[5]uint64) (uint64, error) { return 1000 + a[0] + a[1], nil }
			},
			Leaf: func(fn asm.BuiltinFunc, m vm.Map) uintptr {
				asked++
				require.Equal(t, asm.FnMapLookupElem, fn)
				return addr
			}})
		require.Equal(t, 1, asked)
		r0, _, err := r.Run(code, make([]byte, 8))
		require.NoError(t, err)
		require.Equal(t, want, r0)
	}
}
