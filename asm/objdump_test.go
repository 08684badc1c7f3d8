package asm_test

import (
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

const objdump = "llvm-objdump-19"

// section is the code of a section of an object.
type section struct {
	name  string
	bytes []byte
	order binary.ByteOrder
}

// objects returns the paths of the repository's BPF objects, below its root.
func objects(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, dir := range []string{"testdata", "examples"} {
		err := fs.WalkDir(os.DirFS(".."), dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".o") {
				paths = append(paths, path)
			}
			return err
		})
		require.NoError(t, err)
	}
	require.NotEmpty(t, paths)
	return paths
}

func codeOf(t *testing.T, path string) []section {
	t.Helper()
	f, err := elf.Open(path)
	require.NoError(t, err)
	defer f.Close()
	var sections []section
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_EXECINSTR == 0 || s.Size == 0 {
			continue
		}
		b, err := s.Data()
		require.NoError(t, err)
		sections = append(sections, section{s.Name, b, f.ByteOrder})
	}
	return sections
}

// ours writes sections as readObjdump returns what llvm-objdump says of them.
func ours(t *testing.T, sections []section) string {
	t.Helper()
	var b strings.Builder
	for _, s := range sections {
		insns, err := asm.Decode(s.bytes, s.order)
		require.NoError(t, err)
		fmt.Fprintf(&b, "section %s\n", s.name)
		for _, ins := range insns {
			switch ins.Kind() {
			case asm.KindLoadAcquire, asm.KindStoreRelease:
				fmt.Fprintln(&b, newer)
			default:
				fmt.Fprintln(&b, ins)
			}
		}
	}
	return b.String()
}

// newer stands for load-acquire and store-release, which LLVM 19 takes for
// other instructions or for none: LLVM 20 has brought them.
const newer = "(not in LLVM 19)"

// newerBytes are those instructions, little-endian: an atomic operation with
// an imm of 0x100 or 0x110.
var newerBytes = regexp.MustCompile(`^(c3|cb|d3|db) .. .. .. [01]0 01 00 00$`)

var (
	dumpSection = regexp.MustCompile(`^Disassembly of section (.*):$`)
	// A line of code: slot, bytes, text and, behind a jump, a note of the target.
	dumpLine = regexp.MustCompile(`^ *\d+:\t((?:[0-9a-f]{2} ?)+)\t(.*?)(?: <\S+>)?$`)
)

// readObjdump runs llvm-objdump and keeps the names of the sections and the
// texts of the instructions. It says "<unknown>" of 32-bit atomic operations,
// and drops the fetching of an addition, unless it is told --mcpu=v3, with which
// in turn it writes 32-bit loads and stores in another way: so it is asked twice.
func readObjdump(t *testing.T, path string) string {
	t.Helper()
	dump := func(args ...string) []string {
		out, err := exec.Command(objdump, append(args, "-d", path)...).Output()
		require.NoError(t, err)
		return strings.Split(string(out), "\n")
	}
	plain, v3 := dump(), dump("--mcpu=v3")
	require.Len(t, v3, len(plain))
	var b strings.Builder
	for i, line := range plain {
		if m := dumpSection.FindStringSubmatch(line); m != nil {
			fmt.Fprintf(&b, "section %s\n", m[1])
		}
		m := dumpLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if strings.HasPrefix(m[1], "c3 ") && !plainAdd(m[1]) {
			m = dumpLine.FindStringSubmatch(v3[i])
		}
		if newerBytes.MatchString(strings.TrimSpace(m[1])) {
			m[2] = newer
		}
		fmt.Fprintln(&b, m[2])
	}
	return b.String()
}

// plainAdd reports whether the bytes of an atomic operation end in an imm of 0,
// in either byte order.
func plainAdd(bytes string) bool { return strings.HasSuffix(bytes, "00 00 00 00") }

