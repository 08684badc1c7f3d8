package verifier

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

// TestCounters has the figures that Linux 6.18.44 gives for loops. They tell whether states are kept,
// compared and dropped as there.
func TestCounters(t *testing.T) {
	for _, c := range []struct {
		name, text                    string
		processed, perInsn, all, peak int
	}{
		{"100 turns", "r6 = 0\nr6 += 1\nif r6 < 100 goto -2\nr0 = 0\nexit\n", 203, 4, 6, 6},
		{"100,000 turns", "r6 = 0\nr6 += 1\nif r6 < 100000 goto -2\nr0 = 0\nexit\n", 200_003, 4, 5001, 5001},
		{"may_goto", "r6 = 0\nmay_goto +2\nr6 += 1\ngoto -3\nr0 = 0\nexit\n", 17, 2, 3, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			proof, err := Verify(program(t, c.text), nil)
			require.NoError(t, err)
			s := proof.Stats
			require.Equal(t, c.processed, s.Processed)
			require.Equal(t, c.all, s.TotalStates)
			if c.name != "may_goto" { // Linux counts those that wait for a loop apart
				require.Equal(t, c.perInsn, s.MaxStates)
				require.Equal(t, c.peak, s.PeakStates)
			}
		})
	}
}

// TestProof has what engines are told.
func TestProof(t *testing.T) {
	array := &Map{Name: "values", Type: maps.Array, KeySize: 4, ValueSize: 16, MaxEntries: 4}
	p := program(t, "r6 = r1\n"+ // 0
		"*(u32 *)(r10 - 8) = 2\n"+ // 1
		"r2 = r10\n"+ // 2
		"r2 += -8\n"+ // 3
		"ld_pseudo r1, 0x5, 0x0\n"+ // 4, 5: map number 0
		"call map_lookup_elem\n"+ // 6
		"r7 = *(u64 *)(r0 + 8)\n"+ // 7: no comparison with null is needed
		"r0 = 1\n"+ // 8
		"if r0 == 0 goto +1\n"+ // 9: never taken
		"exit\n"+ // 10
		"r9 = r8\n"+ // 11: dead, or r8 would have to be set
		"exit\n") // 12
	proof, err := Verify(p, &Env{Maps: []*Map{array}})
	require.NoError(t, err)
	at := proof.Insns
	require.Equal(t, Access{Memory: MemStack, Proved: true, Off: -8, Const: true, Map: -1}, at[1].Access)
	require.Equal(t, Access{Memory: MemMapValue, Proved: true, Off: 8, Const: true}, at[7].Access)
	require.Equal(t, int16(0), at[6].Map)
	require.True(t, at[6].KeyKnown)
	require.Equal(t, uint32(2), at[6].Key)
	require.False(t, at[9].Taken)
	require.True(t, at[9].Falls)
	require.False(t, at[11].Seen)
	require.Equal(t, []FuncProof{{Reached: true, Stack: 8, Unread: ^uint64(1)}}, proof.Funcs)
}

// TestProofJoins has what is not the same on all paths.
func TestProofJoins(t *testing.T) {
	p := program(t, "r2 = r10\nr2 += -8\nr3 = *(u32 *)(r1 + 0)\nif r3 == 0 goto +1\nr2 += -8\n*(u64 *)(r2 + 0) = 0\nr0 = 0\nexit\n")
	proof, err := Verify(p, nil)
	require.NoError(t, err)
	require.Equal(t, Access{Memory: MemStack, Proved: true, Map: -1}, proof.Insns[5].Access)
	require.True(t, proof.Insns[3].Taken && proof.Insns[3].Falls)
}

