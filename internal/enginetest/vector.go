package enginetest

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Vector is a file of the BPF Conformance project.
type Vector struct {
	Sections map[string]string
}

// ReadVector reads a vector.
func ReadVector(t testing.TB, path string) Vector {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	v := Vector{make(map[string]string)}
	name := ""
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok {
			name = n
			v.Sections[name] = ""
			continue
		}
		if !strings.HasPrefix(strings.TrimSpace(line), "#") || name == "asm" {
			v.Sections[name] += line
		}
	}
	return v
}

func hexBytes(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	must(t, err)
	return b
}

// instructions returns the vector's program.
func (v Vector) instructions(t testing.TB) (asm.Instructions, error) {
	t.Helper()
	if raw, ok := v.Sections["raw"]; ok {
		if strings.Contains(raw, "0x") { // 64-bit words
			var b []byte
			for _, w := range strings.Fields(raw) {
				n, err := strconv.ParseUint(w, 0, 64)
				must(t, err)
				b = binary.LittleEndian.AppendUint64(b, n)
			}
			return asm.Decode(b, binary.LittleEndian)
		}
		return asm.Decode(hexBytes(t, raw), binary.LittleEndian)
	}
	text, ok := v.Sections["asm"]
	if !ok {
		return nil, errors.New("no program")
	}
	return asm.ParseMnemonic(text)
}

// Program returns the vector's program.
func (v Vector) Program(t testing.TB) (*prog.Program, error) {
	insns, err := v.instructions(t)
	if err == nil {
		insns, err = insns.Resolve()
	}
	if err != nil {
		return nil, err
	}
	p := &prog.Program{}
	for _, ins := range insns {
		p.Insns = append(p.Insns, ins)
		if ins.Slots() == 2 {
			p.Insns = append(p.Insns, asm.Instruction{})
		}
	}
	return p, nil
}

// Memory returns the bytes that the vector's program works on.
func (v Vector) Memory(t testing.TB) []byte { return hexBytes(t, v.Sections["mem"]) }

// VectorHelper is the helper that the project's runner offers, as its
// documentation says: number 5 unwinds where a runtime has unwinding.
func VectorHelper(fn asm.BuiltinFunc) vm.Helper {
	if fn != 5 {
		return nil
	}
	return func(_ *vm.CPU, a *[5]uint64) (uint64, error) { return a[0], nil }
}

// Check returns what is wrong with the result of the vector of that file name, nil if nothing is.
func (v Vector) Check(name string, got uint64, err error) error {
	if reason := linuxWins[name]; reason != "" {
		return refused(err, reason)
	}
	if reason, ok := v.Sections["error"]; ok {
		return refused(err, reason)
	}
	if err != nil {
		return err
	}
	want, err := v.result()
	if err == nil && got != want {
		err = fmt.Errorf("r0 is %#x, should be %#x", got, want)
	}
	return err
}

func refused(err error, reason string) error {
	if err == nil {
		return fmt.Errorf("the program ran: %s", reason)
	}
	return nil
}

// CheckNegative is Check for what a conforming runtime must not accept: the program is refused, its run
// stops, or its result is not the one in the file.
func (v Vector) CheckNegative(got uint64, err error) error {
	if err != nil {
		return nil
	}
	if reason, ok := v.Sections["error"]; ok {
		return refused(nil, reason)
	}
	want, err := v.result()
	if err == nil && got == want {
		err = fmt.Errorf("r0 is %#x", got)
	}
	return err
}

func (v Vector) result() (uint64, error) {
	return strconv.ParseUint(strings.TrimSpace(v.Sections["result"]), 0, 64)
}

// linuxWins lists the vectors whose expectation is not what Linux 6.18 does.
var linuxWins = map[string]string{
	"callx.data": "Linux refuses calls through a register: unknown opcode 8d",
}

// Vectors returns the paths of the vectors of a folder: "tests" or "negative".
func Vectors(t testing.TB, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "shared", "conformance", folder, "*.data"))
	must(t, err)
	if len(files) == 0 {
		t.Skip("the vectors of the BPF Conformance project are not beside the repository")
	}
	return files
}
