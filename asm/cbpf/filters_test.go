package cbpf

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "ask tcpdump for testdata/filters.txtar again")

const filtersFile = "testdata/filters.txtar"

// filter is a tcpdump expression with what tcpdump says of it. In the archive
// each answer is a file, named by the arguments that give it.
type filter struct {
	expr    string
	ddd     string // tcpdump -ddd expr
	dd      string // tcpdump -dd expr
	d       string // tcpdump -d expr
	matches string // tcpdump -r packets expr: the numbers of the packets
}

func filters(t testing.TB) []filter {
	archive, err := txtar.ParseFile(filtersFile)
	require.NoError(t, err)
	var fs []filter
	for _, f := range archive.Files {
		option, expr, ok := strings.Cut(f.Name, " ")
		require.True(t, ok, f.Name)
		if len(fs) == 0 || fs[len(fs)-1].expr != expr {
			fs = append(fs, filter{expr: expr})
		}
		last, data := &fs[len(fs)-1], string(f.Data)
		switch option {
		case "-ddd":
			last.ddd = data
		case "-dd":
			last.dd = data
		case "-d":
			last.d = data
		case "-r":
			last.matches = strings.TrimSpace(data)
		default:
			require.Fail(t, "unknown option", f.Name)
		}
	}
	return fs
}

// TestUpdateFilters asks tcpdump about the expressions that are in the archive.
// A new one needs no more than its "-- -ddd EXPRESSION --" there.
func TestUpdateFilters(t *testing.T) {
	if !*update {
		t.Skip("without -update")
	}
	dump := func(args ...string) []byte {
		out, err := exec.Command("tcpdump", args...).Output()
		require.NoError(t, err, args)
		return out
	}
	pcap := filepath.Join(t.TempDir(), "packets.pcap")
	writePackets(t, pcap)
	archive := &txtar.Archive{Comment: []byte(strings.TrimSpace(string(dump("--version"))) +
		"\nWritten by go test -run TestUpdateFilters -update, Ethernet.\n")}
	for _, f := range filters(t) {
		for _, option := range []string{"-ddd", "-dd", "-d"} {
			archive.Files = append(archive.Files, txtar.File{Name: option + " " + f.expr, Data: dump("-y", "EN10MB", option, f.expr)})
		}
		var numbers []string
		r, err := pcapgo.NewReader(bytes.NewReader(dump("-r", pcap, "-w", "-", f.expr)))
		require.NoError(t, err)
		for {
			_, info, err := r.ReadPacketData()
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			numbers = append(numbers, fmt.Sprint(info.Timestamp.Unix()))
		}
		archive.Files = append(archive.Files, txtar.File{Name: "-r " + f.expr, Data: []byte(strings.Join(numbers, " ") + "\n")})
	}
	require.NoError(t, os.WriteFile(filtersFile, txtar.Format(archive), 0o644))
}

// writePackets writes the packets with their numbers as time stamps.
func writePackets(t *testing.T, path string) {
	var buf bytes.Buffer
	w := pcapgo.NewWriter(&buf)
	require.NoError(t, w.WriteFileHeader(65535, layers.LinkTypeEthernet))
	for i, data := range packets(t) {
		require.NoError(t, w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(int64(i+1), 0), CaptureLength: len(data), Length: len(data)}, data))
	}
	require.NoError(t, os.WriteFile(path, buf.Bytes(), 0o644))
}

func TestFilterTexts(t *testing.T) {
	for _, f := range filters(t) {
		t.Run(f.expr, func(t *testing.T) {
			p, err := Parse(f.ddd)
			require.NoError(t, err)
			require.NoError(t, p.Validate())
			require.Equal(t, f.ddd, p.Bytecode())
			require.Equal(t, f.d, p.String())
			for name, text := range map[string]string{
				"C":               f.dd,
				"commas":          strings.TrimRight(strings.ReplaceAll(f.ddd, "\n", ","), ","),
				"comma at end":    strings.ReplaceAll(f.ddd, "\n", ","),
				"quoted":          `"` + strings.TrimRight(strings.ReplaceAll(f.ddd, "\n", ","), ",") + "\"\n",
				"no last newline": strings.TrimRight(f.ddd, "\n"),
				"DOS":             strings.ReplaceAll(f.ddd, "\n", "\r\n"),
				"C on one line":   strings.ReplaceAll(f.dd, "\n", " "),
			} {
				again, err := Parse(text)
				require.NoError(t, err, name)
				require.Equal(t, p, again, name)
			}
			for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
				again, err := Unmarshal(p.AppendBinary(nil, order), order)
				require.NoError(t, err)
				require.Equal(t, p, again)
			}
		})
	}
}

// TestFilterAnswers compares, on packets, what tcpdump says of a filter (as
// recorded), the oracle of the other tests, x/net's VM, and every engine.
func TestFilterAnswers(t *testing.T) {
	made := packets(t)
	frames := append(made, captured(t)...)
	withVM := 0
	for _, f := range filters(t) {
		t.Run(f.expr, func(t *testing.T) {
			p, err := Parse(f.ddd)
			require.NoError(t, err)
			inputs, want := make([]input, len(frames)), make([]uint32, len(frames))
			var accepted []string
			for i, data := range frames {
				inputs[i] = input{data: data, link: make([]byte, 14)}
				want[i] = evaluate(p, Memory, inputs[i])
				require.Equal(t, want[i], evaluate(p, SocketFilter, inputs[i]))
				if want[i] != 0 && i < len(made) {
					accepted = append(accepted, fmt.Sprint(i+1))
				}
			}
			require.Equal(t, f.matches, strings.Join(accepted, " "))
			if runsInVM(p) {
				withVM++
				vm := newVM(t, p)
				for i, data := range frames {
					got, err := vm.Run(data)
					require.NoError(t, err)
					require.Equal(t, want[i], uint32(got), "packet %d", i+1)
				}
			}
			for _, mode := range []Mode{SocketFilter, Memory} {
				t.Run(mode.String(), func(t *testing.T) { agree(t, p, mode, inputs) })
			}
		})
	}
	require.GreaterOrEqual(t, withVM, 50)
}

// runsInVM reports whether x/net's VM has all of p's instructions.
func runsInVM(p Program) bool {
	for _, ins := range p {
		if ins.Op == classALU|aluNEG {
			return false
		}
	}
	return true
}

func newVM(t testing.TB, p Program) *bpf.VM {
	raw := make([]bpf.RawInstruction, len(p))
	for i, ins := range p {
		raw[i] = bpf.RawInstruction(ins)
	}
	require.Equal(t, p, FromRaw(raw))
	insns, known := bpf.Disassemble(raw)
	require.True(t, known)
	vm, err := bpf.NewVM(insns)
	require.NoError(t, err)
	return vm
}

// captured returns the packets of the capture that all packages share.
func captured(t *testing.T) [][]byte {
	file, err := os.Open(filepath.Join("..", "..", "testdata", "pcap", "mixed.pcap"))
	require.NoError(t, err)
	defer file.Close()
	r, err := pcapgo.NewReader(file)
	require.NoError(t, err)
	var frames [][]byte
	for {
		data, _, err := r.ReadPacketData()
		if err == io.EOF {
			return frames
		}
		require.NoError(t, err)
		frames = append(frames, data[:min(len(data), 3000)]) // what a test run takes
	}
}
