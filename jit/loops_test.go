package jit

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/interp"
)

// loops are loops of all shapes that have copies, and some that have none.
var loops = map[string]string{
	"counted":             "r0 = 0; r2 = 0; l: r0 += r2; r2 += 1; if r2 != 40 goto l; exit",
	"counted down":        "r0 = 0; r2 = 39; l: r0 += r2; r2 += -1; if r2 != 0 goto l; exit",
	"counted in fours":    "r0 = 0; r2 = 16; l: r0 ^= r2; r0 *= 3; r2 += 4; if r2 != 100 goto l; exit",
	"counted in threes":   "r0 = 0; r2 = 0; l: r0 += r2; r2 += 3; if r2 != 99 goto l; exit",
	"never the limit":     "r0 = 0; r2 = 1; l: r0 += r2; r2 += 2; if r2 != 100 goto l; exit",
	"to a register":       "r0 = 0; r2 = 7; r3 = 50; l: r0 += r2; r2 += 1; if r2 != r3 goto l; exit",
	"the limit moves":     "r0 = 0; r2 = 7; r3 = 50; l: r0 += r2; r3 -= 1; r2 += 1; if r2 != r3 goto l; r0 += r3; exit",
	"32 bits":             "r0 = 0; w2 = 5; l: r0 += r2; w2 += 1; if w2 != 77 goto l; exit",
	"32 bits of 64":       "r0 = 0; r2 = 0xffffffff00000005 ll; l: r0 += r2; r2 += 1; if w2 != 77 goto l; exit",
	"32 bits wrap":        "r0 = 0; w2 = -9; l: r0 += r2; w2 += 1; if w2 != 8 goto l; exit",
	"64 bits see 32":      "r0 = 0; w2 = -9; l: r0 += r2; w2 += 1; if r2 != 8 goto l; exit",
	"by way of a copy":    "r0 = 0; r2 = 0; l: r3 = r2; r3 += 1; r0 += r2; r2 = r3; if r3 != 40 goto l; r0 += r3; exit",
	"another is compared": "r0 = 0; r2 = 0; r3 = 0; l: r3 = r2; r0 += r2; r2 += 1; if r3 != 40 goto l; exit",
	"leaves in the middle": "r0 = 0; r2 = 0; l: r0 += r2; r2 += 1; if r2 == 30 goto out; r3 = r2; r3 &= 3; if r3 == 0 goto l; r0 += 5; goto l; " +
		"out: r0 += 1; exit",
	"entered in the middle": "r0 = 0; r2 = 0; goto mid; l: r2 += 1; if r2 == 33 goto out; mid: r0 += r2; if r0 > 100 goto m; r0 *= 3; goto l; " +
		"m: r0 -= 100; goto l; out: exit",
	"goto at the end":  "r0 = 0; r2 = 0; l: r0 += r2; r2 += 1; if r2 == 48 goto out; goto l; out: exit",
	"two ways back":    "r0 = 0; r2 = 0; l: r2 += 1; if r2 > 60 goto out; r3 = r2; r3 &= 1; if r3 == 0 goto l; r0 += r2; goto l; out: exit",
	"nested":           "r0 = 0; r2 = 0; o: r3 = 0; i: r0 += r3; r3 += 1; if r3 != 8 goto i; r2 += 1; if r2 != 9 goto o; exit",
	"nested, one head": "r0 = 0; r2 = 0; l: r0 += 1; r2 += 1; if r0 < 7 goto l; r0 -= 6; if r2 < 99 goto l; exit",
	"two heads":        "r0 = 0; r2 = 50; if r1 == 0 goto b; a: r0 += 1; b: r0 += 2; r2 -= 1; if r2 > 30 goto a; if r2 != 0 goto b; exit",
	"sums":             "r0 = 0; r2 = 0; r4 = 1; l: r3 = r2; r3 *= r3; r0 += r3; r4 ^= r3; r2 += 1; if r2 != 32 goto l; r0 += r4; exit",
	"sums that are read": "r0 = 1; r2 = 0; r4 = 1; l: r3 = r2; r3 *= r3; r0 += r3; r4 *= r0; r5 = r0; r5 >>= 3; r0 ^= r5; r2 += 1; " +
		"if r2 != 32 goto l; r0 += r4; exit",
	"hash":            "r0 = 1; r2 = 0; l: r3 = r2; r3 *= r3; r0 *= 31; r0 += r3; r2 += 1; if r2 != 64 goto l; exit",
	"hash of 32 bits": "r0 = -1; r2 = 0; l: r3 = r2; r3 *= r3; w0 *= 31; w0 += w3; r2 += 1; if r2 != 64 goto l; exit",
	"hashes": "r0 = 1; r2 = 0; r4 = 2; r5 = 3; l: r3 = *(u8 *)(r1 + 0); r3 ^= r2; r0 *= 33; r0 += r3; r4 *= 1000003; r4 += r3; w5 *= 7; w5 += w3; " +
		"r2 += 1; if r2 != 64 goto l; r0 ^= r4; r0 ^= r5; exit",
	"memory": "r0 = 0; r2 = 0; r6 = r1; l: r3 = r6; r3 += r2; r4 = *(u8 *)(r3 + 0); r0 += r4; *(u8 *)(r3 + 1) = r0; r2 += 1; if r2 != 24 goto l; exit",
	"stack": "r0 = 0; r2 = 0; l: r3 = r10; r3 += r2; *(u8 *)(r3 - 64) = r2; r2 += 1; if r2 != 64 goto l; r2 = 0; m: r3 = r10; r3 += r2; " +
		"r4 = *(u64 *)(r3 - 64); r0 ^= r4; r2 += 8; if r2 != 64 goto m; exit",
	"faults": "r0 = 0; r2 = 0; l: r3 = r1; r3 += r2; r4 = *(u64 *)(r3 + 0); r0 += r4; r2 += 8; if r2 != 65536 goto l; exit",
	"cases": "r0 = 1; r2 = 0; l: r3 = r2; r3 &= 3; if r3 == 0 goto c0; if r3 == 1 goto c1; if r3 == 2 goto c2; r0 *= 3; goto e; c0: r0 += 1; goto e; " +
		"c1: r0 <<= 2; goto e; c2: r0 ^= r2; e: r2 += 1; if r2 != 50 goto l; exit",
	"branches, counted":        "r0 = 0; r2 = 0; l: r3 = r2; r3 &= 5; if r3 == 4 goto m; r0 += r2; m: r2 += 1; if r2 != 43 goto l; exit",
	"branches, count at head":  "r0 = 0; r2 = 0; l: r2 += 1; r3 = r2; r3 &= 5; if r3 == 4 goto m; r0 += r2; m: if r2 != 43 goto l; exit",
	"branches, count at both":  "r0 = 0; r2 = 0; l: r2 += 1; r3 = r2; r3 &= 5; if r3 == 4 goto m; r0 += r2; m: r2 += 3; if r2 != 80 goto l; exit",
	"branches, in steps of 24": "r0 = 0; r2 = 5; l: r3 = r2; r3 &= 16; if r3 == 0 goto m; r0 += r2; m: r2 += 24; if r2 != 701 goto l; exit",
	"branches, down by 24":     "r0 = 0; r2 = 701; l: r3 = r2; r3 &= 16; if r3 == 0 goto m; r0 += r2; m: r2 += -24; if r2 != 5 goto l; exit",
	"branches, less":           "r0 = 0; r2 = 5; l: r3 = r2; r3 &= 9; if r3 == 0 goto m; r0 += r2; m: r2 += 3; if r2 < 61 goto l; r0 += r2; exit",
	"branches, more":           "r0 = 0; r2 = 61; l: r3 = r2; r3 &= 9; if r3 == 0 goto m; r0 += r2; m: r2 += -3; if r2 > 5 goto l; r0 += r2; exit",
	"branches, less, signed":   "r0 = 0; w2 = -7; l: r3 = r2; r3 &= 9; if r3 == 0 goto m; r0 += r2; m: w2 += 2; if w2 s< 21 goto l; r0 += r2; exit",
	"branches, moving": "r0 = 0; r2 = 0; r4 = 7; r5 = 100; l: r3 = r4; r3 ^= r5; r3 &= 6; if r3 == 2 goto m; r0 += r4; r0 ^= r5; m: r4 += 3; r5 -= 5; r2 += 1; " +
		"if r2 != 37 goto l; r0 *= 3; r0 += r4; r0 ^= r5; exit",
	"branches, leaves": "r0 = 0; r2 = 0; r4 = 7; l: r3 = r4; r3 &= 14; if r3 == 8 goto m; r0 += r4; if r0 > 400 goto out; m: r4 += 3; r2 += 1; " +
		"if r2 != 37 goto l; r0 *= 3; out: r0 += r4; r0 ^= r2; exit",
	"branches, compared": "r0 = 0; r2 = 0; r4 = 7; l: if r4 > 50 goto m; r0 += r4; m: r4 += 3; r2 += 1; if r2 != 37 goto l; r0 += r4; exit",
	"branches, found":    "r0 = 0; r2 = 0; r5 = r1; l: r3 = r5; r3 += r2; r4 = *(u8 *)(r3 + 0); if r4 == 77 goto out; r0 += r4; r2 += 1; if r2 != 96 goto l; out: r0 += r2; exit",
	"branches, equal": "r0 = 0; r2 = 0; l: r3 = r2; r3 &= 3; if r3 != 2 goto m; r0 += r2; if r3 == r0 goto n; r0 *= 3; goto m; n: r0 += 5; m: r2 += 1; " +
		"if r2 != 43 goto l; exit",
	"branches, goto at the end":  "r0 = 0; r2 = 0; l: r3 = r2; r3 &= 5; if r3 == 4 goto m; r0 += r2; m: r2 += 1; if r2 == 43 goto out; goto l; out: r0 += r2; exit",
	"branches, at first too far": "r0 = 0; r2 = 99; l: r3 = r2; r3 &= 5; if r3 == 4 goto m; r0 += r2; m: r2 += 1; if r2 < 43 goto l; r0 += r2; exit",
	"branches, wraps":            "r0 = 0; w2 = -9; l: r3 = r2; r3 &= 5; if r3 == 4 goto m; r0 += r2; m: w2 += 3; if w2 != 12 goto l; r0 += r2; exit",
	"in steps of 24":             "r0 = 0; r2 = 5; l: r0 ^= r2; r0 *= 3; r2 += 24; if r2 != 701 goto l; exit",
	"less":                       "r0 = 0; r2 = 5; l: r0 ^= r2; r0 *= 3; r2 += 3; if r2 < 61 goto l; exit",
	"less than a register":       "r0 = 0; r2 = 5; r3 = 70; l: r0 ^= r2; r0 *= 3; r2 += 3; if r2 < r3 goto l; exit",
	"a register is more":         "r0 = 0; r2 = 5; r3 = 70; l: r0 ^= r2; r0 *= 3; r2 += 3; if r3 s> r2 goto l; exit",
	"down while more":            "r0 = 0; w2 = 70; w3 = 5; l: r0 ^= r2; r0 *= 3; w2 += -3; if w2 > w3 goto l; exit",
	"less, from above":           "r0 = 0; r2 = -1; l: r0 ^= r2; r0 *= 3; r2 += 3; if r2 < 61 goto l; exit",
	"never less":                 "r0 = 0; r2 = 61; l: r0 ^= r2; r0 *= 3; r2 += 3; if r2 < 61 goto l; exit",
	"long":                       "r0 = 0; r2 = 0; l: r0 += r2; r2 += 1; if r2 != 70000 goto l; exit",
	"endless":                    "r0 = 0; l: r0 += 1; if r0 > 7 goto l; goto l; exit",
	"inlined":                    "r6 = 0; r7 = 0; l: r1 = r6; call f; r7 += r0; r6 += 1; if r6 != 40 goto l; r0 = r7; exit; f: r0 = r1; r0 *= 3; exit",
	"inlined from in front": "goto main; f: r0 = r1; r0 *= 3; exit; main: r6 = 0; r7 = 0; l: r1 = r6; call f; if r0 > 33 goto m; r7 += r0; " +
		"m: r6 += 1; if r6 != 40 goto l; r0 = r7; exit",
	"inlined twice": "r6 = 0; r7 = 0; l: r1 = r6; call f; r7 += r0; r1 = r7; call g; r7 ^= r0; r6 += 1; if r6 > 30 goto out; goto l; out: r0 = r7; exit; " +
		"f: r0 = r1; r0 *= 3; exit; g: r0 = r1; r0 >>= 1; exit",
	"callee": "r6 = 0; r7 = 0; l: r1 = r6; call f; r7 += r0; r6 += 1; if r6 != 12 goto l; r0 = r7; exit; " +
		"f: r0 = 0; m: r0 += r1; r1 += 1; if r1 != 16 goto m; exit",
	"callee that saves": "r6 = 3; r7 = 5; r1 = 9; call f; r0 += r6; r0 += r7; exit; f: r6 = r1; r7 = 2; r0 = r6; r0 *= r7; if r0 > 3 goto e; r0 = 1; e: exit",
}

// TestLoops runs loops with budgets that end at each of their instructions, and with one that lasts
// for several slices.
func TestLoops(t *testing.T) {
	r := enginetest.NewRig(t)
	for name, text := range loops {
		t.Run(name, func(t *testing.T) {
			p := enginetest.Parse(t, strings.NewReplacer("; ", "\n", ": ", ":\n").Replace(text))
			code := compile(t, p, Env{})
			steps, err := interp.Compile(p, interp.Env{Observe: func(int, *interp.Registers) {}})
			require.NoError(t, err)
			agree := func(limit uint64) {
				r.CPU.Limit = limit
				want := r.Outcome(steps)
				require.Equal(t, want, r.Outcome(code), "budget %d", limit)
			}
			for limit := uint64(1); limit < 1000; limit += 1 + limit/100*5 {
				agree(limit)
			}
			agree(5 * vm.Slice)
		})
	}
}
