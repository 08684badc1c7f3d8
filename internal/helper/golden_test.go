package helper

import (
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// The cases of testdata/*.case are calls of helpers with what Linux answers.
// Each case is lines:
//
//	case NAME
//	type xdp | sched_cls | socket_filter
//	packet HEX             what the program is run with
//	mem OFFSET HEX | "TEXT"   bytes of the scratch memory before the run
//	map NAME TYPE KEY VALUE ENTRIES [FLAGS]
//	call HELPER ARG...     ARG is a number, ctx, mem+N, map:NAME, str:NAME or "TEXT" (a constant)
//	ptr HELPER ARG...      the same, of whose result only counts whether it is 0
//	load OFFSET            a 32-bit load of the context; load64 of 64 bits
//	= NUMBER...            the results in turn
//	=packet HEX            the packet after the run, behind its metadata
//	=mem HEX               the scratch memory after the run, to the last byte that is not 0
//
// The lines with = are what a kernel has answered: "go test -update" asks it again. It was
// Linux 7.2; 6.12 has answered the same, except for csum_diff, which does not fold its
// sum to 16 bits before 6.13. So 6.18 lies between. Numbers are of a little-endian machine
// with 48 bits of virtual addresses.

var update = flag.Bool("update", false, "ask the kernel for the answers in testdata/*.case")

const scratchSize = 512

type goldenCase struct {
	name    string
	typ     string
	packet  []byte
	mem     []byte
	maps    []goldenMap
	strings []string // constants
	calls   []goldenCall
	want    answer
}

type goldenMap struct {
	name              string
	typ               maps.Type
	key, value, count uint32
	flags             uint32
}

type goldenCall struct {
	kind string // call, ptr, load, load64
	fn   *Proto
	args []goldenArg
}

type goldenArg struct {
	kind string // num, ctx, mem, map, str
	num  int64  // value; offset; index
}

// answer is what a run has left.
type answer struct {
	results []uint64
	packet  []byte
	mem     []byte
}

// lines returns what a case says of its answer.
func (a answer) lines() string {
	var b strings.Builder
	b.WriteString("=")
	for _, r := range a.results {
		if v := int64(r); v < 0 && v > -4096 {
			fmt.Fprintf(&b, " %d", v)
		} else {
			fmt.Fprintf(&b, " %#x", r)
		}
	}
	fmt.Fprintf(&b, "\n=packet %x\n", a.packet)
	if m := strings.TrimRight(string(a.mem), "\x00"); m != "" {
		fmt.Fprintf(&b, "=mem %x\n", m)
	}
	return b.String()
}

var mapTypes = map[string]maps.Type{
	"hash": maps.Hash, "array": maps.Array, "percpu_array": maps.PerCPUArray, "queue": maps.Queue, "stack": maps.Stack,
	"lru": maps.LRUHash, "lpm": maps.LPMTrie, "ringbuf": maps.RingBuf, "perf": maps.PerfEventArray,
	"devmap": maps.DevMap, "devmap_hash": maps.DevMapHash, "cpumap": maps.CPUMap,
}

// readCases reads a file of cases.
func readCases(t *testing.T, file string) []*goldenCase {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var all []*goldenCase
	for i, line := range strings.Split(string(text), "\n") {
		f := fields(line)
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		if f[0] == "case" {
			all = append(all, &goldenCase{name: f[1], mem: make([]byte, scratchSize)})
			continue
		}
		require.NotEmpty(t, all, "%s:%d", file, i+1)
		require.NoError(t, all[len(all)-1].line(f), "%s:%d: %s", file, i+1, line)
	}
	return all
}

// fields splits at spaces outside of quotes.
func fields(line string) (f []string) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		n := strings.IndexByte(line+" ", ' ')
		if q, err := strconv.QuotedPrefix(line); err == nil {
			n = len(q)
		}
		f = append(f, line[:n])
		line = line[n:]
	}
	return f
}

