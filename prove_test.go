package sandbpf

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

// refused loads a program that must be refused, and returns why.
func refused(t testing.TB, v *VM, spec *ProgramSpec, named map[string]*maps.Map) *verifier.Error {
	t.Helper()
	p, err := v.LoadProgram(spec, named)
	require.Nil(t, p)
	require.ErrorIs(t, err, verifier.ErrRefused)
	var why *verifier.Error
	require.ErrorAs(t, err, &why)
	return why
}

// TestRefusals loads programs that go wrong: by default they are refused, and without the verifier they
// end in a fault.
func TestRefusals(t *testing.T) {
	strict, loose := newVM(t), newVM(t, WithoutVerifier(), WithLimit(1000))
	sanitized := newVM(t, WithoutVerifier(), WithSanitizer())
	for _, c := range []struct {
		name, text string
		code       verifier.Code
		vm         *VM
		fault      error
	}{
		{"packet bytes that are not compared with the end", "r2 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r2 + 1)\nexit",
			verifier.CodePacketBounds, sanitized, ErrUnchecked},
		{"read behind the packet", "r2 = *(u32 *)(r1 + 4)\nr0 = *(u8 *)(r2 + 0)\nexit", verifier.CodeBadDeref, loose, ErrAccess},
		{"stack that was never written", "r2 = r10\nr2 += -8\nr0 = *(u64 *)(r2 + 0)\nr0 = 1\nexit", "", sanitized, ErrUninit},
		{"read above the stack", "r0 = *(u64 *)(r10 + 8)\nexit", verifier.CodeStackBounds, loose, ErrAccess},
		{"a number as a pointer", "r2 = 64\nr0 = *(u8 *)(r2 + 0)\nexit", verifier.CodeScalarDeref, loose, ErrAccess},
		{"behind the context", "r0 = *(u32 *)(r1 + 24)\nexit", verifier.CodeCtxAccess, loose, ErrAccess},
		{"write to the context", "*(u32 *)(r1 + 0) = 1\nr0 = 0\nexit", verifier.CodeCtxAccess, loose, ErrPermission},
		{"endless", "r0 = 0\nagain:\nif r0 == 0 goto again\nexit", verifier.CodeInfiniteLoop, loose, ErrBudget},
		{"recursion", "f:\ncall f\nexit", verifier.CodeCallDepth, loose, ErrCallDepth},
	} {
		if c.code != "" { // Linux lets root read its own stack
			require.Equal(t, c.code, refused(t, strict, &ProgramSpec{Name: "test", Type: XDP, License: "GPL",
				Instructions: parse(t, c.text)}, nil).Code, c.name)
		}
		_, _, err := program(t, c.vm, XDP, c.text, nil).Test(packet)
		require.ErrorIs(t, err, c.fault, c.name)
	}
}

// TestRefusal looks at what is said of calls that the program may not make, and at the sandbox's own
// limits, which count for more than what is wrong about how it calls.
func TestRefusal(t *testing.T) {
	v := newVM(t)
	for _, c := range []struct {
		name string
		spec ProgramSpec
		code verifier.Code
		text string
	}{
		{"unknown helper", ProgramSpec{Instructions: parse(t, "call 9999\nexit")}, verifier.CodeHelperUnknown,
			"program test: instruction 0: there is no helper number 9999 (test.c:7: call();)"},
		{"helper of another type", ProgramSpec{Instructions: parse(t, "call bpf_skb_load_bytes\nexit")}, verifier.CodeHelperDenied,
			"programs of type xdp cannot call"},
		{"licence", ProgramSpec{License: "MIT", Instructions: parse(t, "call bpf_trace_printk\nexit")}, verifier.CodeLicense, `"MIT"`},
		{"nothing", ProgramSpec{}, verifier.CodeEmpty, "0 instructions"},
		{"helper without a body", ProgramSpec{Instructions: parse(t, "call bpf_sk_lookup_tcp\nexit")}, "", "call of bpf_sk_lookup_tcp"},
		{"kernel function", ProgramSpec{Instructions: asm.Instructions{asm.CallKfunc("bpf_rdonly_cast"), asm.Return()}}, "",
			"call of bpf_rdonly_cast: unsupported operation: kernel functions cannot be called"},
		{"weak kernel function, called all the same", ProgramSpec{Instructions: asm.Instructions{asm.CallKfunc("bpf_rdonly_cast"), asm.Return()},
			Kfuncs: map[string]*prog.Kfunc{"bpf_rdonly_cast": {Name: "bpf_rdonly_cast", Weak: true}}}, "", "kernel functions cannot be called"},
		{"kernel variable", ProgramSpec{Instructions: parse(t, "r0 = ksym[jiffies]\nexit")}, "",
			"kernel variable jiffies: unsupported operation"},
		{"arena", ProgramSpec{Instructions: parse(t, "r0 = 0\nr0 = addr_space_cast(r0, 0, 1)\nexit")}, "", "arenas are not supported"},
	} {
		c.spec.Name, c.spec.Type = "test", XDP
		c.spec.Lines = []Line{{Slot: 0, File: "test.c", Number: 7, Text: "call();"}}
		p, err := v.LoadProgram(&c.spec, nil)
		require.Nil(t, p, c.name)
		require.ErrorContains(t, err, c.text, c.name)
		if c.code == "" {
			require.ErrorIs(t, err, ErrNotSupported, c.name)
			continue
		}
		var why *verifier.Error
		require.ErrorAs(t, err, &why, c.name)
		require.Equal(t, c.code, why.Code, c.name)
	}
	dead := program(t, v, XDP, "r0 = 0\nif r0 == 0 goto out\ncall bpf_sk_lookup_tcp\nout: exit", nil)
	require.NotNil(t, dead, "Linux, too, lets dead code call what it likes")
}

