package bpftest_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/bpftest"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/loader"
)

// frame is an Ethernet frame of 60 bytes.
func frame(etherType uint16) []byte {
	b := make([]byte, 60)
	binary.BigEndian.PutUint16(b[12:], etherType)
	return b
}

func needLittleEndian(t testing.TB) {
	t.Helper()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the compiled programs are for little-endian machines")
	}
}

type window struct{ Since, Frames uint64 }

func TestXDP(t *testing.T) {
	needLittleEndian(t)
	obj := bpftest.Load(t, "testdata/gate.o", bpftest.Set("limit", 1))
	gate := obj.XDP("gate_xdp")
	require.Equal(t, hooks.XDPPass, gate.Run(frame(0x800)).Action)
	require.Equal(t, hooks.XDPDrop, gate.Run(frame(0x800)).Action)
	require.Equal(t, hooks.XDPPass, gate.Run(frame(0x806)).Action)
	require.Equal(t, window{1e9, 2}, bpftest.Value[window](t, obj.Map("windows"), uint16(0x800)))

	obj.Clock.Advance(999 * time.Millisecond)
	require.Equal(t, hooks.XDPDrop, gate.Run(frame(0x800)).Action)
	obj.Clock.Advance(time.Millisecond)
	require.Equal(t, hooks.XDPPass, gate.Run(frame(0x800)).Action)
	var refused uint64
	require.NoError(t, obj.Variable("refused").Get(&refused))
	require.Equal(t, uint64(2), refused)

	obj.Map("windows").Put(uint16(0x806), window{1e9, 9})
	require.Equal(t, hooks.XDPPass, gate.Run(frame(0x806)).Action, "its window is over")
	obj.Map("windows").Delete(uint16(0x806))
	require.Equal(t, hooks.XDPPass, gate.Run(frame(0x806)).Action)
}

func TestSKB(t *testing.T) {
	needLittleEndian(t)
	obj := bpftest.LoadBytes(t, read(t), bpftest.WithVM(sandbpf.WithCPUs(2)))
	require.Equal(t, 2, obj.VM.NumCPU())
	tc := obj.TC("gate_tc")
	got := tc.Run(frame(0x86dd))
	require.Equal(t, hooks.TCOK, got.Action())
	require.Equal(t, uint32(0x86dd), got.Ctx.Mark)
	require.Equal(t, frame(0x86dd), got.Packet)
	require.Equal(t, hooks.TCOK, tc.Run(frame(0x86dd)).Action())
	require.Equal(t, hooks.TCShot, tc.Run(frame(0x86dd)).Action())
	require.Equal(t, int32(46), obj.SocketFilter("gate_socket").Run(frame(0x800)).Ret)
}

// TestWithLoader gives the loader values of __kconfig variables, and a section a type.
func TestWithLoader(t *testing.T) {
	needLittleEndian(t)
	const object = "../testdata/elf/kconfig.o"
	config := map[string]any{"CONFIG_HZ": 250, "CONFIG_BPF": true, "CONFIG_NET": "m"}
	obj := bpftest.Load(t, object, bpftest.WithLoader(loader.WithKconfig(config)))
	require.Equal(t, hooks.XDPAction(0b0111), obj.XDP("kconfig").Run(frame(0x800)).Action)
	config["CONFIG_BPF"] = false
	obj = bpftest.Load(t, object, bpftest.WithLoader(loader.WithKconfig(config)), bpftest.WithLoader(loader.WithProgramType("kconfig", sandbpf.SchedCLS)))
	require.Equal(t, sandbpf.SchedCLS, obj.Program("kconfig").Type())
	require.Equal(t, int32(0b0011), obj.TC("kconfig").Run(frame(0x800)).Ret)
}

// TestOnly loads a program that lies in an object with a kprobe and one that is refused.
func TestOnly(t *testing.T) {
	needLittleEndian(t)
	const object = "../cmd/sandbpf/testdata/demo.o"
	obj := bpftest.Load(t, object, bpftest.Only("stop"))
	require.Equal(t, hooks.XDPAborted, obj.XDP("stop").Run(frame(0x800)).Action)
	require.Equal(t, []string{"stop"}, obj.Programs())
	obj = bpftest.Load(t, object, bpftest.Only("stop", "jump"))
	require.Contains(t, obj.Programs(), "jump")
}

