package linux

import (
	"fmt"
	"math/rand/v2"

	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/internal/prog"
)

var regR2 = regexp.MustCompile(`\bR2(?:_w)?=([a-z_0-9]+)`)

// access asks for an access of size bytes to the context, and returns the type of what is
// loaded or written in the notation of the kernel's log, "" if it is refused.
func (s sort) access(t testing.TB, off, size int, write bool) string {
	t.Helper()
	ins := insn(0x61|sizeBits(size), 2, 1, int16(off), 0)
	zero := insn(0xb7, 2, 0, 0, 0)
	if write {
		ins = insn(0x63|sizeBits(size), 1, 2, int16(off), 0)
	}
	log, errno := s.ask(t, zero, ins)
	if !strings.Contains(log, unset) {
		require.Contains(t, []string{"permission denied", "invalid argument"}, errno.Error(), "%s: %s", s.name, log)
		return ""
	}
	if s.whole && !s.accepts(t, ins) {
		return ""
	}
	if write {
		return "scalar"
	}
	_, log, _ = strings.Cut(log, fmt.Sprintf("\n%d: (", len(s.before)/8+1))
	if m := regR2.FindStringSubmatch(log); m != nil { // on this line or the one after remarks
		return m[1]
	}
	require.Fail(t, "no register in the log", "%s %d/%d: %s", s.name, off, size, log)
	return ""
}

// accepts reports whether a program with an access is accepted as a whole: the kernel
// rewrites accesses after it has explored the program, and may fail.
func (s sort) accepts(t testing.TB, access []byte) bool {
	code := slices.Concat(s.before, access, insn(0xb7, 0, 0, 0, 0), insn(0x95, 0, 0, 0, 0))
	l, err := kernel.Load(kernel.Prog{Type: ebpf.ProgramType(s.typ), AttachType: ebpf.AttachType(s.attach), Insns: code, LogLevel: 1})
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Accepted()
}

// The largest contexts are less than probed bytes long, but for those that are open-ended.
const (
	probed     = 272
	largestOff = 1<<15 - 8
)

// line returns what accesses of a size are like, as a line of ctx.txt: ranges of offsets,
// each with a type unless it is a number. "" if there are none.
func (s sort) line(t testing.TB, size int, write bool) string {
	var parts []string
	start, kind := 0, ""
	for off := 0; off <= probed; off += size {
		got := ""
		if off < probed {
			got = s.access(t, off, size, write)
		} else if kind == "scalar" {
			off = s.end(t, off, size, write)
		}
		if kind != got || got != "scalar" {
			if kind != "" {
				parts = append(parts, rangeText(start, off, kind))
			}
			start, kind = off, got
		}
	}
	if len(parts) == 0 {
		return ""
	}
	op := "read"
	if write {
		op = "write"
	}
	return fmt.Sprintf("  %s %d  %s\n", op, size, strings.Join(parts, " "))
}

// end returns where a context ends of which all offsets below lo may be accessed.
func (s sort) end(t testing.TB, lo, size int, write bool) int {
	hi := largestOff + 8
	for lo < hi {
		mid := (lo + hi) / 2 / size * size
		if s.access(t, mid, size, write) != "" {
			lo = mid + size
		} else {
			hi = mid
		}
	}
	return lo
}

func rangeText(start, end int, kind string) string {
	text := fmt.Sprintf("%d..%d", start, end)
	if kind != "scalar" {
		text += ":" + kind
	}
	return text
}

// contextSorts are the sorts of program with a table in ctx.txt that this kernel can load:
// the variants by number, XDP programs that maps run, and the other iterators.
func contextSorts(t testing.TB, spec *btf.Spec) []sort {
	var sorts []sort
	known := variantSorts(t, spec)
	for v := range helper.VariantNames() {
		if s, ok := known[helper.Variant(v)]; ok && s.typ != prog.StructOps { // whose contexts are by member
			sorts = append(sorts, s)
		}
	}
	for _, attach := range []prog.AttachType{attachXDPDevmap, attachXDPCPUMap} {
		sorts = append(sorts, sort{name: fmt.Sprintf("xdp@%d", attach), typ: prog.XDP, attach: attach})
	}
	for _, target := range iterTargets(spec) {
		s := sort{name: "tracing/iter:" + target, typ: prog.Tracing, attach: attachIter}
		if slices.ContainsFunc(sorts, func(have sort) bool { return have.name == s.name }) {
			continue
		}
		s.btf = typeID[*btf.Func](t, spec, "bpf_iter_"+target)
		if s.btf != 0 && s.loadable(t) {
			sorts = append(sorts, s)
		}
	}
	return sorts
}

// iterTargets are the targets of iterators: the structs bpf_iter__NAME.
func iterTargets(spec *btf.Spec) (targets []string) {
	for typ, err := range spec.All() {
		if err != nil {
			continue
		}
		target, ok := strings.CutPrefix(typ.TypeName(), "bpf_iter__")
		if _, isStruct := typ.(*btf.Struct); ok && isStruct && !strings.Contains(target, "__safe_") {
			targets = append(targets, target)
		}
	}
	slices.Sort(targets)
	return targets
}

