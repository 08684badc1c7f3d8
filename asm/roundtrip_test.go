package asm_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	ciliumasm "github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

func TestRoundTripOfObjects(t *testing.T) {
	for _, path := range objects(t) {
		for _, s := range codeOf(t, "../"+path) {
			t.Run(path+"/"+s.name, func(t *testing.T) {
				requireRoundTrip(t, s.bytes, s.order)
			})
		}
	}
}

func TestRoundTripOfRandomInstructions(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 10 {
		var code []byte
		for _, c := range instructions {
			ins := randomOf(rng, c.resolved(t))
			require.NoError(t, ins.Validate())
			requireParses(t, ins)
			code = ins.AppendBinary(code, binary.LittleEndian)
		}
		requireRoundTrip(t, code, binary.LittleEndian)
	}
}

// TestCiliumDecodesTheSame compares the fields of every instruction with those
// that cilium/ebpf decodes from our bytes, and its bytes with ours.
func TestCiliumDecodesTheSame(t *testing.T) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, c := range instructions {
			ins := c.resolved(t)
			if ins.Kind() == asm.KindCallX || ins.Kind() == asm.KindAddrSpaceCast {
				continue // it does not know the one and drops off of the other
			}
			code := ins.AppendBinary(nil, order)
			theirs, err := ciliumasm.AppendInstructions(nil, bytes.NewReader(code), order, "linux")
			require.NoError(t, err, c.mnemonic)
			require.Len(t, theirs, 1)
			require.EqualValues(t, ins.Dst, theirs[0].Dst, c.mnemonic)
			require.EqualValues(t, ins.Src, theirs[0].Src, c.mnemonic)
			require.Equal(t, ins.Imm, theirs[0].Constant, c.mnemonic)

			var again bytes.Buffer
			require.NoError(t, theirs.Marshal(&again, order), c.mnemonic)
			require.Equal(t, code, again.Bytes(), c.mnemonic)
		}
	}
}
