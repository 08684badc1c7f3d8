package peers

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/maps"
)

const (
	operations = 4000       // in one run of a program
	entries    = 10000      // of a map
	keyFactor  = 0x9e3779b1 // spreads numbers over 32 bits
)

// event is the context of our programs.
type event struct{ Number uint64 }

// operation is what a program does again and again, each time with another key.
type operation struct {
	name   string
	export string    // of hostcalls.wasm, which calls the host for it
	typ    maps.Type // 0: none
	text   string    // of ours; r7 counts
}

var list = []operation{
	{"host function", "nothing", 0, fmt.Sprintf("r1 = r7\ncall %d\nif r0 != r7 goto out", hooks.FirstCustomHelper)},
	{"array lookup", "array_lookup", maps.Array,
		"*(u32 *)(r10 - 8) = r7\nr1 = map[m]\nr2 = r10\nr2 += -8\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\nr0 = *(u64 *)(r0 + 0)"},
	{"hash lookup", "hash_lookup", maps.Hash, hashKey +
		"r1 = map[m]\nr2 = r10\nr2 += -8\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\nr0 = *(u64 *)(r0 + 0)"},
	{"hash update", "hash_update", maps.Hash, hashKey +
		"*(u64 *)(r10 - 16) = r7\nr1 = map[m]\nr2 = r10\nr2 += -8\nr3 = r10\nr3 += -16\nr4 = 0\ncall bpf_map_update_elem\nif r0 != 0 goto out"},
}

var hashKey = fmt.Sprintf("r1 = r7\nw1 *= %d\n*(u64 *)(r10 - 8) = r1\n", keyFactor-1<<32)

// host has what the module's functions do in Go, as an embedder would write it.
func host(ctx context.Context, t testing.TB, rt wazero.Runtime) {
	var array [entries]uint64
	hash := make(map[uint64]uint64)
	for i := range uint64(entries) {
		hash[uint64(uint32(i*keyFactor))] = i
	}
	b := rt.NewHostModuleBuilder("host")
	for name, fn := range map[string]func(stack []uint64){
		"nothing":      func([]uint64) {},
		"array_lookup": func(stack []uint64) { stack[0] = array[stack[0]] },
		"hash_lookup":  func(stack []uint64) { stack[0] = hash[stack[0]] },
		"hash_update":  func(stack []uint64) { hash[stack[0]] = stack[0] },
	} {
		b.NewFunctionBuilder().WithGoFunction(api.GoFunc(func(_ context.Context, stack []uint64) { fn(stack) }),
			[]api.ValueType{api.ValueTypeI64}, []api.ValueType{api.ValueTypeI64}).Export(name)
	}
	_, err := b.Instantiate(ctx)
	require.NoError(t, err)
}

// best returns the least time of some runs of f, which does n things, for one of them.
func best(n int, f func()) float64 {
	least := 0.0
	for i := range 50 {
		began := time.Now()
		f()
		if ns := float64(time.Since(began).Nanoseconds()) / float64(n); i == 0 || ns < least {
			least = ns
		}
	}
	return least
}

// ours is a VM with a hook that programs are attached to.
type ours struct {
	vm   *sandbpf.VM
	hook *hooks.Hook[event]
	cpu  hooks.CPU
}

func newOurs(b *testing.B) *ours {
	hook, err := hooks.New[event]("peers", hooks.Helper("nothing", func(n uint64) uint64 { return n }))
	require.NoError(b, err)
	v, err := sandbpf.New(sandbpf.WithCPUs(1), sandbpf.WithHook(hook))
	require.NoError(b, err)
	b.Cleanup(func() { v.Close() })
	cpu, err := v.Acquire()
	require.NoError(b, err)
	b.Cleanup(cpu.Release)
	return &ours{v, hook, cpu}
}

// time returns what a program takes that does n things, for one of them; it fires events.
func (o *ours) time(b *testing.B, text string, named map[string]*maps.Map, n, events int) float64 {
	insns, err := asm.Parse(text)
	require.NoError(b, err)
	p, err := o.vm.LoadProgram(&sandbpf.ProgramSpec{Name: "peers", Section: "peers", Instructions: insns}, named)
	require.NoError(b, err)
	link, err := o.hook.Attach(p)
	require.NoError(b, err)
	ns := best(n*events, func() {
		for range events {
			ret, err := o.hook.FireOn(o.cpu, &event{})
			if err != nil || ret != 0 {
				b.Fatal(ret, err)
			}
		}
	})
	require.NoError(b, link.Detach())
	require.NoError(b, p.Close())
	return ns
}

// operation returns what an operation takes in a loop.
func (o *ours) operation(b *testing.B, op *operation) float64 {
	var named map[string]*maps.Map
	if op.typ != 0 {
		spec := maps.Spec{Type: op.typ, KeySize: 8, ValueSize: 8, MaxEntries: entries}
		if op.typ == maps.Array {
			spec.KeySize = 4
		}
		m, err := o.vm.NewMap(&spec)
		require.NoError(b, err)
		defer m.Close()
		for i := range uint64(entries) {
			key := binary.LittleEndian.AppendUint64(nil, i)
			if op.typ == maps.Hash {
				binary.LittleEndian.PutUint64(key, uint64(uint32(i*keyFactor)))
			}
			require.Zero(b, m.UpdateProg(0, key[:spec.KeySize], make([]byte, spec.ValueSize), 0))
		}
		named = map[string]*maps.Map{"m": m}
	}
	return o.time(b, fmt.Sprintf("r7 = 0\nnext:\n%s\nr7 += 1\nif r7 < %d goto next\nr0 = 0\nexit\nout: r0 = 1\nexit", op.text, operations),
		named, operations, 1)
}

// BenchmarkCalls prints what calls and operations on maps take in our programs, in WebAssembly
// that calls the host for them, and what a C function takes that does nothing.
func BenchmarkCalls(b *testing.B) {
	if b.N > 1 { // it times itself
		return
	}
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler())
	defer rt.Close(ctx)
	host(ctx, b, rt)
	code, err := os.ReadFile(filepath.Join("wasm", "hostcalls.wasm"))
	require.NoError(b, err)
	mod, err := rt.Instantiate(ctx, code)
	require.NoError(b, err)
	o := newOurs(b)
	cgo := "-"
	if cgoCalls != nil {
		cgo = fmt.Sprintf("%.1f", best(operations, func() { cgoCalls(operations) }))
	}
	call := func(name string, n uint64) func() {
		fn, stack := mod.ExportedFunction(name), make([]uint64, 1)
		return func() {
			stack[0] = n
			if err := fn.CallWithStack(ctx, stack); err != nil {
				b.Fatal(err)
			}
		}
	}
	fmt.Printf("\n%-16s %10s %10s %10s\n", "operation", o.vm.Engine().String()+" ns", "wazero ns", "cgo ns")
	row := func(name string, ours, theirs float64) {
		fmt.Printf("%-16s %10.1f %10.1f %10s\n", name, ours, theirs, cgo)
	}
	empty := call("empty", 0)
	row("empty call", o.time(b, "r0 = 0\nexit", nil, 1, operations), best(operations, func() {
		for range operations {
			empty()
		}
	}))
	for i := range list {
		op := &list[i]
		row(op.name, o.operation(b, op), best(operations, call(op.export, operations)))
	}
	fmt.Println("cgo is a call of a C function that does nothing")
}