// TestEvent gives programs events with more than a frame.
func TestEvent(t *testing.T) {
	needLittleEndian(t)
	obj := bpftest.Load(t, "../testdata/elf/tc_fields.o")
	got := obj.TC("write_fields").RunEvent(&hooks.SKBEvent{Packet: frame(0x800), Ctx: hooks.SKBuff{Mark: 41, Priority: 4}})
	require.Equal(t, hooks.TCOK, got.Action())
	require.Equal(t, uint32(42), got.Ctx.Mark)
	require.Equal(t, uint32(8), got.Ctx.Priority)
}

func read(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/gate.o")
	require.NoError(t, err)
	return b
}

// recorder is a test that is going to fail.
type recorder struct {
	testing.TB
	log strings.Builder
}

func (r *recorder) Helper()                        {}
func (r *recorder) Fatal(args ...any)              { r.Fatalf("%s", fmt.Sprint(args...)) }
func (r *recorder) Logf(format string, a ...any)   { fmt.Fprintf(&r.log, format+"\n", a...) }
func (r *recorder) Fatalf(format string, a ...any) { r.Logf(format, a...); panic(r) }

// TestFailures looks at what a person reads when something is wrong.
func TestFailures(t *testing.T) {
	needLittleEndian(t)
	object := read(t)
	for want, fail := range map[string]func(r *recorder){
		"no such file": func(r *recorder) { bpftest.Load(r, "testdata/gone.o") },
		"object: ":     func(r *recorder) { bpftest.LoadBytes(r, []byte("no object")) },
		"with bpftest.Only": func(r *recorder) {
			bpftest.Load(r, "../testdata/elf/probe_read.o", bpftest.WithLoader(loader.WithProgramType("probe_read", 2)))
		},
		`object: program "none"`: func(r *recorder) { bpftest.LoadBytes(r, object, bpftest.Only("none")) },
		"no variable none":       func(r *recorder) { bpftest.LoadBytes(r, object, bpftest.Set("none", 1)) },
		"does not fit":           func(r *recorder) { bpftest.LoadBytes(r, object, bpftest.Set("limit", int64(1<<40))) },
		`no program "none"`:      func(r *recorder) { bpftest.LoadBytes(r, object).Program("none") },
		`no map "none"`:          func(r *recorder) { bpftest.LoadBytes(r, object).Map("none") },
		`no variable "none"`:     func(r *recorder) { bpftest.LoadBytes(r, object).Variable("none") },
		"key does not exist": func(r *recorder) {
			o := bpftest.LoadBytes(r, object)
			bpftest.Value[window](r, o.Map("windows"), uint16(1))
		},
		"program of the wrong": func(r *recorder) { bpftest.LoadBytes(r, object).XDP("gate_tc") },
		"marshals to 8 bytes":  func(r *recorder) { bpftest.LoadBytes(r, object).Map("windows").Put(uint64(1), window{}) },
		"reckless: instruction 6: access outside the memory that the program was given: read of 1 bytes at packet+60, allowed: rw in [0, 60) (./testdata/reckless.c:12: return data[60] ? XDP_TX : XDP_PASS;)": func(r *recorder) {
			bpftest.Load(r, "testdata/reckless.o", bpftest.WithoutVerifier()).XDP("reckless").Run(frame(0x800))
		},
		"bpf_printk: ": func(r *recorder) { bpftest.LoadBytes(r, object).TC("gate_tc").Run(frame(0x800)); panic(r) },
		"mark 2048":    func(r *recorder) { bpftest.LoadBytes(r, object).TC("gate_tc").Run(frame(0x800)); panic(r) },
	} {
		t.Run(want, func(t *testing.T) {
			r := &recorder{TB: t}
			require.Panics(t, func() { fail(r) }, "the test goes on")
			require.Contains(t, r.log.String(), want)
		})
	}
}

// TestRefusal looks at what a person reads when the verifier refuses a program: the line, the reason, what is
// known and since when, and a hint.
func TestRefusal(t *testing.T) {
	needLittleEndian(t)
	r := &recorder{TB: t}
	require.Panics(t, func() { bpftest.Load(r, "testdata/reckless.o") })
	require.Equal(t, readText(t, "testdata/reckless.txt"), r.log.String())
}

func readText(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}