// TestDeadStack shows that what no path reads again does not keep states apart, and that what a function is
// given the address of does.
func TestDeadStack(t *testing.T) {
	paths := func(use string) int {
		text := "r6 = r1\nr0 = *(u32 *)(r6 + 0)\nr7 = 1\n*(u64 *)(r10 - 8) = r7\nif r0 == 0 goto +2\nr7 = 2\n*(u64 *)(r10 - 8) = r7\nr7 = 0\n" +
			"r1 = 0\nr2 = 0\nr3 = 0\nr4 = 0\nr5 = 0\nif r0 == 1 goto +0\n" + use + "r0 = 0\nexit\n"
		proof, err := Verify(program(t, text), &Env{Flags: TestStateFreq})
		require.NoError(t, err)
		return proof.Stats.Processed
	}
	dead := paths("")
	// The value is an offset: it must be the same on both ways.
	alive := paths("r3 = *(u64 *)(r10 - 8)\nr4 = r10\nr4 += -64\nr4 += r3\n*(u8 *)(r4 + 0) = 0\n")
	require.Greater(t, alive, dead+5)
}

// TestConcurrent verifies programs at the same time; verifications share a pool.
func TestConcurrent(t *testing.T) {
	good := program(t, counting(200))
	bad := program(t, "r0 = *(u64 *)(r2 + 0)\nexit\n")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				proof, err := Verify(good, nil)
				if err != nil || proof.Stats.Processed != 604 {
					t.Errorf("%v", err)
				}
				_, err = Verify(bad, nil)
				var refused *Error
				if !errors.As(err, &refused) || refused.Code != CodeUninitialized {
					t.Errorf("%v", err)
				}
			}
		})
	}
	wg.Wait()
}

// TestError has what a refusal says in its forms.
func TestError(t *testing.T) {
	_, err := Verify(program(t, "r2 = *(u32 *)(r1 + 0)\nif r2 > 99 goto +1\nr0 = 0\nr3 = r2\nr0 = *(u8 *)(r3 + 0)\nexit\n"), nil)
	require.ErrorIs(t, err, ErrRefused)
	require.EqualError(t, err, "program prog: instruction 4: r3 is a number, not a pointer")
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, CodeScalarDeref, e.Code)
	require.Equal(t, 13, e.Errno)
	require.Equal(t, "r3", e.Reg)
	require.Equal(t, "scalar(id=1,smin=smin32=0,smax=umax=smax32=umax32=99,var_off=(0x0; 0x7f))", e.Known)
	require.NotEmpty(t, e.Origin)
	require.Equal(t, 3, e.Origin[0].Insn)
	require.Len(t, e.Path, 1)
	require.False(t, e.Path[0].Taken)
	story := fmt.Sprintf("%+v", err)
	for _, part := range []string{"code: scalar-deref", "r3 = r2", "falls through", "hint: "} {
		require.Contains(t, story, part)
	}
}

func TestNilArguments(t *testing.T) {
	p := program(t, "r0 = 0\nexit\n")
	_, err := Verify(nil, nil)
	require.EqualError(t, err, "verifier: nil Program")
	_, err = Verify(p, &Env{Maps: []*Map{nil}})
	require.EqualError(t, err, "verifier: program prog: nil Map in Env")
	_, err = Verify(p, nil)
	require.NoError(t, err)
}

// TestReasons has what refusals say in one line, where that depends on the case.
func TestReasons(t *testing.T) {
	const lookup = "*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nld_pseudo r1, 0x5, 0x0\ncall map_lookup_elem\n"
	hash := &Map{Name: "m", Type: maps.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 4}
	queue := &Map{Name: "m", Type: maps.Queue, ValueSize: 4, MaxEntries: 4}
	for _, c := range []struct {
		text, want string
		typ        prog.Type
		m          *Map
	}{
		{"r0 = 2\nexit\n", "at the program's end r0 is 2, it must be in [0, 1]", prog.CGroupSysctl, nil},
		{"r0 = *(u32 *)(r1 + 0)\nr0 &= 7\nexit\n", "at the program's end r0 is in [0, 7], it must be in [0, 1]", prog.CGroupSysctl, nil},
		{"r0 = r1\nexit\n", "at the program's end r0 must be in [0, 1], it is a pointer to ctx", prog.CGroupSysctl, nil},
		{"*(u32 *)(r1 + 0) = 3\nr0 = 0\nexit\n", "write to 4 bytes at offset 0 of the context: programs of type sched_cls may only read that", prog.SchedCLS, nil},
		{"*(u32 *)(r1 + 400) = 3\nr0 = 0\nexit\n", "write to 4 bytes at offset 400 of the context: programs of type sched_cls have no such field", prog.SchedCLS, nil},
		{lookup + "r0 = *(u64 *)(r0 + 0)\nexit\n", "r0 may be null: it was not compared with null", prog.XDP, hash},
		{lookup + "r0 = 0\nexit\n", "map m has no keys", prog.XDP, queue},
	} {
		p := program(t, c.text)
		p.Type = c.typ
		var env *Env
		if c.m != nil {
			env = &Env{Maps: []*Map{c.m}}
		}
		_, err := Verify(p, env)
		var e *Error
		require.ErrorAs(t, err, &e, c.text)
		require.Equal(t, c.want, e.Reason, c.text)
		require.NotEmpty(t, e.Hint, c.text)
	}
}