// TestWeakVariables has programs ask for weak variables of a kernel, which are not there: their address
// is null to the verifier as it is at run time.
func TestWeakVariables(t *testing.T) {
	v := newVM(t)
	for _, name := range []string{"runqueues", "bpf_prog_active", "jiffies", "init_task", "no_such_variable"} {
		spec := &ProgramSpec{Name: "test", Type: XDP, License: "GPL", Ksyms: map[string]*prog.Extern{name: {Name: name, Weak: true}},
			Instructions: parse(t, "r1 = ksym["+name+"]\nr0 = 7\nif r1 == 0 goto out\nr0 = *(u64 *)(r1 + 0)\nout: exit")}
		p, err := v.LoadProgram(spec, nil)
		require.NoError(t, err, name)
		ret, _, err := p.Test(packet)
		require.NoError(t, err, name)
		require.Equal(t, uint32(7), ret)
		require.NoError(t, p.Close())
		spec.Instructions = parse(t, "r1 = ksym["+name+"]\nr0 = *(u64 *)(r1 + 0)\nexit")
		require.Equal(t, verifier.CodeScalarDeref, refused(t, v, spec, nil).Code, name)
	}
}

// indexed is a program that uses a number from a map as an index into the stack, which only the
// number's being known makes safe.
const indexed = `*(u64 *)(r10 - 8) = 5
	r2 = map[numbers]
	*(u32 *)(r10 - 16) = %KEY
	r1 = r2
	r2 = r10
	r2 += -16
	call bpf_map_lookup_elem
	if r0 == 0 goto out
	r1 = *(u64 *)(r0 + 0)
	r2 = r10
	r2 += r1
	r0 = *(u64 *)(r2 + 0)
	exit
	out: r0 = 0
	exit`

// TestConstantMaps has the verifier take only those maps for constants that nobody changes any more.
func TestConstantMaps(t *testing.T) {
	v := newVM(t)
	rdonly := uint32(maps.FlagRdonlyProg | maps.FlagMmapable)
	load := func(m *maps.Map, key string) error {
		p, err := v.LoadProgram(&ProgramSpec{Name: "test", Type: XDP, License: "GPL",
			Instructions: parse(t, replaceKey(indexed, key))}, map[string]*maps.Map{"numbers": m})
		if err != nil {
			return err
		}
		ret, _, err := p.Test(packet)
		require.NoError(t, err)
		require.Equal(t, uint32(5), ret)
		return p.Close()
	}
	numbers := func(flags, entries uint32, values ...int64) *maps.Map {
		m, err := v.NewMap(&maps.Spec{Name: "numbers", Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: entries, Flags: flags})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, m.Close()) })
		for i, n := range values {
			require.NoError(t, m.Put(uint32(i), n))
		}
		return m
	}
	refuses := func(m *maps.Map, key, why string) {
		var e *verifier.Error
		require.ErrorAs(t, load(m, key), &e, why)
	}

	m := numbers(rdonly, 1, -8)
	refuses(m, "0", "a map that is not frozen can change")
	require.NoError(t, m.Freeze())
	require.NoError(t, load(m, "0"))

	writable := numbers(maps.FlagMmapable, 1, -8)
	require.NoError(t, writable.Freeze())
	refuses(writable, "0", "programs can change it")

	given := numbers(rdonly, 1, -8)
	memory, err := given.Memory()
	require.NoError(t, err)
	require.NoError(t, given.Freeze())
	refuses(given, "0", "its bytes were given away before")
	memory[0] = 1

	several := numbers(rdonly, 2, -8, 4096)
	require.NoError(t, several.Freeze())
	refuses(several, "1", "the first value is not the second")
	refuses(several, "0", "")
}

func replaceKey(text, key string) string {
	const mark = "%KEY"
	for i := 0; i+len(mark) <= len(text); i++ {
		if text[i:i+len(mark)] == mark {
			return text[:i] + key + text[i+len(mark):]
		}
	}
	return text
}

// TestFreezeAfterLoad freezes a map, and changes one, after programs were loaded that know nothing of
// what is in it.
func TestFreezeAfterLoad(t *testing.T) {
	v := newVM(t)
	m, err := v.NewMap(&maps.Spec{Name: "numbers", Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: maps.FlagRdonlyProg})
	require.NoError(t, err)
	defer m.Close()
	p := program(t, v, XDP, "r1 = map[numbers]\n*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\n"+
		"if r0 == 0 goto out\nr0 = *(u64 *)(r0 + 0)\nout: exit", map[string]*maps.Map{"numbers": m})
	for i := range 3 {
		require.NoError(t, m.Put(uint32(0), uint64(i)))
		if i == 2 {
			require.NoError(t, m.Freeze())
		}
		ret, _, err := p.Test(packet)
		require.NoError(t, err)
		require.Equal(t, uint32(i), ret)
	}
}

