package sandbpf

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/jit"
)

// TestBlinding looks for the constants of a program in its machine code.
func TestBlinding(t *testing.T) {
	if err := jit.Available(); err != nil {
		t.Skip(err)
	}
	const text = `r0 = 0x11223344
		r2 = 0x1122334455667788 ll
		*(u64 *)(r10 - 8) = 0x11223344
		*(u32 *)(r10 - 16) = 0x11223344
		r0 += 0x11223344
		r0 ^= 0x11223344
		w0 *= 0x11223344
		r0 /= 0x11223344
		w2 &= 0x11223344
		r0 |= r2
		if w0 == 0x11223344 goto out
		if r0 s> 0x11223344 goto out
		r3 = *(u64 *)(r10 - 8)
		r0 += r3
		out: exit`
	run := func(options ...Option) (ret uint32, native []byte) {
		p := program(t, newVM(t, append(options, WithoutVerifier())...), XDP, text, nil)
		native, _ = p.Native()
		ret, _, err := p.Test(packet)
		require.NoError(t, err)
		return ret, native
	}
	open := func(native []byte) int {
		return bytes.Count(native, []byte{0x44, 0x33, 0x22, 0x11}) + bytes.Count(native, []byte{0x88, 0x77, 0x66, 0x55, 0x44, 0x33})
	}
	want, interpreted := run(WithEngine(Interpreter))
	require.Nil(t, interpreted)
	plain, native := run()
	require.Equal(t, want, plain)
	require.NotZero(t, open(native))
	for range 20 {
		blinded, native := run(WithBlinding())
		_, again := run(WithBlinding())
		require.Equal(t, want, blinded)
		require.Zero(t, open(native))
		require.NotEqual(t, native, again)
	}
}

// TestPerfMap compares the line for a program with its machine code.
func TestPerfMap(t *testing.T) {
	var lines strings.Builder
	p := program(t, newVM(t, WithPerfMap(&lines)), XDP, "r0 = 1\nexit", nil)
	native, _ := p.Native()
	if native == nil {
		require.Empty(t, lines.String())
		return
	}
	var addr, size uintptr
	var name string
	_, err := fmt.Sscanf(lines.String(), "%x %x %s\n", &addr, &size, &name)
	require.NoError(t, err)
	require.Equal(t, "bpf_prog_test", name)
	require.Equal(t, len(native), int(size))
	require.Equal(t, p.code.(*jit.Code).Addr(), addr)
}