// TestHintUnboundedOffset has a packet offset that is compared with the end, but is too large
// for that to count.
func TestHintUnboundedOffset(t *testing.T) {
	const text = "r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr4 = *(u32 *)(r1 + 16)\n%sr0 = 0\nr2 += r4\nr5 = r2\nr5 += 1\n" +
		"if r5 > r3 goto +1\nr0 = *(u8 *)(r2 + 0)\nexit\n"
	for _, bound := range []string{"", "r4 &= 65535\n"} {
		p := program(t, fmt.Sprintf(text, bound))
		p.Type = prog.XDP
		_, err := Verify(p, nil)
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, CodePacketBounds, e.Code)
		require.Contains(t, e.Hint, "more than 65535 bytes")
	}
	p := program(t, fmt.Sprintf(text, "r4 &= 4095\n"))
	p.Type = prog.XDP
	_, err := Verify(p, nil)
	require.NoError(t, err)
}

// TestLog has the log of a short program, as Linux writes it but for what it pads.
func TestLog(t *testing.T) {
	var log bytes.Buffer
	_, err := Verify(program(t, "r2 = *(u8 *)(r1 + 0)\nif r2 == 7 goto +1\nr2 = 0\nr0 = 0\nexit\n"), &Env{Log: &log, LogLevel: 2})
	require.NoError(t, err)
	for _, part := range []string{
		"0: (71) r2 = *(u8 *)(r1 +0)\n", "1: (15) if r2 == 0x7 goto pc+1\n", "R2=scalar(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))",
		"from 1 to 3: R1=ctx() R2=7 R10=fp0", "processed 7 insns (limit 1000000)",
	} {
		require.Contains(t, log.String(), part)
	}
}

// TestStoryOfLoops has the rounds of a loop told in one.
func TestStoryOfLoops(t *testing.T) {
	p := program(t, "r1 = *(u32 *)(r1 + 0)\nr2 = 0\n"+
		"again: if r1 == 7 goto out\nr2 += 1\nif r2 != 5 goto again\n"+
		"out: r0 = r3\nexit\n")
	_, err := Verify(p, nil)
	var refused *Error
	require.ErrorAs(t, err, &refused)
	require.Len(t, refused.Path, 10)
	story := fmt.Sprintf("%+v", err)
	require.Contains(t, story, "  path:\n    4 times, of which this is the last:\n    2: if r1 == 0x7 goto pc+2  falls through\n"+
		"    4: if r2 != 0x5 goto pc-3  jumps\n    2: if r1 == 0x7 goto pc+2  falls through\n    4: if r2 != 0x5 goto pc-3  falls through\n")
}

// TestTargets has programs that attach to what is not known: the types of their arguments are not, either.
func TestTargets(t *testing.T) {
	for typ, reason := range map[prog.Type]string{prog.Tracing: "does not name what the program attaches to",
		prog.LSM: "does not name what the program attaches to", prog.StructOps: "which member of which struct"} {
		p := program(t, "r0 = 0\nexit\n")
		p.Type, p.License = typ, "GPL"
		_, err := Verify(p, nil)
		refused := (*Error)(nil)
		require.ErrorAs(t, err, &refused)
		require.Equal(t, CodeUnsupported, refused.Code)
		require.ErrorContains(t, err, reason)
	}
}
