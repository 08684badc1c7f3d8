package jit

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// provedProgram makes a program that the verifier accepts, of loops over the frame, the value of a map, and the
// packet: provedRegion bytes of each. r6 to r8 point there, or r6 is a limit; r9 counts trips; r0 to r5 hold numbers.
type provedProgram struct {
	b       strings.Builder
	r       *rand.Rand
	regions []provedBase
	labels  int
	depth   int  // of loops at hand
	left    int  // statements that may still be written
	calls   bool // there may be calls
	called  bool // and there are
	long    bool // it goes on for several slices
}

const provedRegion = 48

// provedBase is where a region begins.
type provedBase struct {
	reg, off int
	aligned  bool // accesses are at multiples of their size
}

var provedBases = []provedBase{{10, -provedRegion, true}, {6, 0, true}, {7, 0, false}, {8, 0, false}}

func newProvedProgram(seed uint64) *provedProgram {
	g := &provedProgram{r: rand.New(rand.NewPCG(seed, 0x9e0)), long: seed%32 == 7}
	for len(g.regions) == 0 {
		for _, base := range provedBases {
			if g.chance(60) {
				g.regions = append(g.regions, base)
			}
		}
	}
	g.calls, g.left = g.chance(30), 4+g.r.IntN(24)
	return g
}

func (g *provedProgram) chance(percent int) bool    { return g.r.IntN(100) < percent }
func (g *provedProgram) pick(list ...string) string { return list[g.r.IntN(len(list))] }
func (g *provedProgram) reg() int                   { return g.r.IntN(6) }
func (g *provedProgram) class() string              { return g.pick("r", "w") }

func (g *provedProgram) line(format string, args ...any) { fmt.Fprintf(&g.b, format+"\n", args...) }

func (g *provedProgram) label() string {
	g.labels++
	return fmt.Sprint("l", g.labels)
}

// number is any, mostly a small one.
func (g *provedProgram) number() int32 {
	if g.chance(60) {
		return int32(g.r.IntN(24) - 4)
	}
	return int32(g.r.Uint32()) >> g.r.IntN(32)
}

// program returns the text.
func (g *provedProgram) program() string {
	g.line("r8 = *(u32 *)(r1 + 0)\nr2 = *(u32 *)(r1 + 4)\nr3 = r8\nr3 += %d\nif r3 > r2 goto out", provedRegion)
	g.line("r7 = map[idx:0][0]+0\nr6 = r10\nr6 += %d", -provedRegion)
	for r := range 6 {
		g.line("r%d = %s", r, g.pick(fmt.Sprintf("%#x ll", g.r.Uint64()>>g.r.IntN(64)), fmt.Sprintf("*(u64 *)(r8 + %d)", 8*r)))
	}
	for slot := range provedRegion / 8 {
		if g.chance(60) { // else it is read as zeroes, if at all
			g.line("*(u64 *)(r10 - %d) = r%d", 8*(slot+1), g.reg())
		}
	}
	switch {
	case g.long:
		again, end := g.label(), g.label()
		g.left = 6
		g.line("%s:\nmay_goto %s", again, end)
		g.counted()
		g.line("goto %s\n%s:", again, end)
	case g.chance(40):
		g.tangled()
	default:
		for range 1 + g.r.IntN(2) {
			g.counted()
		}
	}
	for r := range 6 { // what is not stored need not be computed
		if g.chance(70) {
			g.line("*(u64 *)(r10 - %d) = r%d", provedRegion+8*(r+4), r)
		}
	}
	g.line("out:\nr0 = 2\nexit")
	if g.called {
		g.line("f:\nr0 = r1\nw0 %s w2\nr0 += r1\nexit", g.pick("*=", "^=", "-="))
	}
	return g.b.String()
}

// counted writes a loop that goes on until r9 has come to a limit.
func (g *provedProgram) counted() {
	head, next, end := g.label(), g.label(), g.label()
	step := []int{1, 1, 1, 2, 4, 8, 3, -1, -1, -2}[g.r.IntN(10)]
	trips, class := 1+g.r.IntN(18), g.class()
	if g.depth > 0 {
		trips = 1 + g.r.IntN(5)
	}
	start := g.r.IntN(4) + max(0, -step)*trips
	limit := fmt.Sprint(start + step*trips)
	if !slices.Contains(g.regions, provedBases[1]) && g.chance(30) && g.depth == 0 {
		g.line("r6 = %s", limit)
		limit = class + "6"
	}
	g.line("r9 = %d", start)
	count := func() { g.line("%s9 += %d", g.pick("r", class), step) }
	more := func() { // goes on or falls through
		switch less := map[bool]string{true: "<", false: ">"}[step > 0]; g.r.IntN(4) {
		case 0:
			g.line("if %s9 == %s goto %s\ngoto %s", class, limit, end, head)
		case 1:
			g.line("if %s9 %s%s %s goto %s", class, g.pick("", "s"), less, limit, head)
		default:
			g.line("if %s9 != %s goto %s", class, limit, head)
		}
	}
	g.depth++
	switch g.r.IntN(6) {
	case 0: // the test comes first
		g.line("%s:\nif %s9 == %s goto %s", head, class, limit, end)
		g.body(next, end)
		g.line("%s:", next)
		count()
		g.line("goto %s", head)
	case 1: // entered in the middle
		middle := g.label()
		g.line("goto %s\n%s:", middle, head)
		g.body(next, end)
		g.line("%s:", middle)
		g.body(next, end)
		g.line("%s:", next)
		count()
		more()
	case 2: // two ways back
		other := g.label()
		g.line("%s:", head)
		g.body(next, end)
		g.line("%s:", next)
		count()
		g.line("if %s9 == %s goto %s\nif r%d & 1 goto %s", class, limit, end, g.reg(), head)
		g.body(other, end)
		g.line("%s:\ngoto %s", other, head)
	default:
		g.line("%s:", head)
		if g.chance(30) {
			count()
			g.body(next, end)
			g.line("%s:", next)
		} else {
			g.body(next, end)
			g.line("%s:", next)
			count()
		}
		more()
	}
	g.depth--
	g.line("%s:", end)
}

