package bench

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/loader"
)

// native is a program that clang has compiled for this machine, in a process of its own.
type native struct {
	t   testing.TB
	in  io.WriteCloser
	out *bufio.Reader
}

// clang returns the compiler that makes native code.
func clang(t testing.TB) string {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("native code needs Linux on amd64")
	}
	cc := cmp.Or(os.Getenv("CLANG"), "clang-19")
	if _, err := exec.LookPath(cc); err != nil {
		t.Skip(err)
	}
	return cc
}

// native compiles the program's source. It must not call helpers.
func (s *subject) native(t testing.TB, flags ...string) *native {
	data := filepath.Join("..", "..", "testdata")
	file := filepath.Join(t.TempDir(), s.name)
	args := append([]string{"-O2", "-w", "-DPROGRAM=" + s.name, "-I", filepath.Join(data, "include"), "-I", filepath.Join(data, "bench"),
		"-o", file, strings.TrimSuffix(s.file, ".o") + ".c", filepath.Join("testdata", "native.c")}, flags...)
	out, err := exec.Command(clang(t), args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	cmd := exec.Command(file, filepath.Join(data, "bench", "packet.bin"))
	n := &native{t: t}
	n.in, err = cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	n.out = bufio.NewReader(stdout)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		n.in.Close()
		require.NoError(t, cmd.Wait())
	})
	return n
}

// run executes it n times and returns what it returned and how long one run took, in nanoseconds.
func (p *native) run(n int) (ret uint32, ns float64) {
	_, err := fmt.Fprintln(p.in, n)
	require.NoError(p.t, err)
	_, err = fmt.Fscanln(p.out, &ret, &ns)
	require.NoError(p.t, err)
	return ret, ns
}

// helpless reports whether a program calls no helper, and has no maps but for its global data.
func (s *subject) helpless(t testing.TB) bool {
	spec, err := loader.LoadSpec(s.file)
	require.NoError(t, err)
	for name := range spec.Maps {
		if !strings.HasPrefix(name, ".") {
			return false
		}
	}
	return true
}

// TestNativeAgrees has native code compute what Linux did.
func TestNativeAgrees(t *testing.T) {
	clang(t)
	recorded := golden(t)
	for _, folder := range folders {
		for _, s := range subjects(t, folder) {
			if s.helpless(t) {
				got, _ := s.native(t).run(2)
				require.Equal(t, recorded[path.Join(folder, s.name)], got, s.name)
			}
		}
	}
}

// BenchmarkNative compares our machine code with what clang -O2 makes of the C source for this machine, as it is and
// without vectors.
func BenchmarkNative(b *testing.B) {
	if b.N > 1 { // it times itself
		return
	}
	clang(b)
	for _, folder := range folders {
		var out strings.Builder
		fmt.Fprintf(&out, "\n%-14s %11s %11s %11s %7s %7s\n", "program", "clang ns", "scalar ns", "jit ns", "ratio", "scalar")
		var toNative, toScalar []float64
		for _, s := range subjects(b, folder) {
			if !s.helpless(b) || s.jit == nil {
				continue
			}
			vector, scalar, ours := s.measureNative(b)
			toNative, toScalar = append(toNative, ours/vector), append(toScalar, ours/scalar)
			fmt.Fprintf(&out, "%-14s %11.0f %11.0f %11.0f %7.2f %7.2f\n", s.name, vector, scalar, ours, ours/vector, ours/scalar)
		}
		if len(toNative) > 0 {
			fmt.Fprintf(&out, "geomean jit/clang %s: %.3f, without vectors %.3f\n", cmp.Or(folder, "suite"), geomean(toNative), geomean(toScalar))
		}
		fmt.Print(out.String())
	}
}

// measureNative times both and our machine code in turns. Of ours, what an empty program takes is taken off.
func (s *subject) measureNative(b *testing.B) (vector, scalar, ours float64) {
	forms := [...]*native{s.native(b), s.native(b, "-fno-vectorize", "-fno-slp-vectorize")}
	first, _ := s.time(b, s.jit, 3)
	n := max(1, int(sampleNanos*10/first))
	empty := s.empty(b).checked
	time := func(p hooks.Program) float64 {
		return fastest(func() float64 { ns, _ := s.time(b, p, n); return ns })
	}
	var ns [3][]float64
	for range rounds {
		for i, p := range forms {
			ns[i] = append(ns[i], fastest(func() float64 { _, ns := p.run(n); return ns }))
		}
		ns[2] = append(ns[2], time(s.jit)-time(empty))
	}
	return median(ns[0]), median(ns[1]), median(ns[2])
}
