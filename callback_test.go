package sandbpf

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCallbackMustBeFunction makes numbers that would be pointers to instructions: only what
// the program has as a function pointer can be called.
func TestCallbackMustBeFunction(t *testing.T) {
	const text = `r2 = func[callback]
		r2 += OFF
		r1 = 3
		r3 = 0
		r4 = 0
		call bpf_loop
		exit
		r0 = 0
		exit
		callback: r0 = 0
		exit`
	options := [][]Option{{WithEngine(Interpreter)}, {WithSanitizer()}}
	for _, engine := range engines() {
		options = append(options, []Option{WithEngine(engine)})
	}
	for _, opts := range options {
		v := newVM(t, append(opts, WithoutVerifier())...)
		for off, ok := range map[int]bool{0: true, -2: false, -1: false, 1: false, 1000: false} {
			p := program(t, v, XDP, strings.Replace(text, "OFF", strconv.Itoa(off), 1), nil)
			_, _, err := p.Test(packet)
			if ok {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, ErrHelper, "%d, %v", off, v.Engine())
			require.ErrorContains(t, err, "not a function of the program")
		}
	}
}

// TestFrameBelowCallback has a function that a callback calls give its stack to a helper.
func TestFrameBelowCallback(t *testing.T) {
	const text = `r1 = 2
		r2 = func[callback]
		r3 = 0
		r4 = 0
		call bpf_loop
		exit
		callback: call below
		r0 = 0
		exit
		below: *(u64 *)(r10 - 8) = 7
		r1 = r10
		r1 += -8
		r2 = 8
		r3 = 0
		r4 = 0
		r5 = 0
		call bpf_csum_diff
		exit`
	for _, engine := range engines() {
		v := newVM(t, WithEngine(engine), WithoutVerifier()) // functions have no types
		ret, _, err := program(t, v, XDP, text, nil).Test(packet)
		require.NoError(t, err, engine)
		require.Equal(t, uint32(2), ret, engine)
	}
}