// body writes what a loop does; some go on with the next trip, or leave it.
func (g *provedProgram) body(next, end string) {
	for range 1 + g.r.IntN(6) {
		g.statement()
		if g.chance(8) {
			g.line("if %s goto %s", g.condition(), g.pick(next, end))
		}
		if g.chance(6) && g.depth < 3 {
			g.line("*(u64 *)(r10 - %d) = r9", provedRegion+8*g.depth)
			g.counted()
			g.line("r9 = *(u64 *)(r10 - %d)", provedRegion+8*g.depth)
		}
	}
}

func (g *provedProgram) condition() string {
	class, op := g.class(), g.pick("==", "!=", "<", ">=", "s>", "s<=", "&")
	if g.chance(50) {
		return fmt.Sprintf("%s%d %s %d", class, g.reg(), op, g.number())
	}
	return fmt.Sprintf("%s%d %s %s%d", class, g.reg(), op, class, g.reg())
}

// tangled writes blocks that go to any others, as long as r9 lasts.
func (g *provedProgram) tangled() {
	n := 2 + g.r.IntN(5)
	if g.chance(30) {
		n += g.r.IntN(20)
	}
	var blocks []string
	for range n {
		blocks = append(blocks, g.label())
	}
	begin, end := g.label(), g.label()
	comes := make([]bool, n+1) // something in front leads there
	comes[0] = true
	jump := func(i int, condition string) {
		to := max(0, min(n-1, i+g.r.IntN(7)-3))
		if to <= i {
			g.line("r9 += -1\nif r9 == 0 goto %s", end)
		}
		g.line("%sgoto %s", condition, blocks[to])
		comes[to] = comes[to] || to > i
	}
	g.line("r9 = %d\ngoto %s", 2+g.r.IntN(30), begin)
	for i := range n {
		g.line("%s:", blocks[i])
		for range g.r.IntN(4) {
			g.statement()
		}
		if g.chance(80) {
			jump(i, "if "+g.condition()+" ")
		}
		if g.chance(35) || i == n-1 {
			jump(i, "")
		} else {
			comes[i+1] = true
		}
	}
	g.line("%s:", begin)
	for i := range n {
		if !comes[i] {
			g.line("if %s goto %s", g.condition(), blocks[i])
		}
	}
	g.line("goto %s\n%s:", blocks[0], end)
}

func (g *provedProgram) base() provedBase { return g.regions[g.r.IntN(len(g.regions))] }

// at is memory of size bytes in a region.
func (g *provedProgram) at(size int) string {
	base := g.base()
	off := g.r.IntN(provedRegion - size + 1)
	if base.aligned || g.chance(50) {
		off -= off % size
	}
	return fmt.Sprintf("*(u%d *)(r%d %+d)", 8*size, base.reg, base.off+off)
}

func (g *provedProgram) size() int { return 1 << g.r.IntN(4) }

