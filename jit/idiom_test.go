package jit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/interp"
)

// idioms are what compilers write in several instructions and machines do in one or two. Each
// computes r0 from r1 and r2, in a loop over r6.
var idioms = map[string]string{
	"popcount": "r3 = r1\nr3 >>= 1\nr4 = 0x5555555555555555 ll\nr3 &= r4\nr1 -= r3\nr3 = r1\nr4 = 0x3333333333333333 ll\nr3 &= r4\nr1 >>= 2\n" +
		"r1 &= r4\nr3 += r1\nr1 = r3\nr1 >>= 4\nr3 += r1\nr4 = 0x0f0f0f0f0f0f0f0f ll\nr3 &= r4\nr4 = 0x0101010101010101 ll\nr3 *= r4\nr3 >>= 56\nr0 = r3",
	"popcount of 32 bits": "w3 = w1\nw3 >>= 1\nw3 &= 0x55555555\nw1 -= w3\nw3 = w1\nw3 &= 0x33333333\nw1 >>= 2\n" +
		"w1 &= 0x33333333\nw3 += w1\nw1 = w3\nw1 >>= 4\nw3 += w1\nw3 &= 0x0f0f0f0f\nw3 *= 0x01010101\nw3 >>= 24\nr0 = r3",
	"product, rotated":       "r3 = r1\nr4 = 0x87bcb65480000000 ll\nr3 *= r4\nr5 = 0xdef35b010f796ca9 ll\nr1 *= r5\nr1 >>= 33\nr1 |= r3\nr0 = r1",
	"product of 32, rotated": "w3 = w1\nw3 *= 0x16a88000\nw1 *= 0xcc9e2d51\nw1 >>= 17\nw1 |= w3\nr0 = r1",
	"lowest bit":             "r3 = r1\nr3 = -r3\nr3 &= r1\nr1 ^= r3\nr0 = r1\nr0 *= 3\nr0 += r3",
	"lowest bit of 32":       "w3 = w1\nw3 = -w3\nw3 &= w1\nw0 = w1\nw0 -= w3",
	"bits that cannot be set": "r3 = r1\nr3 &= 0xff\nr4 = r2\nr4 &= 0x7f\nr3 *= r4\nr3 <<= 48\nr3 >>= 48\nr4 += r3\nr4 = (s32)r4\n" +
		"w5 = w1\nw5 *= w2\nw5 >>= 31\nw5 &= 1\nr0 = r4\nr0 <<= 3\nr0 |= r5\nr5 = r0\nr5 /= 3\nr5 &= 0x1fffffff\nr0 ^= r5",
	"bytes": "*(u64 *)(r10 - 16) = r1\nr3 = *(u8 *)(r10 - 14)\nr4 = *(u8 *)(r10 - 13)\nw4 <<= 8\nr4 |= r3\nr0 = r4\n" +
		"r3 = *(u8 *)(r10 - 16)\nr4 = *(u8 *)(r10 - 15)\nr5 = *(u8 *)(r10 - 14)\nr3 <<= 8\nr3 |= r4\nr3 <<= 8\nr3 |= r5\nr4 = *(u8 *)(r10 - 13)\nr3 <<= 8\nr3 |= r4\n" +
		"r0 += r3\n*(u32 *)(r10 - 12) = r2\nr3 = *(u16 *)(r10 - 12)\nr4 = *(u8 *)(r10 - 10)\nw4 <<= 16\nr3 |= r4\nr4 = *(u8 *)(r10 - 9)\nw4 <<= 24\nr3 |= r4\nr0 ^= r3",
	"small products": "r0 = r1\nr0 *= 10\nr0 += r2\nw3 = w1\nw3 *= 24\nw3 += w2\nr0 ^= r3\nr3 = r2\nr3 *= 45\nr0 += r3\nw3 = w1\nw3 *= 81\nr0 -= r3\nr3 = r1\nr3 *= 27\nr0 ^= r3\n" +
		"r3 = r1\nr3 *= 72\nr0 += r3\nr1 <<= 3\nr1 += r0\nw2 <<= 2\nw2 += w1\nr0 ^= r1\nr0 += r2\nr1 *= 6\nr2 *= 15\nr0 ^= r1\nr0 += r2",
	"extensions": "w0 = w1\nw0 <<= 24\nw0 s>>= 24\nw3 = w2\nw3 <<= 16\nw3 s>>= 16\nr0 += r3\nw3 = w1\nw3 <<= 24\nw3 >>= 24\nr0 ^= r3\nw3 = w2\nw3 <<= 16\nw3 >>= 16\nr0 *= r3\n" +
		"r1 <<= 48\nr1 s>>= 48\nr0 += r1\nr2 <<= 32\nr2 s>>= 32\nr0 ^= r2",
	"shifts":      "r3 = 1\nr3 <<= r1\nr4 = r2\nr4 >>= r1\nr4 s>>= r3\nr1 <<= r4\nw2 <<= w1\nr0 = r1\nr0 ^= r2\nr0 += r3\nr0 -= r4",
	"hash of 31":  "w0 = w2\nw0 *= 31\nw0 += w1",
	"hash of 33":  "r0 = r2\nr0 *= 33\nr1 += r0\nr0 = r1",
	"hash of 127": "r1 *= 127\nr1 += r2\nr0 = r1",
}

// TestIdioms compares them with single steps, over numbers of all kinds.
func TestIdioms(t *testing.T) {
	for name, text := range idioms {
		for _, start := range []string{"0xfedcba9876543210", "0x7fffffff", "-1", "0", "1"} {
			begin := fmt.Sprintf("r1 = %s ll\n*(u64 *)(r10 - 8) = r1\nr8 = *(u64 *)(r10 - 8)\nr7 = r8\nr7 >>= 3\nr9 = 0\nr6 = 100\nagain: ", start)
			end := "\nr9 *= 1000003\nr9 ^= r0\nr8 *= 1664525\nr8 += 1013904223\nr7 += r8\nr7 <<= 7\nr7 ^= r8\nr6 -= 1\nif r6 != 0 goto again\nr0 = r9\nexit"
			p := enginetest.Parse(t, begin+"r1 = r8\nr2 = r7\n"+strings.TrimSpace(text)+end)
			steps, err := interp.Compile(p, interp.Env{})
			require.NoError(t, err)
			r := enginetest.NewRig(t)
			for _, without := range []lower.Pass{0, lower.PassForward} { // which knows bytes that are stored just before
				require.Equal(t, r.Outcome(steps), r.Outcome(compile(t, p, Env{Without: without})), name)
			}
		}
	}
}
