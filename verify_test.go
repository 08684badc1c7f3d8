package sandbpf_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/loader"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

// readsConstant is a program that only a verifier passes which knows the value of a frozen
// map: if the number is not 7, it reads a register that nothing has written.
func readsConstant(t *testing.T) *sandbpf.ProgramSpec {
	insns, err := asm.Parse(`
		r1 = map[config][0]+4 ll
		r2 = *(u32 *)(r1 + 0)
		if r2 == 7 goto out
		r0 = r9
	out:	r0 = 1
		exit`)
	require.NoError(t, err)
	return &sandbpf.ProgramSpec{Name: "p", Type: prog.XDP, License: "GPL", Instructions: insns}
}

func config(value uint32, freeze bool) *maps.Spec {
	return &maps.Spec{Name: "config", Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: maps.FlagRdonlyProg,
		Contents: []maps.KV{{Key: uint32(0), Value: [2]uint32{0, value}}}, Freeze: freeze}
}

func refusedFor(t *testing.T, err error, code verifier.Code) {
	t.Helper()
	var refused *verifier.Error
	require.True(t, errors.As(err, &refused), "%v", err)
	require.Equal(t, code, refused.Code)
	require.ErrorIs(t, err, verifier.ErrRefused)
}

// TestRefusalsHaveCodes has programs that are refused before any path is walked: they are told
// from each other as all others are.
func TestRefusalsHaveCodes(t *testing.T) {
	vm, err := sandbpf.New(sandbpf.WithCPUs(1))
	require.NoError(t, err)
	defer vm.Close()
	zero, exit := asm.Mov.Imm(asm.R0, 0), asm.Return()
	pair := &maps.Spec{Name: "pair", Type: maps.Array, KeySize: 4, ValueSize: 16, MaxEntries: 2}
	m, err := vm.NewMap(pair)
	require.NoError(t, err)
	defer m.Close()
	named := map[string]*maps.Map{"pair": m}
	for _, c := range []struct {
		name  string
		insns asm.Instructions
		code  verifier.Code
		insn  int
	}{
		{"nothing", nil, verifier.CodeEmpty, -1},
		{"too much", slices.Repeat(asm.Instructions{zero}, prog.MaxSlots+1), verifier.CodeEmpty, -1},
		{"unknown opcode", asm.Instructions{zero, {Op: 0xff}, exit}, verifier.CodeOpcode, 1},
		{"call through a register", asm.Instructions{zero, {Op: 0x8d}, exit}, verifier.CodeOpcode, 1},
		{"register", asm.Instructions{asm.Mov.Imm(11, 0), exit}, verifier.CodeReserved, 0},
		{"reserved field", asm.Instructions{zero, {Op: 0x95, Imm: 1}}, verifier.CodeReserved, 1},
		{"kind of immediate", asm.Instructions{{Op: 0x18, Src: 9}, exit}, verifier.CodeLdImm64, 0},
		{"offset of a map", asm.Instructions{asm.Instruction{Op: 0x18, Src: 1, Imm: 4 << 32}.WithReference("pair"), exit}, verifier.CodeLdImm64, 0},
		{"value of two", asm.Instructions{asm.LoadMapValue(asm.R1, "pair", 0), exit}, verifier.CodeLdImm64, 0},
		{"jump out", asm.Instructions{zero, {Op: 0x05, Off: 9}, exit}, verifier.CodeJumpRange, 1},
		{"call out", asm.Instructions{zero, {Op: 0x85, Src: 1, Imm: 9}, exit}, verifier.CodeCallTarget, 1},
		{"jump into an immediate", asm.Instructions{{Op: 0x15, Off: 1}, asm.LoadImm(asm.R0, 0), exit}, verifier.CodeJumpMiddle, 2},
		{"no exit", asm.Instructions{zero}, verifier.CodeFallthrough, 0},
		{"unreachable", asm.Instructions{zero, exit, zero, exit}, verifier.CodeUnreachable, 2},
		{"unset register", asm.Instructions{exit}, verifier.CodeUninitialized, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := &sandbpf.ProgramSpec{Name: "p", Type: prog.XDP, Instructions: c.insns, License: "GPL"}
			coll := &sandbpf.CollectionSpec{Programs: map[string]*sandbpf.ProgramSpec{"p": spec}, Maps: map[string]*maps.Spec{"pair": pair}}
			_, loadErr := vm.LoadProgram(spec, named)
			_, collErr := vm.LoadCollection(coll)
			_, verifyErr := vm.VerifyProgram(spec, named)
			_, plannedErr := coll.Verify("p", nil)
			for _, err := range []error{loadErr, collErr, verifyErr, plannedErr} {
				refusedFor(t, err, c.code)
				require.Equal(t, c.insn, err.(*verifier.Error).Insn) // bare, so that %+v tells the story
			}
		})
	}
}

