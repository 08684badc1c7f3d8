package domain

import (
	"fmt"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

// edge returns the numbers of a and of b that occur in pairs for which the jump is
// taken, or not.
func edge(holds func(x, y uint64) uint64, taken bool, a, b uint16) (x, y uint16) {
	for as := a; as != 0; as &= as - 1 {
		i := bits.TrailingZeros16(as)
		for bs := b; bs != 0; bs &= bs - 1 {
			j := bits.TrailingZeros16(bs)
			if (holds(uint64(i), uint64(j)) != 0) == taken {
				x |= 1 << i
				y |= 1 << j
			}
		}
	}
	return x, y
}

// TestBranchPrecision tries the conditions on pairs of all scalars of width 4, on both
// edges: no number is lost, and no edge said to be dead that is not. It reports how
// often the operands are the best that there are.
func TestBranchPrecision(t *testing.T) {
	all := allScalars()
	sets := make([]uint16, len(all))
	for i := range all {
		sets[i] = set(&all[i])
	}
	for _, wide := range []bool{true, false} {
		for _, op := range jumpOps {
			t.Run(fmt.Sprintf("%v wide=%v", op, wide), func(t *testing.T) {
				t.Parallel()
				truth := table(func(x, y uint64) uint64 {
					if holdsALU(op, wide, x, y, 4) {
						return 1
					}
					return 0
				})
				var c branchCount
				pairs(len(all), 5_000, func(i, j int) {
					for _, taken := range []bool{true, false} {
						x, y := edge(truth, taken, sets[i], sets[j])
						c.try(t, op, wide, taken, &all[i], &all[j], x, y)
					}
				})
				if op != asm.JSet {
					require.Equal(t, c.dead, c.found, "dead edges found by Refine")
				}
				switch op {
				case asm.JEq, asm.JNE, asm.JSet:
				default:
					require.Equal(t, c.dead, min(c.decided, c.decidedLinux), "dead edges found by Decide")
				}
				t.Logf("%v wide=%v: best on %d edges: Tight %.1f%%, Linux %.1f%%; %d dead edges: Refine finds %.1f%%, Decide: Tight %.1f%%, Linux %.1f%%",
					op, wide, c.alive, percent(c.exact, c.alive), percent(c.exactLinux, c.alive), c.dead,
					percent(c.found, c.dead), percent(c.decided, c.dead), percent(c.decidedLinux, c.dead))
			})
		}
	}
}

// branchCount counts how precise refinement was.
type branchCount struct {
	alive, exact, exactLinux           int
	dead, found, decided, decidedLinux int
}

// try refines a and b on one edge, which leaves the sets x and y of them.
func (c *branchCount) try(t *testing.T, op asm.JumpOp, wide, taken bool, a, b *Scalar, x, y uint16) {
	p, q := *a, *b
	ok := refine[w4](Tight, op, wide, taken, &p, &q)
	lp, lq := *a, *b
	refine[w4](Linux, op, wide, taken, &lp, &lq)
	dead := func(r Rules) bool {
		known, to := decide[w4](r, op, wide, a, b)
		return known && to != taken
	}
	tight, linux := dead(Tight), dead(Linux)
	if x == 0 {
		c.dead++
		c.found += count(!ok)
		c.decided += count(tight)
		c.decidedLinux += count(linux)
		return
	}
	c.alive++
	if !ok || tight || linux || x&^set(&p) != 0 || y&^set(&q) != 0 || x&^set(&lp) != 0 || y&^set(&lq) != 0 ||
		!lp.Includes(&p) || !lq.Includes(&q) {
		require.Fail(t, "branch", "%v %v %v, taken %v: want %016b and %016b, Tight %v %v ok %v dead %v, Linux %v %v dead %v",
			a, op, b, taken, x, y, p, q, ok, tight, lp, lq, linux)
	}
	bx, by := bestScalar(x), bestScalar(y)
	c.exact += count(p == bx && q == by)
	c.exactLinux += count(lp == bx && lq == by)
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestBranchWide tries them at random on 64 bits and on 8.
func TestBranchWide(t *testing.T) {
	testBranchAtRandom[w64](t)
	testBranchAtRandom[w8](t)
}

func testBranchAtRandom[W width](t *testing.T) {
	r := newRand(4)
	for range randomTries() / 8 {
		op, wide := jumpOps[r.IntN(len(jumpOps))], r.IntN(2) == 0
		rules := bothRules[r.IntN(2)]
		a, x := randomScalar[W](r, rules)
		b, y := randomScalar[W](r, rules)
		if r.IntN(3) == 0 && contains[W](&b, x) {
			y = x
		}
		for _, x := range corners[W](&a, x) {
			for _, y := range corners[W](&b, y) {
				tryBranch[W](t, op, wide, a, b, x, y)
			}
		}
	}
}

// tryBranch refines a and b on the edge that x and y take.
func tryBranch[W width](t *testing.T, op asm.JumpOp, wide bool, a, b Scalar, x, y uint64) {
	n := bitsOf[W]()
	taken := holdsALU(op, wide, x, y, n)
	p, q, lp, lq := a, b, a, b
	ok := refine[W](Tight, op, wide, taken, &p, &q)
	refine[W](Linux, op, wide, taken, &lp, &lq)
	if !ok || !contains[W](&p, x) || !contains[W](&q, y) || !contains[W](&lp, x) || !contains[W](&lq, y) ||
		!lp.Includes(&p) || !lq.Includes(&q) {
		require.Fail(t, "branch", "%d bits: %v %v (wide %v) %v, taken %v with %#x and %#x: Tight %v %v ok %v, Linux %v %v",
			n, a, op, wide, b, taken, x, y, p, q, ok, lp, lq)
	}
	for _, rules := range bothRules {
		if known, to := decide[W](rules, op, wide, &a, &b); known && to != taken {
			require.Fail(t, "decide", "%d bits, rules %d: %v %v (wide %v) %v is %v with %#x and %#x", n, rules, a, op, wide, b, taken, x, y)
		}
	}
}

// TestRefineSame refines a register compared with itself: what stays possible is
// not lost.
func TestRefineSame(t *testing.T) {
	for _, op := range jumpOps {
		truth := table(func(x, _ uint64) uint64 { return uint64(count(holds(op, x, x, 4))) })
		for _, s := range allScalars() {
			for _, taken := range []bool{true, false} {
				want, _ := edge(truth, taken, set(&s), 1)
				for _, rules := range bothRules {
					p := s
					ok := refine[w4](rules, op, true, taken, &p, &p)
					require.True(t, want == 0 || ok && want&^set(&p) == 0, "%v %v itself, rules %d, taken %v: %v", s, op, rules, taken, p)
				}
			}
		}
	}
}

// TestRefineImm shows that an immediate is a constant operand like others.
func TestRefineImm(t *testing.T) {
	r := newRand(11)
	for range randomTries() / 10 {
		for _, rules := range []Rules{Linux, Tight} {
			s, _ := randomScalar[w64](r, rules)
			imm := random(r)
			op := jumpOps[int(random(r)%uint64(len(jumpOps)))]
			for _, wide := range []bool{false, true} {
				for _, taken := range []bool{false, true} {
					a, b, c := s, s, Const(imm)
					want := rules.Refine(op, wide, taken, &a, &c)
					require.Equal(t, want, rules.RefineImm(op, wide, taken, &b, imm))
					if want {
						require.Equal(t, a, b)
					}
				}
			}
		}
	}
}