func (g *goldenCase) line(f []string) error {
	switch f[0] {
	case "type":
		g.typ = f[1]
	case "packet":
		b, err := hex.DecodeString(f[1])
		g.packet = b
		return err
	case "mem":
		off, err := strconv.Atoi(f[1])
		if err != nil {
			return err
		}
		b, err := hex.DecodeString(f[2])
		if s, qerr := strconv.Unquote(f[2]); qerr == nil {
			b, err = []byte(s), nil
		}
		copy(g.mem[off:], b)
		return err
	case "map":
		m := goldenMap{name: f[1], typ: mapTypes[f[2]]}
		f = append(f, "0")
		for i, p := range []*uint32{&m.key, &m.value, &m.count, &m.flags} {
			n, err := strconv.ParseUint(f[3+i], 0, 32)
			if err != nil {
				return err
			}
			*p = uint32(n)
		}
		g.maps = append(g.maps, m)
	case "call", "ptr", "load", "load64":
		return g.call(f)
	case "=":
		for _, s := range f[1:] {
			v, err := number(s)
			if err != nil {
				return err
			}
			g.want.results = append(g.want.results, uint64(v))
		}
	case "=packet":
		if len(f) > 1 {
			b, err := hex.DecodeString(f[1])
			g.want.packet = b
			return err
		}
	case "=mem":
		b, err := hex.DecodeString(f[1])
		g.want.mem = b
		return err
	default:
		return fmt.Errorf("unknown word %q", f[0])
	}
	return nil
}

func number(s string) (int64, error) {
	if v, err := strconv.ParseInt(s, 0, 64); err == nil {
		return v, nil
	}
	v, err := strconv.ParseUint(s, 0, 64)
	return int64(v), err
}

func (g *goldenCase) call(f []string) error {
	c := goldenCall{kind: f[0]}
	rest := f[1:]
	if !strings.HasPrefix(f[0], "load") {
		fn, ok := ByName(f[1])
		if !ok {
			return fmt.Errorf("no helper %q", f[1])
		}
		c.fn, rest = fn, f[2:]
	}
	for _, s := range rest {
		a, err := g.arg(s)
		if err != nil {
			return err
		}
		c.args = append(c.args, a)
	}
	g.calls = append(g.calls, c)
	return nil
}

func (g *goldenCase) arg(s string) (goldenArg, error) {
	if s == "ctx" {
		return goldenArg{kind: "ctx"}, nil
	}
	if off, ok := strings.CutPrefix(s, "mem+"); ok {
		v, err := number(off)
		return goldenArg{kind: "mem", num: v}, err
	}
	if name, ok := strings.CutPrefix(s, "map:"); ok {
		for i, m := range g.maps {
			if m.name == name {
				return goldenArg{kind: "map", num: int64(i)}, nil
			}
		}
		return goldenArg{}, fmt.Errorf("no map %q", name)
	}
	if text, err := strconv.Unquote(s); err == nil {
		g.strings = append(g.strings, text)
		return goldenArg{kind: "str", num: int64(len(g.strings) - 1)}, nil
	}
	v, err := number(s)
	return goldenArg{kind: "num", num: v}, err
}

// ctxSize is enough for xdp_md and __sk_buff.
const ctxSize = 192

// workbench is a CPU with an event, a context, scratch memory and maps.
type workbench struct {
	c       *vm.CPU
	e       *Event
	ctx     []byte
	scratch *maps.Map
	addr    uint64 // of the scratch memory
	maps    []*maps.Map
}

