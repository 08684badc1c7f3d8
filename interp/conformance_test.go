package interp

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/isa"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// vector is a file of the BPF Conformance project.
type vector struct {
	sections map[string]string
}

func readVector(t *testing.T, path string) vector {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	v := vector{make(map[string]string)}
	name := ""
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok {
			name = n
			v.sections[name] = ""
			continue
		}
		if !strings.HasPrefix(strings.TrimSpace(line), "#") || name == "asm" {
			v.sections[name] += line
		}
	}
	return v
}

func hexBytes(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	require.NoError(t, err)
	return b
}

// instructions returns the vector's program.
func (v vector) instructions(t *testing.T) (asm.Instructions, error) {
	t.Helper()
	if raw, ok := v.sections["raw"]; ok {
		if strings.Contains(raw, "0x") { // 64-bit words
			var b []byte
			for _, w := range strings.Fields(raw) {
				n, err := strconv.ParseUint(w, 0, 64)
				require.NoError(t, err)
				b = binary.LittleEndian.AppendUint64(b, n)
			}
			return asm.Decode(b, binary.LittleEndian)
		}
		return asm.Decode(hexBytes(t, raw), binary.LittleEndian)
	}
	text, ok := v.sections["asm"]
	if !ok {
		return nil, errors.New("no program")
	}
	return asm.ParseMnemonic(text)
}

// execute returns what the vector's program leaves in r0.
func (v vector) execute(t *testing.T, observe func(int, *Registers)) (uint64, error) {
	t.Helper()
	insns, err := v.instructions(t)
	if err != nil {
		return 0, err
	}
	if insns, err = insns.Resolve(); err != nil {
		return 0, err
	}
	p := &prog.Program{}
	for _, ins := range insns {
		p.Insns = append(p.Insns, ins)
		if ins.Slots() == 2 {
			p.Insns = append(p.Insns, asm.Instruction{})
		}
	}
	code, err := Compile(p, Env{Helper: conformanceHelper, Observe: observe})
	if err != nil {
		return 0, err
	}
	r := newRig(t)
	r.cpu.Limit = 1 << 20
	r0, _, err := r.run(code, hexBytes(t, v.sections["mem"]))
	return r0, err
}

// conformanceHelper is the helper that the project's runner offers, as its
// documentation says: number 5 unwinds where a runtime has unwinding.
func conformanceHelper(fn asm.BuiltinFunc) vm.Helper {
	if fn != 5 {
		return nil
	}
	return func(_ *vm.CPU, a *[5]uint64) (uint64, error) { return a[0], nil }
}

// linuxWins lists the vectors whose expectation is not what Linux 6.18 does.
var linuxWins = map[string]string{
	"callx.data": "Linux refuses calls through a register: unknown opcode 8d",
}

// bigEndianDiffers reports whether a vector's result is that of a little-endian
// machine: it reads or writes memory in the byte order of the machine.
func bigEndianDiffers(v vector) bool {
	text := v.sections["asm"]
	_, hasMem := v.sections["mem"]
	for _, op := range []string{"ldx", "stx", "st", "le16", "le32", "le64", "be16", "be32", "be64", "swap", "lock"} {
		if strings.Contains(text, op) {
			return true
		}
	}
	return hasMem || v.sections["raw"] != ""
}

func vectors(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "shared", "conformance", folder, "*.data"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("the vectors of the BPF Conformance project are not beside the repository")
	}
	return files
}

func TestConformance(t *testing.T) {
	for _, path := range vectors(t, "tests") {
		name := filepath.Base(path)
		v := readVector(t, path)
		if isa.BigEndian && bigEndianDiffers(v) {
			continue
		}
		for engine, observe := range map[string]func(int, *Registers){"loop": nil, "steps": func(int, *Registers) {}} {
			t.Run(name+"/"+engine, func(t *testing.T) {
				got, err := v.execute(t, observe)
				if reason := linuxWins[name]; reason != "" {
					require.Error(t, err, reason)
					return
				}
				if want, ok := v.sections["error"]; ok {
					require.Error(t, err, want)
					return
				}
				require.NoError(t, err)
				want, err := strconv.ParseUint(strings.TrimSpace(v.sections["result"]), 0, 64)
				require.NoError(t, err)
				require.Equalf(t, want, got, "r0 is %#x, should be %#x", got, want)
			})
		}
	}
}

// TestConformanceNegative runs what a conforming runtime must not accept: the
// program is refused, its run stops, or its result is not the one in the file.
func TestConformanceNegative(t *testing.T) {
	for _, path := range vectors(t, "negative") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			v := readVector(t, path)
			got, err := v.execute(t, nil)
			if err != nil {
				return
			}
			require.NotContains(t, v.sections, "error", "the program ran")
			want, err := strconv.ParseUint(strings.TrimSpace(v.sections["result"]), 0, 64)
			require.NoError(t, err)
			require.NotEqual(t, want, got)
		})
	}
}
