package hooks_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
)

// TestNext has programs pass an event on, or decide it.
func TestNext(t *testing.T) {
	for _, c := range []struct {
		name     string
		options  []hooks.Option
		programs []int32 // what they return, in their order
		want     int64
	}{
		{"nobody decides", []hooks.Option{hooks.Next(-1)}, nil, -1},
		{"the first decides", []hooks.Option{hooks.Next(-1)}, []int32{0, 7}, 0},
		{"the second decides", []hooks.Option{hooks.Next(-1)}, []int32{-1, 7}, 7},
		{"all pass it on", []hooks.Option{hooks.Next(-1)}, []int32{-1, -1}, -1},
		{"without the option", nil, []int32{0, 7}, 7},
		{"without the option, nobody decides", nil, nil, 0},
		{"with a range", []hooks.Option{hooks.Returns(0, 2), hooks.Next(2)}, []int32{2, 1}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := hooks.New[small]("next", c.options...)
			require.NoError(t, err)
			v := newVM(t, sandbpf.WithHook(h))
			for _, n := range c.programs {
				link, err := h.Attach(load(t, v, h.Type(), returning(n)...))
				require.NoError(t, err)
				defer link.Detach()
			}
			ret, err := h.Fire(&small{})
			require.NoError(t, err)
			require.Equal(t, c.want, int64(ret))
		})
	}
}

// TestAllowHelpers has a hook without the option, with one helper, and with none.
func TestAllowHelpers(t *testing.T) {
	calling := func(fn asm.BuiltinFunc) []asm.Instruction {
		return []asm.Instruction{fn.Call(), asm.Mov.Imm(asm.R0, 0), asm.Return()}
	}
	for _, c := range []struct {
		name    string
		options []hooks.Option
		allowed []asm.BuiltinFunc
		refused []asm.BuiltinFunc
	}{
		{"without", nil, []asm.BuiltinFunc{asm.FnKtimeGetNs, asm.FnGetPrandomU32}, []asm.BuiltinFunc{asm.FnGetHashRecalc}},
		{"one", []hooks.Option{hooks.AllowHelpers(asm.FnKtimeGetNs)}, []asm.BuiltinFunc{asm.FnKtimeGetNs}, []asm.BuiltinFunc{asm.FnGetPrandomU32}},
		{"none", []hooks.Option{hooks.AllowHelpers()}, nil, []asm.BuiltinFunc{asm.FnKtimeGetNs}},
		{"one of its own", []hooks.Option{hooks.AllowHelpers(), hooks.Helper("own", func() uint64 { return 1 })},
			[]asm.BuiltinFunc{hooks.FirstCustomHelper}, []asm.BuiltinFunc{asm.FnKtimeGetNs}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := hooks.New[small]("allow", c.options...)
			require.NoError(t, err)
			verified, checked := newVM(t, sandbpf.WithHook(h)), unverified(t, sandbpf.WithHook(h))
			for _, fn := range c.allowed {
				load(t, verified, h.Type(), calling(fn)...)
				load(t, checked, h.Type(), calling(fn)...)
			}
			for _, fn := range c.refused {
				for _, v := range []*sandbpf.VM{verified, checked} {
					_, err := v.LoadProgram(&sandbpf.ProgramSpec{Name: "test", Type: h.Type().Prog, AttachTo: "allow",
						License: "GPL", Instructions: calling(fn)}, nil)
					require.ErrorContains(t, err, fn.String())
				}
			}
		})
	}
}