func newWorkbench(t testing.TB, o vm.Options) *workbench {
	if o.NumCPU == 0 {
		o.NumCPU = 1
	}
	m, err := vm.NewMachine(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	w := &workbench{c: m.CPU(0), e: &Event{}}
	arena, err := mem.New(ctxSize)
	require.NoError(t, err)
	w.ctx = arena.Bytes()
	w.c.SetCtx(&prog.CtxLayout{Name: "test", Size: ctxSize}, arena.Addr(), ctxSize)
	w.scratch = w.addMap(t, &maps.Spec{Name: "scratch", Type: maps.Array, KeySize: 4, ValueSize: scratchSize, MaxEntries: 1})
	w.addr = uint64(w.scratch.LookupProg(0, make([]byte, 4)))
	w.c.Event = w.e
	w.e.Refresh = w.refresh
	t.Cleanup(func() {
		w.c.Maps = nil
		require.NoError(t, w.e.Packet.Close())
		require.NoError(t, arena.Close())
	})
	return w
}

func (w *workbench) addMap(t testing.TB, spec *maps.Spec) *maps.Map {
	m, err := maps.NewWithOptions(spec, maps.Options{NumCPU: w.c.M.NumCPU})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	w.c.Maps = append(w.c.Maps, m)
	w.maps = append(w.maps, m)
	return m
}

// refresh writes the fields of __sk_buff that cases load.
func (w *workbench) refresh(_ *vm.CPU, e *Event, changed Change) {
	put := func(off int, v uint32) { binary.NativeEndian.PutUint32(w.ctx[off:], v) }
	s := &e.SKB
	if changed&ChangeLen != 0 {
		put(0, uint32(e.Packet.Len()))
	}
	if changed&ChangeType != 0 {
		put(4, uint32(s.Type))
	}
	if changed&ChangeProtocol != 0 {
		put(16, uint32(netUint16(uint64(s.Protocol))))
	}
	if changed&ChangeVLAN != 0 {
		put(20, 0)
		if s.VLANPresent {
			put(20, 1)
		}
		put(24, uint32(s.VLANTCI))
		put(28, uint32(netUint16(uint64(s.VLANProto))))
	}
	if changed&ChangeHash != 0 {
		put(68, s.Hash)
	}
	if changed&ChangeTstamp != 0 {
		binary.NativeEndian.PutUint64(w.ctx[152:], s.Tstamp)
		w.ctx[180] = s.TstampType
	}
}

func (w *workbench) begin(t testing.TB, typ string, packet []byte) {
	clear(w.ctx)
	w.e.Host = &Host{Device: func(i uint32) (Device, bool) { return Device{MTU: 65536, HeaderLen: 14}, i == 1 }}
	if typ == "xdp" {
		require.NoError(t, w.e.LoadXDP(packet))
	} else {
		require.NoError(t, w.e.LoadSKB(packet, typ == "sched_cls"))
		w.e.SKB.Ifindex = 1
		if w.e.SKB.Type == 1 {
			w.e.SKB.Type = 2 // as the broadcast address of the loopback device is zero
		}
		w.refresh(w.c, w.e, ^Change(0))
	}
	w.e.Ifindex = 1
	w.e.Packet.Publish(w.c)
	w.c.Begin()
	w.c.PushFrame(0)
}

// run makes the calls of a case with this package's bodies.
func (g *goldenCase) run(t *testing.T) answer {
	w := newWorkbench(t, vm.Options{})
	for _, m := range g.maps {
		w.addMap(t, &maps.Spec{Name: m.name, Type: m.typ, KeySize: m.key, ValueSize: m.value, MaxEntries: m.count, Flags: m.flags})
	}
	consts := make([]uint64, len(g.strings))
	for i, s := range g.strings {
		m := w.addMap(t, &maps.Spec{Name: "rodata", Type: maps.Array, KeySize: 4, ValueSize: uint32(len(s) + 1), MaxEntries: 1, Flags: maps.FlagRdonlyProg})
		require.NoError(t, m.Put(uint32(0), append([]byte(s), 0)))
		consts[i] = uint64(m.LookupProg(0, make([]byte, 4)))
	}
	w.begin(t, g.typ, g.packet)
	b, err := w.c.Bytes(w.addr, scratchSize, mem.ReadWrite)
	require.NoError(t, err)
	copy(b, g.mem)
	var a answer
	for _, call := range g.calls {
		var args [5]uint64
		for i, arg := range call.args {
			switch arg.kind {
			case "num":
				args[i] = uint64(arg.num)
			case "ctx":
				args[i] = w.c.CtxAddr()
			case "mem":
				args[i] = w.addr + uint64(arg.num)
			case "map":
				args[i] = w.maps[1+arg.num].Addr()
			case "str":
				args[i] = consts[arg.num]
			}
		}
		switch call.kind {
		case "load64":
			a.results = append(a.results, binary.NativeEndian.Uint64(w.ctx[args[0]:]))
			continue
		case "load":
			a.results = append(a.results, uint64(binary.NativeEndian.Uint32(w.ctx[args[0]:])))
			continue
		}
		body := Bodies(call.fn.ID)
		require.NotNil(t, body, call.fn.Name)
		r0, err := body(w.c, &args)
		require.NoError(t, err, "%s", call.fn.Name)
		if call.kind == "ptr" && r0 != 0 {
			r0 = 1
		}
		a.results = append(a.results, r0)
	}
	if g.typ == "xdp" {
		a.packet = append(a.packet, w.e.Packet.Metadata()...)
	}
	a.packet = append(a.packet, w.e.Packet.Bytes()...)
	if g.typ == "socket_filter" { // the kernel's test run puts a link header of zeros before it
		a.packet = append(make([]byte, ethHeader), a.packet...)
	}
	a.mem = append(a.mem, b...)
	return a
}

func littleEndian() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }

func caseFiles(t *testing.T) []string {
	files, err := filepath.Glob("testdata/*.case")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// Every body does what Linux did when it was asked.
func TestGolden(t *testing.T) {
	if !littleEndian() {
		t.Skip("the answers are of a little-endian machine")
	}
	for _, file := range caseFiles(t) {
		for _, g := range readCases(t, file) {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".case")+"/"+g.name, func(t *testing.T) {
				require.NotEmpty(t, g.want.results, "no answer: run go test -update")
				require.Equal(t, g.want.lines(), g.run(t).lines())
			})
		}
	}
}
