package jit

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/interp"
)

// TestMutatedIdiomsAgree runs programs of a few idioms that are nearly those which passes look for, in a loop or
// two, as machine code and in single steps: same registers, memory and instructions, whatever the budget.
func TestMutatedIdiomsAgree(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	r := enginetest.NewRig(t)
	for seed := *firstSeed; seed < *firstSeed+uint64(cmp.Or(*programs, 2000)); seed++ {
		m := mutator{rand.New(rand.NewPCG(seed, 0))}
		text := m.program()
		p := enginetest.Parse(t, text)
		steps, err := interp.Compile(p, interp.Env{Observe: func(int, *interp.Registers) {}})
		require.NoError(t, err)
		code, err := Compile(p, Env{})
		require.NoError(t, err)
		for limit := uint64(1 << 16); limit > 0; {
			r.CPU.Limit = limit
			want := r.Outcome(steps)
			if got := r.Outcome(code); got != want { // require.Equal takes longer than the runs
				require.Equal(t, want, got, "seed %d, budget %d:\n%s", seed, limit, text)
			}
			limit = m.r.Uint64N(min(limit, want.Done) + 1)
		}
		require.NoError(t, code.Close())
	}
}

// mutator makes programs whose registers r0 to r9 and four slots of the frame, from r10-16 to r10-48, all hold numbers.
type mutator struct{ r *rand.Rand }

func (m *mutator) chance(percent int) bool    { return m.r.IntN(100) < percent }
func (m *mutator) pick(list ...string) string { return list[m.r.IntN(len(list))] }

// names are those of idioms, in an order that does not change.
var names = slices.Sorted(maps.Keys(idioms))

func (m *mutator) program() string {
	var b strings.Builder
	for r := range 10 {
		fmt.Fprintf(&b, "r%d = %#x ll\n", r, m.r.Uint64()>>m.r.IntN(64))
	}
	for slot := range 4 {
		fmt.Fprintf(&b, "*(u64 *)(r10 - %d) = r%d\n", 16+8*slot, m.r.IntN(10))
	}
	for loop := range 1 + m.r.IntN(2) {
		// The body does not have the register that counts.
		count, body := fmt.Sprint("r", 6+loop), ""
		for range 1 + m.r.IntN(3) {
			body += m.idiom(6) + m.between(6)
		}
		c, step := m.pick("r", "w"), []int{1, 1, -1, 2, -4, 3}[m.r.IntN(6)]
		limit := step * m.r.IntN(14)
		fmt.Fprintf(&b, "%s = 0\nif %s == %d goto out%d\nagain%d:\n%s", count, count, limit, loop, loop, body)
		count = c + count[1:]
		fmt.Fprintf(&b, "%s += %d\nif %s != %d goto again%d\nout%d:\n", count, step, count, limit, loop, loop)
	}
	for r := range 10 {
		fmt.Fprintf(&b, "*(u64 *)(r10 - %d) = r%d\n", 56+8*r, r)
	}
	return b.String() + "exit"
}

// between is what may lie between two idioms: memory that is read and written in parts, a jump, a move.
func (m *mutator) between(registers int) string {
	a, b, label := m.r.IntN(registers), m.r.IntN(registers), m.r.Uint32()
	size := []int{8, 16, 32, 64}[m.r.IntN(4)]
	at := fmt.Sprintf("*(u%d *)(r10 - %d)", size, size/8+16+m.r.IntN(25)-8)
	switch m.r.IntN(5) {
	case 0:
		return fmt.Sprintf("%s = r%d\n", at, a)
	case 1:
		return fmt.Sprintf("r%d = %s\n", a, at)
	case 2:
		return fmt.Sprintf("r%d = %s\nr%d %s r%d\n%s = r%d\n", a, at, a, m.pick("+=", "^=", "<<="), b, at, a)
	case 3:
		return fmt.Sprintf("if r%d %s r%d goto l%d\nr%d = r%d\nl%d:\n", a, m.pick("s>", "<", "&"), b, label, b, a, label)
	}
	return fmt.Sprintf("r%d = r%d\n", a, b)
}

// idiom is one of those that there are, with a mistake or two.
func (m *mutator) idiom(registers int) string {
	lines := strings.Split(idioms[names[m.r.IntN(len(names))]], "\n")
	if m.chance(30) { // other registers, perhaps one for two
		from, to := fmt.Sprint(m.r.IntN(registers)), fmt.Sprint(m.r.IntN(registers))
		for i := range lines {
			lines[i] = strings.NewReplacer("r"+from+" ", "r"+to+" ", "w"+from+" ", "w"+to+" ").Replace(lines[i] + " ")
		}
	}
	for range 1 + m.r.IntN(3) {
		i := m.r.IntN(len(lines))
		switch fields := strings.Fields(lines[i]); {
		case m.chance(20):
			lines[i] += "\n" + strings.TrimSuffix(m.between(registers), "\n")
		case m.chance(20):
			lines = slices.Delete(lines, i, i+1)
			if len(lines) == 0 {
				return ""
			}
		case len(fields) == 3 && fields[1] != "=" && fields[0][0] != '*': // the width, or a constant
			lines[i] = m.other(fields[0], fields[1], fields[2])
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// other is an operation as on the other width, or with another constant.
func (m *mutator) other(dst, op, src string) string {
	var k int64
	shift := strings.HasSuffix(op, "<<=") || strings.HasSuffix(op, ">>=")
	if n, _ := fmt.Sscan(src, &k); n == 1 {
		if m.chance(70) {
			k += m.r.Int64N(3) - 1
		} else {
			dst = swapped.Replace(dst)
		}
		if shift && dst[0] == 'w' {
			k &= 31
		}
		return fmt.Sprintf("%s %s %d", dst, op, int32(k))
	}
	return fmt.Sprintf("%s %s %s", swapped.Replace(dst), op, swapped.Replace(src))
}

// swapped makes registers those of the other width.
var swapped = strings.NewReplacer("r", "w", "w", "r")
