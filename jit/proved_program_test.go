package jit

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

// provedProgram makes a program that the verifier accepts, of loops over the frame, the value of a map, and the
// packet: provedRegion bytes of each. r6 to r8 point there, or r6 is a limit; r9 counts trips; r0 to r5 hold numbers.
type provedProgram struct {
	r       *rand.Rand
	regions []provedBase
	labels  int
	depth   int  // of loops at hand
	called  bool // there is a call
	long    bool // it goes on for some slices
}

// provedBase is where a region begins. All accesses to a frame are at multiples of their size.
type provedBase struct{ reg, off int }

const provedRegion = 48

var provedBases = []provedBase{{10, -provedRegion}, {6, 0}, {7, 0}, {8, 0}}

func (g *provedProgram) chance(percent int) bool    { return g.r.IntN(100) < percent }
func (g *provedProgram) pick(list ...string) string { return list[g.r.IntN(len(list))] }
func (g *provedProgram) region() provedBase         { return g.regions[g.r.IntN(len(g.regions))] }

// holes are what text has to be put in for. Those that begin with a capital are the same all over a text.
var holes = regexp.MustCompile(`\{[a-zA-Z]+[0-9]*(\+[0-9])?\}`)

// fill returns a text with something in its holes, of which some are given.
func (g *provedProgram) fill(text string, given map[string]string) string {
	return holes.ReplaceAllStringFunc(text, func(hole string) string {
		hole = hole[1 : len(hole)-1]
		if s, ok := given[hole]; ok {
			return s
		}
		s := g.hole(hole, given)
		if hole[0] < 'a' {
			given[hole] = s
		}
		return s
	})
}

// provedPieces are what holes are filled with, one of several lines.
var provedPieces = map[string]string{
	"W": "r\nw", "op": "+=\n-=\n&=\n|=\n^=", "shift": "<<=\n>>=\ns>>=", "any": "=\n*=\n/=\n%=\n+=\n-=",
	"if":      "r{reg} {cmp} {k}\nw{reg} {cmp} {k}\nr{reg} {cmp} r{reg}\nw{reg} {cmp} w{reg}",
	"cmp":     "==\n!=\n<\n>=\ns>\ns<=\n&",
	"src":     "{at}\n{k}\nr9",
	"perhaps": "\n\n\n{at} = {k}\nr{reg} = {at}\n{at} = r{reg}",
	"word":    "{k}\nr9\n3", "Index": "r9\nr{A}",
}