// TestNamesOfNothing: a name of what is not there is no matter of the verifier.
func TestNamesOfNothing(t *testing.T) {
	vm, err := sandbpf.New(sandbpf.WithCPUs(1))
	require.NoError(t, err)
	defer vm.Close()
	spec := &sandbpf.ProgramSpec{Name: "p", Type: prog.XDP, Instructions: asm.Instructions{asm.LoadMapPtr(asm.R1, "m"), asm.Return()}}
	_, loadErr := vm.LoadProgram(spec, nil)
	_, verifyErr := vm.VerifyProgram(spec, nil)
	for _, err := range []error{loadErr, verifyErr} {
		var invalid *sandbpf.ProgramError
		require.ErrorAs(t, err, &invalid)
		require.ErrorIs(t, err, sandbpf.ErrInvalidProgram)
		require.Equal(t, `map "m" is not in the collection`, invalid.Reason)
	}
}

func TestVerifyKnowsFrozenMaps(t *testing.T) {
	vm, err := sandbpf.New(sandbpf.WithCPUs(1))
	require.NoError(t, err)
	defer vm.Close()
	for _, c := range []struct {
		name   string
		spec   *maps.Spec
		passes bool
	}{
		{"frozen", config(7, true), true},
		{"another value", config(8, true), false},
		{"not frozen", config(7, false), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := vm.NewMap(c.spec)
			require.NoError(t, err)
			defer m.Close()
			coll := &sandbpf.CollectionSpec{Programs: map[string]*sandbpf.ProgramSpec{"p": readsConstant(t)}, Maps: map[string]*maps.Spec{"config": c.spec}}
			live, liveErr := vm.VerifyProgram(coll.Programs["p"], map[string]*maps.Map{"config": m})
			planned, plannedErr := coll.Verify("p", nil)
			for _, got := range []struct {
				proof *verifier.Proof
				err   error
			}{{live, liveErr}, {planned, plannedErr}} {
				if c.passes {
					require.NoError(t, got.err)
					require.False(t, got.proof.Insns[4].Seen, "the dead read")
					continue
				}
				require.Nil(t, got.proof)
				refusedFor(t, got.err, verifier.CodeUninitialized)
			}
		})
	}
}

func TestVerifyOfCustomHook(t *testing.T) {
	type event struct{ Size, Kind uint32 }
	hook, err := hooks.New[event]("verify_test", hooks.Returns(0, 1))
	require.NoError(t, err)
	vm, err := sandbpf.New(sandbpf.WithCPUs(1), sandbpf.WithHook(hook))
	require.NoError(t, err)
	defer vm.Close()
	verify := func(text string) error {
		insns, err := asm.Parse(text)
		require.NoError(t, err)
		_, err = vm.VerifyProgram(&sandbpf.ProgramSpec{Name: "p", Type: prog.Custom, AttachTo: "verify_test", Instructions: insns}, nil)
		return err
	}
	require.NoError(t, verify("r0 = *(u32 *)(r1 + 4)\nr0 &= 1\nexit"))
	refusedFor(t, verify("r0 = *(u32 *)(r1 + 4)\nexit"), verifier.CodeReturn)
	refusedFor(t, verify("r0 = *(u32 *)(r1 + 8)\nr0 &= 1\nexit"), verifier.CodeCtxAccess)
}

func TestVerifyOptions(t *testing.T) {
	insns, err := asm.Parse("r0 = r10\nexit")
	require.NoError(t, err)
	coll := &sandbpf.CollectionSpec{Programs: map[string]*sandbpf.ProgramSpec{"p": {Name: "p", Type: prog.SocketFilter, Instructions: insns}}}
	var log bytes.Buffer
	_, err = coll.Verify("p", func(env *verifier.Env) { env.Log, env.LogLevel = &log, 2 })
	require.NoError(t, err)
	require.Contains(t, log.String(), "exit")
	_, err = coll.Verify("p", func(env *verifier.Env) { env.Privilege = verifier.CapBPF })
	refusedFor(t, err, verifier.CodePtrLeak)
	_, err = coll.Verify("q", nil)
	require.ErrorIs(t, err, sandbpf.ErrNotExist)
	coll.Programs["p"].Type, coll.Programs["p"].Section = prog.Unspec, "socket1"
	_, err = coll.Verify("p", nil)
	require.ErrorIs(t, err, sandbpf.ErrUnknownHook)
	require.ErrorContains(t, err, `section "socket1" says no program type of Linux; near to it is section "socket"`)
}

// FuzzVerifyObject verifies the programs of changed object files: each gets a verdict.
func FuzzVerifyObject(f *testing.F) {
	for _, name := range []string{"firewall.o", "global_func.o", "rejected.o"} {
		b, err := os.ReadFile(filepath.Join("testdata", "elf", name))
		require.NoError(f, err)
		f.Add(b, []byte{1, 2, 3})
	}
	f.Fuzz(func(t *testing.T, object, changes []byte) {
		object = bytes.Clone(object)
		for ; len(changes) >= 3 && len(object) > 0; changes = changes[3:] {
			object[(int(changes[0])<<8|int(changes[1]))%len(object)] = changes[2]
		}
		spec, err := loader.LoadSpecFromReader(bytes.NewReader(object))
		if err != nil {
			return
		}
		for name := range spec.Programs {
			proof, err := spec.Verify(name, nil)
			require.NotEqual(t, proof == nil, err == nil, "%v", err)
			var refused *verifier.Error
			if errors.As(err, &refused) {
				require.NotEqual(t, verifier.CodeInternalError, refused.Code, "%+v", err)
			}
		}
	})
}
