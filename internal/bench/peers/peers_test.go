package peers

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/loader"
)

const (
	rounds     = 7
	roundNanos = 4e6
)

var testdata = filepath.Join("..", "..", "..", "testdata", "bench")

// wasm is a program of the suite as wazero's compiler runs it.
type wasm struct {
	fn    api.Function
	ctx   uint32 // address of the struct xdp_md
	stack [1]uint64
}

// load instantiates a module and puts packet and context into its memory.
func load(t testing.TB, rt wazero.Runtime, name string, packet []byte) *wasm {
	code, err := os.ReadFile(filepath.Join("wasm", name+".wasm"))
	require.NoError(t, err)
	mod, err := rt.InstantiateWithConfig(context.Background(), code, wazero.NewModuleConfig().WithName(name))
	require.NoError(t, err)
	at := uint32(mod.ExportedGlobal("packet").Get())
	ctx := uint32(mod.ExportedGlobal("__heap_base").Get())
	require.True(t, mod.Memory().Write(at, packet))
	md := binary.LittleEndian.AppendUint32(nil, at)
	md = binary.LittleEndian.AppendUint32(md, at+uint32(len(packet)))
	require.True(t, mod.Memory().Write(ctx, md))
	return &wasm{fn: mod.ExportedFunction(name), ctx: ctx}
}

func (w *wasm) run(t testing.TB) uint32 {
	w.stack[0] = uint64(w.ctx)
	if err := w.fn.CallWithStack(context.Background(), w.stack[:]); err != nil {
		t.Fatal(err)
	}
	return uint32(w.stack[0])
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkSuite prints the medians of every program, ours and wazero's.
func BenchmarkSuite(b *testing.B) {
	if b.N > 1 { // it times itself
		return
	}
	packet, err := os.ReadFile(filepath.Join(testdata, "packet.bin"))
	require.NoError(b, err)
	rt := wazero.NewRuntimeWithConfig(context.Background(), wazero.NewRuntimeConfigCompiler())
	defer rt.Close(context.Background())
	v, err := sandbpf.New(sandbpf.WithCPUs(1))
	require.NoError(b, err)
	defer v.Close()
	files, err := filepath.Glob(filepath.Join(testdata, "*.o"))
	require.NoError(b, err)
	var out strings.Builder
	fmt.Fprintf(&out, "\n%-14s %12s %12s %8s\n", "program", v.Engine().String()+" ns", "wazero ns", "ratio")
	sum := 0.0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".o")
		spec, err := loader.LoadSpec(file)
		require.NoError(b, err)
		coll, err := v.LoadCollection(spec)
		require.NoError(b, err)
		program := coll.Program(name)
		peer := load(b, rt, name, packet)
		one := hooks.TestRun{Data: packet, Repeat: 1}
		require.NoError(b, program.Run(context.Background(), &one))
		require.Equal(b, uint32(one.Ret), peer.run(b), "%s: the two disagree", name)
		n := max(1, int(roundNanos/float64(one.Duration.Nanoseconds()+1)))
		var ours, theirs []float64
		for range rounds {
			run := hooks.TestRun{Data: packet, Repeat: n}
			require.NoError(b, program.Run(context.Background(), &run))
			ours = append(ours, float64(run.Duration.Nanoseconds()))
			began := time.Now()
			for range 8 * n {
				peer.run(b)
			}
			theirs = append(theirs, float64(time.Since(began).Nanoseconds())/float64(8*n))
		}
		ratio := median(ours) / median(theirs)
		sum += math.Log(ratio)
		fmt.Fprintf(&out, "%-14s %12.0f %12.0f %8.2f\n", name, median(ours), median(theirs), ratio)
		require.NoError(b, coll.Close())
	}
	fmt.Fprintf(&out, "geomean %v/wazero: %.2f\n", v.Engine(), math.Exp(sum/float64(len(files))))
	fmt.Print(out.String())
}
