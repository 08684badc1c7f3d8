package hooks_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/verifier"
)

type pair struct {
	A hooks.Bytes // at 0 and 8
	B hooks.Bytes `bpf:"rw"` // at 16 and 24
	N uint64      `bpf:"rw"` // at 32
}

// inBounds reads or writes through r2 if n bytes of the slice at off are there.
func inBounds(off, end int, n, access string) string {
	return "r0 = 99\nr2 = *(u64 *)(r1 + " + itoa(off) + ")\nr3 = *(u64 *)(r1 + " + itoa(end) + ")\nr4 = r2\nr4 += " + n +
		"\nif r4 > r3 goto out\n" + access + "\nout: exit"
}

// TestSlicesAreProved has the verifier tell byte slices of a context apart, by where they end and whether they
// may be written: compiled programs that it accepts access them unchecked.
func TestSlicesAreProved(t *testing.T) {
	h, err := hooks.New[pair]("slices_are_proved")
	require.NoError(t, err)
	v := newVM(t, sandbpf.WithHook(h))
	for _, c := range []struct {
		name, text string
		code       verifier.Code
	}{
		{"end of another slice", inBounds(0, 24, "8", "r0 = *(u64 *)(r2 + 0)"), verifier.CodePacketBounds},
		{"end of another slice, the other way round", inBounds(16, 8, "8", "r0 = *(u64 *)(r2 + 0)"), verifier.CodePacketBounds},
		{"one byte more", inBounds(0, 8, "7", "r0 = *(u64 *)(r2 + 0)"), verifier.CodePacketBounds},
		{"write of a slice that is read-only", inBounds(0, 8, "8", "*(u64 *)(r2 + 0) = 1"), verifier.CodeReadOnly},
		{"write through a spilled pointer", inBounds(0, 8, "8", "*(u64 *)(r10 - 8) = r2\nr2 = *(u64 *)(r10 - 8)\n*(u8 *)(r2 + 0) = 1"),
			verifier.CodeReadOnly},
		{"a slice that is not compared", "r2 = *(u64 *)(r1 + 0)\nr0 = *(u8 *)(r2 + 0)\nexit", verifier.CodePacketBounds},
		{"half a pointer", "r0 = *(u32 *)(r1 + 0)\nexit", verifier.CodeCtxAccess},
		{"a pointer replaced", "*(u64 *)(r1 + 0) = r10\nr0 = 0\nexit", verifier.CodeCtxAccess},
		{"a pointer replaced by an atomic operation", "r2 = 8\nlock *(u64 *)(r1 + 0) += r2\nr0 = 0\nexit", verifier.CodeAtomic},
	} {
		require.Equal(t, c.code, refused(t, v, h.Type(), parse(t, c.text)...).Code, c.name)
	}

	// Whatever the length, nil included, a program that compares sees only what is there.
	link, err := h.Attach(load(t, v, h.Type(), parse(t, inBounds(16, 24, "8", "*(u64 *)(r2 + 0) = 1\nr0 = *(u8 *)(r2 + 7)"))...))
	require.NoError(t, err)
	defer link.Detach()
	for _, b := range [][]byte{nil, {}, make([]byte, 7), make([]byte, 8), make([]byte, 9), make([]byte, 20000)} {
		ev := pair{A: make([]byte, 100), B: b}
		ret, err := h.Fire(&ev)
		require.NoError(t, err, len(b))
		if len(b) < 8 {
			require.Equal(t, uint64(99), ret, len(b))
			require.Equal(t, make([]byte, len(b)), append([]byte{}, ev.B...))
		} else {
			require.LessOrEqual(t, ret, uint64(1), len(b))
		}
		require.Equal(t, make([]byte, 100), ev.A)
	}
}

// TestHelperMemory gives memory to helpers of a hook: that which is not of a slice is proved, a part of a slice is
// checked when the helper is called.
func TestHelperMemory(t *testing.T) {
	var got [][]byte
	h, err := hooks.New[pair]("helper_memory",
		hooks.Helper("look", func(b []byte) { got = append(got, append([]byte{}, b...)) }),
		hooks.Helper("fill", func(b hooks.Buffer) {
			for i := range b {
				b[i] = 7
			}
		}))
	require.NoError(t, err)
	strict, loose := newVM(t, sandbpf.WithHook(h)), unverified(t, sandbpf.WithHook(h))
	const look, fill = "\ncall 65536\nr0 = 0\nexit", "\ncall 65537\nr0 = 0\nexit"
	fire := func(v *sandbpf.VM, text string, ev pair) error {
		got = nil
		link, err := h.Attach(load(t, v, h.Type(), parse(t, text)...))
		require.NoError(t, err)
		defer link.Detach()
		_, err = h.Fire(&ev)
		return err
	}
	for _, c := range []struct {
		name, text string
		code       verifier.Code
	}{
		{"more stack than there is", "r1 = r10\nr1 += -8\nr2 = 16" + fill, verifier.CodeStackBounds},
		{"stack that was never written", "*(u64 *)(r10 - 8) = 0\nr1 = r10\nr1 += -8\nr2 = *(u64 *)(r1 + 0)\nr1 = 5\nr2 = 8" + look, verifier.CodeArgType},
		{"a size without an upper bound", "r2 = *(u64 *)(r1 + 32)\nr1 = r10\nr1 += -8" + fill, verifier.CodeArgSize},
		{"a read-only slice", "r2 = *(u64 *)(r1 + 8)\nr1 = *(u64 *)(r1 + 0)\nr2 -= r1" + fill, verifier.CodeReadOnly},
		{"the end of a slice", "r1 = *(u64 *)(r1 + 8)\nr2 = 1" + look, verifier.CodeArgType},
	} {
		why := refused(t, strict, h.Type(), parse(t, c.text)...)
		require.Equal(t, c.code, why.Code, c.name+": "+why.Error())
		require.Error(t, fire(loose, c.text, pair{A: []byte("a"), B: []byte("b"), N: 1 << 40}), c.name)
		require.Empty(t, got, c.name)
	}

	slice := "r2 = *(u64 *)(r1 + 8)\nr1 = *(u64 *)(r1 + 0)\nr2 -= r1\n"
	for _, b := range [][]byte{nil, {}, []byte("hello")} {
		require.NoError(t, fire(strict, slice+look, pair{A: b}))
		require.Equal(t, [][]byte{append([]byte{}, b...)}, got)
	}
	for _, more := range []string{"r2 += 1", "r2 = -1", "r1 += -1", "r2 <<= 40"} {
		require.ErrorAs(t, fire(strict, slice+more+look, pair{A: []byte("hello"), B: []byte("b")}), new(*sandbpf.Fault), more)
		require.Empty(t, got, more)
	}

	require.Equal(t, verifier.CodeArgType, refused(t, strict, h.Type(), parse(t, "r2 = 8"+look)...).Code, "the context is no memory")

	// What a helper writes is not what the program has spilled there.
	require.Equal(t, verifier.CodeScalarDeref, refused(t, strict, h.Type(), parse(t,
		"*(u64 *)(r10 - 8) = r1\nr1 = r10\nr1 += -8\nr2 = 8\ncall 65537\nr1 = *(u64 *)(r10 - 8)\nr0 = *(u64 *)(r1 + 32)\nexit")...).Code)
}
