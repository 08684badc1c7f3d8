package sandbpf_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
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
	coll.Programs["p"].Type = prog.Unspec
	_, err = coll.Verify("p", nil)
	require.ErrorIs(t, err, sandbpf.ErrUnknownHook)
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
