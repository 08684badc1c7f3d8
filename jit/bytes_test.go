package jit

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/interp"
)

// numberOfBytes is a program that puts a number together of parts of the 16 bytes at r10 - 16:
// mostly in one of the two orders, with a mistake now and then.
func numberOfBytes(rng *rand.Rand) string {
	var b strings.Builder
	for _, off := range [...]int{16, 8} {
		fmt.Fprintf(&b, "r0 = %#x ll\n*(u64 *)(r10 - %d) = r0\n", rng.Uint64(), off)
	}
	size := 1 << rng.IntN(4) // of the number
	at, swapped := rng.IntN(17-size), rng.IntN(2) == 0
	b.WriteString("r0 = 0\nr5 = 0\n")
	for done := 0; done < size; {
		part := 1
		if rng.IntN(4) == 0 && done+2 <= size {
			part = 2
		}
		shift := 8 * done
		if swapped {
			shift = 8 * (size - done - part)
		}
		off := at + done
		switch rng.IntN(24) {
		case 0:
			shift = rng.IntN(64)
		case 1:
			off = rng.IntN(17 - part)
		case 2:
			fmt.Fprintf(&b, "*(u8 *)(r10 - %d) = %d\n", 1+rng.IntN(16), rng.IntN(256))
		}
		fmt.Fprintf(&b, "r3 = *(u%d *)(r10 - %d)\n", 8*part, 16-off)
		if part == 2 && swapped && rng.IntN(2) == 0 {
			b.WriteString("r3 = be16 r3\n")
		}
		w := "r"
		if shift < 32 && rng.IntN(2) == 0 {
			w = "w"
		}
		fmt.Fprintf(&b, "%s3 <<= %d\n%s %s= r3\n", w, shift, []string{"r0", "r0", "r0", "r5"}[rng.IntN(4)], []string{"|", "|", "|", "+", "^"}[rng.IntN(5)])
		done += part
	}
	fmt.Fprintf(&b, "%s |= %s\n", [...]string{"r0", "w0"}[rng.IntN(2)], [...]string{"r5", "w5"}[rng.IntN(2)])
	return strings.NewReplacer("r0 |= w5", "r0 |= r5", "w0 |= r5", "w0 |= w5").Replace(b.String()) + "exit"
}

// TestNumbersOfBytes compares them with single steps.
func TestNumbersOfBytes(t *testing.T) {
	rng, r := rand.New(rand.NewPCG(3, 4)), enginetest.NewRig(t)
	merged := 0
	for range 600 {
		text := numberOfBytes(rng)
		p := enginetest.Parse(t, text)
		steps, err := interp.Compile(p, interp.Env{})
		require.NoError(t, err)
		code := compile(t, p, Env{})
		require.Equal(t, r.Outcome(steps), r.Outcome(code), text)
		if without, err := code.Without(lower.PassMerge); err == nil {
			if without.Size() != code.Size() {
				merged++
			}
			require.NoError(t, without.Close())
		}
	}
	require.Greater(t, merged, 60, "few of them were loaded at once")
}
