package bench

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/internal/listing"
	"github.com/sandbpf/sandbpf/interp"
	"github.com/sandbpf/sandbpf/jit"
)

var losersFile = flag.String("losers", "", "`FILE` to append the machine code of programs to that are slower than in Linux")

// writeLosers writes the hot machine code of programs, ours and Linux's, if the flag asks for it.
func writeLosers(t testing.TB, losers []*subject) {
	if *losersFile == "" {
		return
	}
	f, err := os.OpenFile(*losersFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	require.NoError(t, err)
	for _, s := range losers {
		s.writeHot(t, f)
	}
	require.NoError(t, f.Close())
}

// writeHot writes what of the machine code is executed often, ours and Linux's.
func (s *subject) writeHot(t testing.TB, w io.Writer) {
	hot := s.hot(t)
	p := listing.Of(s.spec, asm.Kernel, binary.NativeEndian)
	code, slots := s.jit.Native()
	p.Native = only(listing.Disassemble(code, slots), hot)
	fmt.Fprintf(w, "; %s, sandbpf\n", s.name)
	p.WriteNative(w, true)
	code, slots = s.onLinuxNative(t)
	p.Native = only(listing.Disassemble(code, slots), s.linesOf(hot))
	fmt.Fprintf(w, "\n; %s, Linux: a BPF instruction stands for all of its line\n", s.name)
	p.WriteNative(w, true)
	fmt.Fprintln(w)
}

// only returns the lines of some slots.
func only(lines []listing.Native, slots map[int]bool) []listing.Native {
	return slices.DeleteFunc(lines, func(n listing.Native) bool { return !slots[n.Slot] })
}

// hotShare is the part of the most frequent instruction's executions that makes another hot.
const hotShare = 0.25

// hot returns the slots of the instructions that a run executes most often.
func (s *subject) hot(t testing.TB) map[int]bool {
	cfg := s.program.Executable().Config
	count := make([]int, len(cfg.Prog.Insns))
	code, err := interp.Compile(cfg.Prog, interp.Env{Maps: cfg.Maps, Externs: make([]uint64, len(cfg.Prog.Externs)), Helper: helper.Bodies,
		NumCPU: 1, Observe: func(slot int, _ *interp.Registers) { count[slot]++ }})
	require.NoError(t, err)
	cfg.Engine = code
	run := hooks.TestRun{Data: s.packet}
	require.NoError(t, hooks.Test(context.Background(), variant{hooks.NewExecutable(cfg)}, &run))
	hot, most := make(map[int]bool), float64(slices.Max(count))
	for slot, n := range count {
		hot[slot] = float64(n) >= hotShare*most
	}
	return hot
}

// linesOf returns the slots at which the source lines begin that some slots belong to.
func (s *subject) linesOf(hot map[int]bool) map[int]bool {
	lines := make(map[int]bool)
	for i, l := range s.spec.Lines {
		end := s.spec.Instructions.Slots()
		if i+1 < len(s.spec.Lines) {
			end = s.spec.Lines[i+1].Slot
		}
		for slot := l.Slot; slot < end; slot++ {
			lines[l.Slot] = lines[l.Slot] || hot[slot]
		}
	}
	return lines
}

// onLinuxNative returns the kernel's machine code, and the slots of the instructions that source
// lines begin with by its offset.
func (s *subject) onLinuxNative(t testing.TB) ([]byte, iter.Seq2[int, int]) {
	info, err := s.linux.Program().Info()
	require.NoError(t, err)
	code, ok1 := info.JitedInsns()
	addrs, ok2 := info.JitedLineInfos()
	funcs, ok3 := info.JitedKsymAddrs()
	lens, ok4 := info.JitedFuncLens()
	require.True(t, ok1 && ok2 && ok3 && ok4, "the kernel does not show its code")
	require.Len(t, addrs, len(s.spec.Lines), "the kernel has dropped source lines")
	return code, func(yield func(offset, slot int) bool) {
		for i, addr := range addrs {
			base := uint64(0) // of the function in the code
			for j, start := range funcs {
				if off := addr - uint64(start); off < uint64(lens[j]) {
					if !yield(int(base+off), s.spec.Lines[i].Slot) {
						return
					}
				}
				base += uint64(lens[j])
			}
		}
	}
}

// TestHot finds the loop of a program, in our machine code and in Linux's.
func TestHot(t *testing.T) {
	if err := jit.Available(); err != nil {
		t.Skip(err)
	}
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	for _, s := range subjects(t, "") {
		if s.name != "fnv1a" {
			continue
		}
		var b strings.Builder
		s.writeHot(t, &b)
		ours, theirs, ok := strings.Cut(b.String(), "; fnv1a, Linux")
		require.True(t, ok)
		for _, text := range []string{ours, theirs} {
			require.Contains(t, text, "hash *= 0x100000001b3ULL;")
			require.Contains(t, text, "imul")
			require.NotContains(t, text, "PACKET(p, ctx)", "which is done once only")
		}
	}
}