// TestObjdump compares every instruction of every object with what llvm-objdump
// said when it was recorded.
func TestObjdump(t *testing.T) {
	for _, path := range objects(t) {
		t.Run(path, func(t *testing.T) {
			golden := filepath.Join("testdata", "objdump", strings.ReplaceAll(path, "/", "_")+".txt")
			_, err := exec.LookPath(objdump)
			if *update && err == nil {
				require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o755))
				require.NoError(t, os.WriteFile(golden, []byte(readObjdump(t, "../"+path)), 0o644))
			}
			want, readErr := os.ReadFile(golden)
			require.NoError(t, readErr, "record a new object with: go test ./asm -run TestObjdump -update")
			got := ours(t, codeOf(t, "../"+path))
			require.Equal(t, string(want), got)
			if err == nil {
				require.Equal(t, string(want), readObjdump(t, "../"+path), "the record is old")
			}
		})
	}
}

// TestObjdumpOfEveryInstruction compares the table of instructions and random
// ones with llvm-objdump.
func TestObjdumpOfEveryInstruction(t *testing.T) {
	if _, err := exec.LookPath(objdump); err != nil {
		t.Skip(err)
	}
	if _, err := exec.LookPath("clang-19"); err != nil {
		t.Skip(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var insns asm.Instructions
	for range 20 {
		for _, c := range instructions {
			if ins := randomOf(rng, c.resolved(t)); inLLVM19(ins) {
				insns = append(insns, ins)
			}
		}
	}
	for _, target := range []struct {
		name  string
		order binary.ByteOrder
	}{{"bpfel", binary.LittleEndian}, {"bpfeb", binary.BigEndian}} {
		dir := t.TempDir()
		object := filepath.Join(dir, "code.o")
		var b []byte
		for _, ins := range insns {
			b = ins.AppendBinary(b, target.order)
		}
		source := ".text\n.byte 0x" + strings.Join(regexp.MustCompile("..").FindAllString(hex.EncodeToString(b), -1), ", 0x") + "\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, "code.s"), []byte(source), 0o644))
		out, err := exec.Command("clang-19", "-target", target.name, "-c", filepath.Join(dir, "code.s"), "-o", object).CombinedOutput()
		require.NoError(t, err, string(out))
		got := strings.Split(ours(t, []section{{".text", b, target.order}}), "\n")
		want := strings.Split(readObjdump(t, object), "\n")
		require.Len(t, want, len(got))
		for i := range got {
			require.Equal(t, want[i], got[i])
		}
	}
}

// inLLVM19 reports whether llvm-objdump 19 shows the instruction as it is; the
// exceptions are in the doc of [asm.Objdump].
func inLLVM19(ins asm.Instruction) bool {
	switch ins.Kind() {
	case asm.KindLoadAcquire, asm.KindStoreRelease:
		return false
	case asm.KindLoadInd:
		return ins.Imm == 0
	}
	return true
}

// randomOf returns an instruction of the same row of the opcode table with
// random operands.
func randomOf(rng *rand.Rand, ins asm.Instruction) asm.Instruction {
	info, err := ins.Info()
	if err != nil {
		panic(err)
	}
	interesting := []int64{0, 1, -1, 0x7f, 0x7fff, -0x8000, 0x7fffffff, -0x80000000, 0x80, 0xffff}
	number := func() int64 {
		if rng.IntN(3) == 0 {
			return interesting[rng.IntN(len(interesting))]
		}
		return int64(rng.Uint64()) >> rng.IntN(64)
	}
	for _, f := range fields {
		switch {
		case info.Uses&f.bit == 0:
		case f.bit == asm.FieldDst || f.bit == asm.FieldSrc:
			f.set(&ins, int64(rng.IntN(asm.NumRegisters)))
		case f.bit == asm.FieldImm && ins.Slots() == 2:
			f.set(&ins, int64(uint32(number())))
		case f.bit == asm.FieldImm:
			f.set(&ins, int64(int32(number())))
		default:
			f.set(&ins, number())
		}
	}
	return ins
}