// TestInnerMaps looks up elements of inner maps by constant keys. That they are there, and what they hold, the
// template does not tell.
func TestInnerMaps(t *testing.T) {
	v := newVM(t)
	inner := func(flags, entries uint32, value uint64) *maps.Spec {
		return &maps.Spec{Name: "inner", Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: entries, Flags: flags,
			Contents: []maps.KV{{Key: uint32(0), Value: value}}, Freeze: flags&maps.FlagRdonlyProg != 0}
	}
	lookup := func(key, use string) asm.Instructions {
		return parse(t, "*(u64 *)(r10 - 16) = 5\n*(u32 *)(r10 - 4) = 0\nr1 = map[outer]\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\n"+
			"if r0 == 0 goto out\nr1 = r0\n*(u32 *)(r10 - 8) = "+key+"\nr2 = r10\nr2 += -8\ncall bpf_map_lookup_elem\n"+use+
			"exit\nout: r0 = 77\nexit")
	}
	load := func(template, held *maps.Spec, insns asm.Instructions) (uint32, error) {
		outer, err := v.NewMap(&maps.Spec{Name: "outer", Type: maps.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1, InnerMap: template})
		require.NoError(t, err)
		defer outer.Close()
		in, err := v.NewMap(held)
		require.NoError(t, err)
		defer in.Close()
		require.NoError(t, outer.Put(uint32(0), in))
		p, err := v.LoadProgram(&ProgramSpec{Name: "test", Type: XDP, License: "GPL", Instructions: insns}, map[string]*maps.Map{"outer": outer})
		if err != nil {
			return 0, err
		}
		defer p.Close()
		ret, _, err := p.Test(packet)
		require.NoError(t, err)
		return ret, nil
	}
	var why *verifier.Error

	use := "r0 = *(u64 *)(r0 + 0)\n"
	ret, err := load(inner(0, 4, 9), inner(0, 4, 9), lookup("0", use))
	require.NoError(t, err, "all inner arrays have four elements")
	require.Equal(t, uint32(9), ret)
	_, err = load(inner(maps.FlagInnerMap, 4, 9), inner(maps.FlagInnerMap, 1, 9), lookup("3", use))
	require.ErrorAs(t, err, &why, "inner arrays can have any number of elements")
	require.Equal(t, verifier.CodeNullDeref, why.Code)
	ret, err = load(inner(maps.FlagInnerMap, 4, 9), inner(maps.FlagInnerMap, 1, 9), lookup("3", "if r0 == 0 goto out\n"+use))
	require.NoError(t, err)
	require.Equal(t, uint32(77), ret)

	const rdonly = maps.FlagRdonlyProg
	stack := "r1 = *(u64 *)(r0 + 0)\nr2 = r10\nr2 += r1\nr0 = *(u8 *)(r2 + 0)\n"
	_, err = load(inner(rdonly, 1, ^uint64(15)), inner(rdonly, 1, 1<<20), lookup("0", stack))
	require.ErrorAs(t, err, &why, "what the template holds is not what the map holds")
}

// TestNamesOfMaps gives a program maps under other names than their own.
func TestNamesOfMaps(t *testing.T) {
	insns := parse(t, "r1 = map[b]\nr3 = ksym[x]\nr2 = map[a]\nr1 = map[b]\nexit")
	require.Equal(t, []string{"b", "a"}, mapNames(&ProgramSpec{Instructions: append(asm.Instructions{asm.LoadFunc(asm.R2, "f"),
		asm.LoadMapValue(asm.R2, "b", 0), asm.CallKfunc("k")}, insns...)}))
}

// TestTailCallsOfVerified has programs of two VMs, one of which does not verify, try to share an array: a
// program that is proved must not go on in one that is not, or the other way round.
func TestTailCallsOfVerified(t *testing.T) {
	strict, loose := newVM(t, WithCPUs(1)), newVM(t, WithCPUs(1), WithoutVerifier())
	progs, err := strict.NewMap(&maps.Spec{Name: "progs", Type: maps.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2})
	require.NoError(t, err)
	defer progs.Close()
	require.NoError(t, progs.Put(uint32(0), program(t, strict, XDP, "r0 = 1\nexit", nil)))
	require.ErrorIs(t, progs.Put(uint32(1), program(t, loose, XDP, "r0 = *(u8 *)(r1 + 99)\nexit", nil)), maps.EINVAL)
	point := hooks.NewXDP("eth0")
	link, err := point.Attach(program(t, strict, XDP, "r0 = 2\nexit", nil))
	require.NoError(t, err)
	defer link.Detach()
	_, err = point.Attach(program(t, loose, XDP, "r0 = 2\nexit", nil))
	require.ErrorIs(t, err, hooks.ErrOtherVM)
}