// statement writes something to do.
func (g *provedProgram) statement() {
	a, b, size := g.reg(), g.reg(), g.size()
	class, at := g.class(), g.at(size)
	switch g.r.IntN(19) {
	case 0, 1:
		g.line("r%d = %s", a, at)
	case 2:
		g.line("%s = r%d", at, a)
	case 3:
		g.line("%s = %d", at, g.number())
	case 4, 5: // goes back to where it comes from
		g.line("r%d = %s", a, at)
		if g.chance(30) {
			g.statement()
		}
		g.line("%s%d %s %s\n%s = r%d", class, a, g.pick("+=", "-=", "&=", "|=", "^="), g.pick(fmt.Sprint(class, b), fmt.Sprint(g.number())), at, a)
	case 6:
		g.line("%s%d %s %s%d", class, a, g.pick("+=", "-=", "*=", "&=", "|=", "^=", "=", "<<=", ">>=", "s>>=", "/=", "%="), class, b)
	case 7:
		g.line("%s%d %s %d", class, a, g.pick("+=", "-=", "*=", "&=", "|=", "^=", "="), g.number())
	case 8:
		g.line("%s%d %s %d", class, a, g.pick("<<=", ">>=", "s>>="), g.r.IntN(32))
	case 9, 10: // a sum or a hash of what is read
		g.line("r%d = %s", a, at)
		if g.chance(50) {
			g.line("%s%d *= %d", class, b, 31+g.r.IntN(4))
		}
		g.line("%s%d %s %s%d", class, b, g.pick("+=", "^="), class, a)
	case 11:
		g.bytes(a, b)
	case 12:
		g.pair(a)
	case 13, 14:
		g.indexed(a, b)
	case 15:
		if base := g.base(); base.reg != 8 { // nothing is atomic in packets
			g.line("lock *(u%d *)(r%d %+d) %s r%d", 32+32*g.r.IntN(2), base.reg, base.off+8*g.r.IntN(provedRegion/8), g.pick("+=", "|=", "^="), a)
		}
	case 16:
		end := g.label()
		g.line("if %s goto %s", g.condition(), end)
		g.statement()
		g.line("%s:", end)
	case 17:
		g.lookup()
	case 18:
		if g.calls {
			g.called = true
			g.line("r1 = r%d\nr2 = r9\ncall f", a)
			g.renew(1)
		}
	}
}

// bytes puts a number together of adjacent bytes.
func (g *provedProgram) bytes(a, b int) {
	if a == b {
		return
	}
	base, n := g.base(), 2<<g.r.IntN(2)
	at, big := base.off+n*g.r.IntN(provedRegion/n), g.chance(50)
	for i := range n {
		to, shift := b, 8*i
		if i == 0 {
			to = a
		}
		if big {
			shift = 8 * (n - 1 - i)
		}
		g.line("r%d = *(u8 *)(r%d %+d)\nr%d <<= %d", to, base.reg, at+i, to, shift)
		if i > 0 {
			g.line("r%d |= r%d", a, b)
		}
		if g.chance(10) {
			g.line("%s = %d", g.at(1), g.number())
		}
	}
}

// pair stores to adjacent bytes of the frame: constants, or what is read elsewhere.
func (g *provedProgram) pair(a int) {
	size := 1 << g.r.IntN(3)
	to, from := -2*size*(1+g.r.IntN(provedRegion/2/size)), g.base()
	at := from.off + 2*size*g.r.IntN(provedRegion/2/size)
	constant := g.chance(40)
	for i := range 2 {
		if constant {
			g.line("*(u%d *)(r10 %+d) = %d", 8*size, to+size*i, g.number())
		} else {
			g.line("r%d = *(u%d *)(r%d %+d)\n*(u%d *)(r10 %+d) = r%[1]d", a, 8*size, from.reg, at+size*i, 8*size, to+size*i)
		}
		if g.chance(15) {
			g.line("%s = r%d", g.at(1), g.reg())
		}
	}
}

// indexed accesses memory by a pointer that has been computed, and leaves numbers behind.
func (g *provedProgram) indexed(a, b int) {
	if a == b {
		return
	}
	base, size, shift := g.base(), g.size(), g.r.IntN(3)
	if base.aligned {
		size = min(size, 1<<shift)
	}
	index := g.pick("9", fmt.Sprint(b))
	if base.reg == 8 { // where only numbers that are known keep what has been compared
		index = "9"
	}
	g.line("r%d = r%s\nr%[1]d &= 7\nr%[1]d <<= %[3]d\nr%[4]d = r%[5]d\nr%[4]d += r%[1]d", a, index, shift, b, base.reg)
	at := fmt.Sprintf("*(u%d *)(r%d %+d)", 8*size, b, base.off+size*g.r.IntN((provedRegion-28-size)/size+1))
	if g.chance(50) {
		g.line("%s = r%d\nr%d = %d", at, a, b, g.number())
	} else {
		g.line("r%d = %s", b, at)
	}
}

// lookup adds to a value that an array has.
func (g *provedProgram) lookup() {
	none := g.label()
	g.line("*(u32 *)(r10 - %d) = %s", provedRegion+8*11, g.pick("r9", fmt.Sprint(g.r.IntN(5))))
	g.line("r1 = map[idx:1]\nr2 = r10\nr2 += -%d\ncall bpf_map_lookup_elem\nif r0 == 0 goto %s", provedRegion+8*11, none)
	g.line("r1 = *(u64 *)(r0 + %d)\nr1 += r9\n*(u64 *)(r0 + 8) = r1\n%s:", g.r.IntN(9), none)
	g.renew(0)
}

// renew makes registers numbers again that a call has spoilt, from one on.
func (g *provedProgram) renew(first int) {
	for r := first; r < 6; r++ {
		size := g.size()
		g.line("r%d = %s", r, g.pick(g.at(size), fmt.Sprint(g.number()), "r9"))
	}
}
