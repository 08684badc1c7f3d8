package difftest

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/verifier"
)

// verdictOf verifies a case that a fuzz test has made: whatever it is, there is a verdict.
func verdictOf(t *testing.T, c *Case) (*Subject, *Outcome) {
	s, err := c.Subject()
	require.NoError(t, err)
	s.Patience = maxExplored
	o := s.Verify(verifyLimit)
	require.Empty(t, o.Crash)
	if o.Err != nil {
		require.NotEqual(t, verifier.CodeInternalError, o.Err.Code, "%+v", o.Err)
		require.NotEmpty(t, o.Err.Code)
		require.NotEmpty(t, o.Err.Reason)
		require.NotZero(t, o.Err.Errno)
		require.NotEmpty(t, fmt.Sprintf("%+v", o.Err))
	}
	return s, o
}

// FuzzVerifyBytes takes any bytes for the instructions of a program.
func FuzzVerifyBytes(f *testing.F) {
	f.Add([]byte{0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0}, uint8(prog.XDP), uint8(0), false)
	for seed := range uint64(20) {
		c, err := Generate(seed).Case("")
		require.NoError(f, err)
		f.Add([]byte(c.Insns), uint8(c.ProgType), uint8(seed), seed%2 == 0)
	}
	f.Fuzz(func(t *testing.T, insns []byte, progType, flags uint8, unprivileged bool) {
		c := &Case{ID: "fuzz", ProgType: uint32(progType), Flags: uint32(flags), License: "GPL", Insns: insns[:len(insns)/asm.SlotSize*asm.SlotSize]}
		for _, m := range GeneratedMaps {
			c.Maps = append(c.Maps, m.Map)
		}
		if unprivileged {
			c.Privilege = verifier.CapBPF
		}
		verdictOf(t, c)
	})
}

// mutate changes fields of instructions. A change takes four bytes: two for the
// instruction, one for the field, one for the value.
func mutate(insns hexBytes, changes []byte) {
	for ; len(changes) >= 4 && len(insns) > 0; changes = changes[4:] {
		slot := int(binary.LittleEndian.Uint16(changes)) % (len(insns) / asm.SlotSize)
		b, value := insns[slot*asm.SlotSize:], changes[3]
		switch changes[2] % 8 {
		case 0:
			b[0] = value
		case 1:
			b[0] ^= 1 << (value % 8)
		case 2:
			b[1] = b[1]&0xf0 | value%11
		case 3:
			b[1] = b[1]&0x0f | value%11<<4
		case 4:
			binary.LittleEndian.PutUint16(b[2:], uint16(int8(value)))
		case 5:
			binary.LittleEndian.PutUint32(b[4:], uint32(int8(value)))
		case 6:
			b[4+value%4] ^= value
		default:
			from := int(value) % (len(insns) / asm.SlotSize)
			copy(b[:asm.SlotSize], insns[from*asm.SlotSize:])
		}
	}
}

// mutationBases are what FuzzVerifyMutated starts from besides generated programs.
func mutationBases(t testing.TB) []*Case {
	var list []*Case
	for _, c := range textCases(t) {
		list = append(list, c.Case)
	}
	if recorded, err := ReadCorpus(defaultCorpus); err == nil {
		list = append(list, recorded...)
	}
	return list
}

// FuzzVerifyMutated changes programs of testdata/cases, of the recording, and generated
// ones. What is accepted of the latter is run.
func FuzzVerifyMutated(f *testing.F) {
	bases := mutationBases(f)
	f.Add(uint64(0), []byte{3, 0, 2, 1})
	f.Add(uint64(1), []byte{1, 0, 5, 7, 9, 0, 0, 0x95})
	f.Fuzz(func(t *testing.T, pick uint64, changes []byte) {
		c := new(Case)
		if n := pick / 2; pick%2 == 0 {
			*c = *bases[n%uint64(len(bases))]
			c.Insns = append(hexBytes(nil), c.Insns...)
		} else {
			var err error
			c, err = GenerateRunnable(n).Case("")
			require.NoError(t, err)
		}
		mutate(c.Insns, changes)
		s, o := verdictOf(t, c)
		if pick%2 == 0 || !o.Accepted() {
			return
		}
		r := newRunner(t, pick)
		if p, ok := r.program(c, s, o.Proof, nil); ok {
			require.NoError(t, r.run(p, c.Privilege))
		}
	})
}

// TestMutated is FuzzVerifyMutated for a few programs, against the states of all paths too.
func TestMutated(t *testing.T) {
	n := seeds(500)
	var total soundness
	enginetest.Sweep(t, *firstSeed, n, func(t *testing.T) func(uint64) {
		s := newSoundness(t, &total)
		return func(seed uint64) {
			c, err := GenerateRunnable(seed).Case("seed-" + strconv.FormatUint(seed, 10))
			require.NoError(t, err)
			s.source.Seed(seed, 3)
			mutate(c.Insns, s.bytes(4*(1+s.r.IntN(3))))
			s.checkCase(c, seed)
		}
	})
	t.Log(total.String())
	require.Greater(t, total.accepted, int(n)/20)
}