// provedStatements are what bodies of loops do.
var provedStatements = []string{
	"r{A} = {at}", "{at} = r{A}", "{at} = {k}",
	// back to where it comes from
	"r{A} = {At}\n{W}{A} {op} {W}{B}\n{At} = r{A}", "r{A} = {At}\n{W}{A} {op} {k}\n{At} = r{A}",
	"r{A} = {At}\n{statement}\n{W}{A} {op} {W}{B}\n{At} = r{A}", "r{A} = {At}\n{W}{A} {op} {W}{B}\n{perhaps}\n{At} = r{A}\nr{A} = {src}",
	"r{A} = {u32+0}\n{W}{A} {op} {k}\n{u32+4} = r{A}\nr{A} = {src}", "r{A} = r{B}\n{W}{A} {op} {W}{B}\n{At} = r{A}\nr{A} = {src}",
	"{W}{A} {any} {W}{B}", "{W}{A} {op} {W}{B}", "{W}{A} {op} {k}", "{W}{A} {shift} {W}{B}", "{W}{A} {shift} {bits}",
	// sums and hashes
	"r{A} = {at}\n{W}{B} += {W}{A}", "r{A} = {at}\n{W}{B} *= 31\n{W}{B} += {W}{A}", "r{A} = {at}\n{W}{B} ^= {W}{A}\n{W}{B} *= 33",
	// numbers of adjacent bytes
	"r{A} = {u8+0}\nr{B} = {u8+1}\n{perhaps}\nr{B} <<= 8\nr{A} |= r{B}",
	"r{A} = {u8+1}\nr{B} = {u8+0}\n{perhaps}\nr{B} <<= 8\nr{A} |= r{B}",
	"r{A} = {u16+2}\nr{A} <<= 16\n{perhaps}\nr{B} = {u8+0}\nr{A} |= r{B}\nr{B} = {u8+1}\nr{B} <<= 8\nr{A} |= r{B}",
	"r{A} = {u32+0}\n{perhaps}\nr{B} = {u32+4}\nr{B} <<= 32\nr{A} |= r{B}",
	// adjacent bytes of the frame
	"{f8+0} = {k}\n{perhaps}\n{f8+1} = {k}", "{f32+4} = {k}\n{perhaps}\n{f32+0} = {k}", "{f16+2} = {k}\n{f16+0} = {k}\n{perhaps}\n{f32+4} = {k}",
	"r{A} = {u32+0}\n{f32+0} = r{A}\n{perhaps}\nr{A} = {u32+4}\n{f32+4} = r{A}",
	"r{A} = {u16+2}\n{f16+2} = r{A}\n{perhaps}\nr{A} = {u16+0}\n{f16+0} = r{A}",
	// parts of what has just been stored
	"{f64+0} = r{A}\n{f8+7} = r{B}\nr{B} = {f64+0}", "{f32+4} = r{A}\n{f16+6} = {k}\n{perhaps}\nr{B} = {f32+4}",
	// the frame, or not
	"r{B} = r10\nr{B} += -48\nif r{A} & 1 goto {L}\nr{B} = r7\n{L}:\n{f32+0} = {k}\nr{A} = *(u64 *)(r{B} + 8)\n{f32+4} = {k}\nr{B} = 5",
	"r{B} = r10\nr{B} += -48\nif r{A} & 1 goto {L}\nr{B} = r7\n{L}:\nr{A} = {f8+0}\n*(u16 *)(r{B} + 8) = {k}\nr{B} = {f8+1}\nr{B} <<= 8\nr{A} |= r{B}",
	// computed addresses
	"r{B} = {Base}\nr{A} = {Index}\nr{A} &= 7\nr{B} += r{A}\nr{A} = *(u8 *)(r{B} + {Off})\nr{B} = r{A}",
	"r{B} = {Base}\nr{A} = {Index}\nr{A} &= 7\nr{A} += 1\nr{A} <<= 1\nr{B} += r{A}\n*(u16 *)(r{B} + {Off}) = r{A}\nr{B} = {k}",
	"r{B} = {Base}\nr{A} = {Index}\nr{A} &= 3\nr{A} <<= 2\nr{B} += r{A}\nr{A} = *(u32 *)(r{B} + {Off})\nr{A} {op} {k}\n*(u32 *)(r{B} + {Off}) = r{A}\nr{B} = 5",
	"r{B} = {Base}\nr{A} = {Index}\nr{A} &= 1\nr{A} += 1\nr{A} <<= 3\nr{B} += r{A}\nr{B} = *(u64 *)(r{B} + {Off})",
	"lock {a64+0} += r{A}", "lock {f32+4} |= r{A}",
	"if {if} goto {L}\n{statement}\n{L}:", "if {if} goto {L}\n{statement}\ngoto {M}\n{L}:\n{statement}\n{M}:",
	"*(u32 *)(r10 - 136) = {word}\nr1 = map[idx:1]\nr2 = r10\nr2 += -136\ncall bpf_map_lookup_elem\nif r0 == 0 goto {L}\n" +
		"r1 = *(u32 *)(r0 + {bits})\nr1 += r9\n*(u64 *)(r0 + 8) = r1\n{L}:\nr0 = {src}\nr1 = {src}\nr2 = {src}\nr3 = {src}\nr4 = {src}\nr5 = {src}",
	"r1 = r{A}\nr2 = r9\n{call}\nr1 = {src}\nr2 = {src}\nr3 = {src}\nr4 = {src}\nr5 = {src}",
}

// provedLoops are loops that go on until r9 has come to a limit.
var provedLoops = []string{
	"{Head}:\n{body}\n{Next}:\n{count}\n{again}\n{End}:", "{Head}:\n{body}\n{Next}:\n{count}\n{again}\n{End}:",
	"{Head}:\n{count}\n{body}\n{Next}:\n{again}\n{End}:",
	"{Head}:\nif {T} == {Limit} goto {End}\n{body}\n{Next}:\n{count}\ngoto {Head}\n{End}:",
	"goto {M}\n{Head}:\n{body}\n{M}:\n{body}\n{Next}:\n{count}\n{again}\n{End}:",                            // entered in the middle
	"goto {Head}\n{L}:\ngoto {Head}\n{Head}:\n{body}\n{Next}:\n{count}\nif {T} != {Limit} goto {L}\n{End}:", // the jump back is in front
	"{Head}:\n{body}\n{Next}:\n{count}\nif {T} == {Limit} goto {End}\nif r{reg} & 1 goto {Head}\n{statement}\ngoto {Head}\n{End}:",
}