// sockSorts are programs that come by a socket in r1, by the kernel's name for it.
func sockSorts(t testing.TB) []sort {
	xskmap, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	require.NoError(t, err)
	t.Cleanup(func() { xskmap.Close() })
	notNull := insn(0x55, 0, 0, 2, 0) // else exit
	exit := concat([][]byte{insn(0xb7, 0, 0, 0, 0), insn(0x95, 0, 0, 0, 0)})
	toR1 := insn(0xbf, 1, 0, 0, 0)
	call := func(fn int32) []byte { return concat([][]byte{insn(0x85, 0, 0, 0, fn), notNull, exit, toR1}) }
	fromCtx := concat([][]byte{insn(0x79, 0, 1, 168, 0), notNull, exit, toR1}) // __sk_buff.sk
	const skFullsock, tcpSock, mapLookup = 95, 96, 1
	lookup := concat([][]byte{
		insn(0x62, 10, 0, -4, 0), insn(0xbf, 2, 10, 0, 0), insn(0x07, 2, 0, 0, -4),
		insn(0x18, 1, 1, 0, int32(xskmap.FD())), insn(0, 0, 0, 0, 0), call(mapLookup),
	})
	return []sort{
		{name: "struct sock_common", typ: prog.SchedCLS, before: fromCtx, whole: true},
		{name: "struct sock", typ: prog.SchedCLS, before: concat([][]byte{fromCtx, call(skFullsock)}), whole: true},
		{name: "struct tcp_sock", typ: prog.SchedCLS, before: concat([][]byte{fromCtx, call(tcpSock)}), whole: true},
		{name: "struct xdp_sock", typ: prog.XDP, before: lookup, whole: true},
	}
}

const ctxFile = "ctx.txt"

const ctxHead = `# How programs of Linux 6.18 may access their contexts, as a kernel has answered: "go test
# -update" asks it again, "go generate" makes zz_ctx.go of this file.
#
# Sorts of program come first: variants of package helper, "variant@N" with the attach type N,
# and iterators. Below is a line for reads and for writes of each size, with half-open ranges
# of offsets. Each multiple of the size that lies in one may be accessed. After the colon is
# the type that a load gives, as the kernel's log calls it; without one it is a number.
# "struct NAME" are sockets instead of contexts.
`

// unprobed are contexts of programs that not every kernel lets load: lirc_mode2 has to be
// configured, and a kernel that was asked later did not permit iterators over the elements
// of maps. The rules are those of drivers/media/rc/bpf-lirc.c, net/core/sock_map.c and
// net/core/bpf_sk_storage.c.
const unprobed = `
# Not asked: no kernel at hand let them load. From its sources.
lirc_mode2
  read 4  0..4

tracing/iter:sockmap
  read 8  0..8:trusted_ptr_bpf_iter_meta 8..16:trusted_ptr_bpf_map 16..24:rdonly_buf_or_null 24..32:ptr_or_null_sock

tracing/iter:bpf_sk_storage_map
  read 8  0..8:trusted_ptr_bpf_iter_meta 8..16:trusted_ptr_bpf_map 16..24:ptr_or_null_sock 24..32:buf_or_null

# Asked another time; the kernel of all others did not permit it.
tracing/iter:bpf_map_elem
  read 8  0..8:trusted_ptr_bpf_iter_meta 8..16:trusted_ptr_bpf_map 16..24:rdonly_buf_or_null 24..32:buf_or_null
`

// TestContextsUpdate writes ctx.txt. With -long, it compares all of it.
func TestContextsUpdate(t *testing.T) {
	if !*update && !*long {
		t.Skip("asks for minutes; see -long and -update")
	}
	spec := needKernel(t)
	var order []string
	names := map[string][]string{}
	for _, s := range slices.Concat(contextSorts(t, spec), sockSorts(t)) {
		text := ""
		for _, write := range []bool{false, true} {
			for _, size := range []int{1, 2, 4, 8} {
				text += s.line(t, size, write)
			}
		}
		if names[text] == nil {
			order = append(order, text)
		}
		names[text] = append(names[text], s.name)
	}
	out := ctxHead
	for _, text := range order {
		out += "\n" + strings.Join(names[text], "\n") + "\n" + text
	}
	out += unprobed
	if *update {
		require.NoError(t, os.WriteFile(ctxFile, []byte(out), 0o644))
		return
	}
	want, err := os.ReadFile(ctxFile)
	require.NoError(t, err)
	require.Equal(t, string(want), out)
}

// TestContextsKernel compares accesses, chosen at random, with what the kernel says.
func TestContextsKernel(t *testing.T) {
	spec := needKernel(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	for v, s := range variantSorts(t, spec) {
		if s.typ == prog.StructOps {
			continue // see TestArgsKernel
		}
		for range 8 {
			size := 1 << rnd.IntN(4)
			off, write := rnd.IntN(200)/size*size, rnd.IntN(4) == 0
			f, ok := Ctx(v).Access(off, size, write)
			require.Equal(t, ok, s.access(t, off, size, write) != "", "%s: %d bytes at %d, write %v, %v", s.name, size, off, write, f)
		}
	}
}

// Nothing is read or written at offsets that are no multiple of the size.
func TestMisalignedKernel(t *testing.T) {
	spec := needKernel(t)
	for _, s := range variantSorts(t, spec) {
		for _, a := range []struct{ off, size int }{{12, 8}, {4, 8}, {2, 4}, {9, 2}, {18, 4}} {
			require.Empty(t, s.access(t, a.off, a.size, false), "%s: %d bytes at %d", s.name, a.size, a.off)
		}
	}
}