// hole returns what is to be put into a hole.
func (g *provedProgram) hole(name string, given map[string]string) string {
	if list, ok := provedPieces[name]; ok {
		return g.fill(g.pick(strings.Split(list, "\n")...), given)
	}
	switch name {
	case "reg":
		return fmt.Sprint(g.r.IntN(6))
	case "L", "M", "Head", "Next", "End":
		g.labels++
		return fmt.Sprint("l", g.labels)
	case "k": // mostly a small number
		if g.chance(60) {
			return fmt.Sprint(g.r.IntN(24) - 4)
		}
		return fmt.Sprint(int32(g.r.Uint32()) >> g.r.IntN(32))
	case "bits":
		return fmt.Sprint(g.r.IntN(9))
	case "at", "At":
		size, base := 1<<g.r.IntN(4), g.region()
		off := g.r.IntN(provedRegion - size + 1)
		if base.reg == 10 || base.reg == 6 || g.chance(50) {
			off -= off % size
		}
		return fmt.Sprintf("*(u%d *)(r%d %+d)", 8*size, base.reg, base.off+off)
	case "Base":
		base := g.region()
		given["Off"] = fmt.Sprint(base.off + 8*g.r.IntN(provedRegion/8-2))
		if base.reg == 8 { // where only numbers that are known keep what has been compared
			given["Index"] = "r9"
		}
		return fmt.Sprint("r", base.reg)
	case "statement":
		a := g.r.IntN(6)
		return g.fill(g.pick(provedStatements...), map[string]string{"A": fmt.Sprint(a), "B": fmt.Sprint((a + 1 + g.r.IntN(5)) % 6)})
	case "body":
		return g.body(given)
	case "call":
		g.called = true
		return "call f"
	}
	return g.near(name, given)
}

// near returns memory beside other memory of the text: "u16+2" is two bytes behind two others, of
// any region, "f16+2" of the frame, "a32+4" of what atomic operations can go to.
func (g *provedProgram) near(name string, given map[string]string) string {
	kind := name[:1]
	base := map[string]provedBase{"f": provedBases[0], "a": provedBases[2], "u": g.region()}[kind]
	where := "near " + kind
	if given[where] == "" {
		given[where] = fmt.Sprintf("r%d %+d", base.reg, base.off+8*g.r.IntN(provedRegion/8))
	}
	var size, off, reg, at int
	fmt.Sscanf(name[1:], "%d+%d", &size, &off)
	fmt.Sscanf(given[where], "r%d %d", &reg, &at)
	return fmt.Sprintf("*(u%d *)(r%d %+d)", size, reg, at+off)
}

// body returns statements of a loop, some of which go on with the next trip, or leave it, or are loops.
func (g *provedProgram) body(given map[string]string) (text string) {
	if g.chance(20) { // many branches, of which there is one copy
		for range 12 + g.r.IntN(4) {
			text += g.fill("r3 = *(u8 *)(r7 + {bits})\nif r3 & 5 goto {L}\n*(u8 *)(r7 + {bits}) = {k}\n{L}:\n", map[string]string{})
		}
		return text
	}
	for range 1 + g.r.IntN(6) {
		text += g.fill("{statement}\n", given)
		if g.chance(8) {
			text += g.fill("if {if} goto "+g.pick("{Next}", "{End}")+"\n", given)
		}
		if g.chance(6) && g.depth < 3 {
			counter := fmt.Sprintf("*(u64 *)(r10 - %d)", provedRegion+8*g.depth)
			text += counter + " = r9\n" + g.counted() + "r9 = " + counter + "\n"
		}
	}
	return text
}

// counted returns a loop that goes on until r9 has come to a limit.
func (g *provedProgram) counted() string {
	step, trips := []int{1, 1, 1, 2, 4, 8, 3, -1, -1, -2}[g.r.IntN(10)], 1+g.r.IntN(18)
	if g.depth > 0 {
		trips = 1 + g.r.IntN(5)
	}
	start, class := g.r.IntN(4)+max(0, -step)*trips, g.pick("r", "w")
	limit, begin := fmt.Sprint(start+step*trips), fmt.Sprintf("r9 = %d\n", start)
	tested, count := class+"9", fmt.Sprintf("%s9 += %d", g.pick("r", class), step)
	if !slices.Contains(g.regions, provedBases[1]) && g.depth == 0 { // r6 is free
		switch g.r.IntN(8) {
		case 0, 1:
			begin, limit = fmt.Sprintf("%sr6 = %s\n", begin, limit), class+"6"
		case 4: // it moves
			away := step / max(step, -step)
			begin, limit = fmt.Sprintf("%sr6 = %d\n", begin, start+(step+away)*trips), class+"6"
			count += fmt.Sprintf("\nr6 += %d", -away)
		case 2: // another number than the one that counts
			tested, count = class+"6", fmt.Sprintf("r6 = r9\nr6 += 1\n%s", count)
			begin, limit = begin+"r6 = 99\n", fmt.Sprint(start+step*(trips-1)+1)
		case 5: // a pointer walks
			begin += fmt.Sprintf("r6 = r%s\n", g.pick("7", "8"))
			count += g.pick("\nr0 = *(u64 *)(r6 + 3)\nr6 += 1\nr1 += r0\nr0 = 7", "\nr0 = *(u32 *)(r6 + 4)\nr6 += 1\nw1 ^= w0\nr0 = r9",
				"\nr0 = *(u32 *)(r6 + 8)\nr6 += 1\nw0 += 3\n*(u32 *)(r6 + 8) = r0\nr0 = r1")
		case 3: // by way of another
			tested, count = class+"6", fmt.Sprintf("r6 = r9\nr6 += %d\nr9 = r6", step)
			begin += "r6 = 99\n"
		}
	}
	less := map[bool]string{true: "<", false: "s>"}[step > 0]
	given := map[string]string{"T": tested, "Limit": limit, "count": count}
	again := g.pick("if {T} == {Limit} goto {End}\ngoto {Head}", "if {T} "+less+" {Limit} goto {Head}", "if {T} != {Limit} goto {Head}")
	g.depth++
	defer func() { g.depth-- }()
	return begin + g.fill(strings.ReplaceAll(g.pick(provedLoops...), "{again}", again), given) + "\n"
}

// tangled returns blocks that go to any others, as long as r9 lasts.
func (g *provedProgram) tangled() string {
	n := 2 + g.r.IntN(5)
	if g.chance(30) {
		n += g.r.IntN(20)
	}
	text := fmt.Sprintf("r9 = %d\nif r9 != 0 goto b%d\n", 2+g.r.IntN(30), g.r.IntN(n))
	jump := func(i int, condition string) {
		to := max(0, min(n-1, i+g.r.IntN(7)-3))
		if to <= i {
			text += "r9 += -1\nif r9 == 0 goto end\n"
		}
		text += g.fill(fmt.Sprintf("if %s goto b%d\n", condition, to), nil)
	}
	for i := range n {
		text += fmt.Sprintf("b%d:\n", i) + g.fill(strings.Repeat("{statement}\n", g.r.IntN(4)), nil)
		if g.chance(80) {
			jump(i, "{if}")
		}
		if g.chance(35) || i == n-1 {
			jump(i, "r9 != 0") // as it is: the verifier takes for reachable what follows
		}
	}
	return text + "end:\n"
}

// newProvedProgram returns the text of a program, and how it has been made.
func newProvedProgram(seed uint64) (text string, g *provedProgram) {
	g = &provedProgram{r: rand.New(rand.NewPCG(seed, 0x9e0)), long: seed%32 == 7}
	for len(g.regions) == 0 {
		for _, base := range provedBases {
			if g.chance(60) {
				g.regions = append(g.regions, base)
			}
		}
	}
	text = "r8 = *(u32 *)(r1 + 0)\nr2 = *(u32 *)(r1 + 4)\nr3 = r8\nr3 += 48\nif r3 > r2 goto out\nr7 = map[idx:0][0]+0\nr6 = r10\nr6 += -48\n"
	for r := range 6 {
		text += fmt.Sprintf("r%d = %s\n", r, g.pick(fmt.Sprintf("%#x ll", g.r.Uint64()>>g.r.IntN(64)), fmt.Sprintf("*(u64 *)(r8 + %d)", 8*r)))
	}
	for slot := range provedRegion / 8 {
		if g.chance(60) { // else it is read as zeroes, if at all
			text += g.fill(fmt.Sprintf("*(u64 *)(r10 - %d) = r{reg}\n", 8*(slot+1)), nil)
		}
	}
	switch {
	case g.long:
		text += "again:\nmay_goto end\n" + g.counted() + "goto again\nend:\n"
	case g.chance(40):
		text += g.tangled()
	default:
		for range 1 + g.r.IntN(2) {
			text += g.counted()
		}
	}
	for r := range 6 { // what is not stored need not be computed
		if g.chance(70) {
			text += fmt.Sprintf("*(u64 *)(r10 - %d) = r%d\n", 80+8*r, r)
		}
	}
	text += "out:\nr0 = 2\nexit\n"
	f := fmt.Sprintf("f:\nr0 = r1\nw0 %s w2\nr0 += r1\nexit\n", g.pick("*=", "^=", "-="))
	switch {
	case g.called && g.chance(50): // in front of the loops
		text = "call main\nexit\n" + f + "main:\n" + text
	case g.called:
		text += f
	}
	return text, g
}
