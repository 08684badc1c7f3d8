package hooks_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"encoding/binary"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/kernel"
)

var update = flag.Bool("update", false, "ask the kernel and record its answers")

// answer is what a test run gives. Numbers in Ctx are little-endian.
type answer struct {
	Err  bool   `json:"err,omitempty"` // the kernel refuses the input
	Ret  uint32 `json:"ret,omitempty"`
	Data string `json:"data,omitempty"` // hex
	Ctx  string `json:"ctx,omitempty"`  // hex
}

type runCase struct {
	name string
	hook *hooks.Type
	prog string
	data []byte
	ctx  []byte
}

// frame is an Ethernet frame of n bytes with an EtherType, the rest counts up.
func frame(n int, etherType uint16) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	if n >= 14 {
		binary.BigEndian.PutUint16(b[12:], etherType)
	}
	return b
}

// fields is a context of n bytes with 32-bit fields set, given as offset and value.
func fields(n int, pairs ...uint32) []byte {
	b := make([]byte, n)
	for i := 0; i < len(pairs); i += 2 {
		binary.NativeEndian.PutUint32(b[pairs[i]:], pairs[i+1])
	}
	return b
}

// runCases are programs and inputs that Linux and sandbpf must agree about.
func runCases() []runCase {
	ip := frame(60, 0x0800)
	var cases []runCase
	add := func(name string, hook *hooks.Type, prog string, data, ctx []byte) {
		cases = append(cases, runCase{hook.Name + " " + name, hook, prog, data, ctx})
	}
	skb := fields(192, 8, 0x11223344, 32, 7, 36, 3, 40, 1, 48, 0x50, 52, 0x51, 64, 0x54, 152, 99, 160, 2000, 164, 5, 176, 1400, 184, 77)
	for _, hook := range []*hooks.Type{hooks.SchedCLS, hooks.SocketFilter} {
		for _, f := range hook.Layout.Fields {
			if f.Size < 4 || f.Name == "sk" || f.Name == "data" || f.Name == "data_end" || f.Name == "data_meta" {
				continue
			}
			width := map[int]string{4: "u32", 8: "u64", 20: "u32"}[f.Size]
			prog := "r0 = *(" + width + " *)(r1 + " + itoa(f.Off) + ")\nexit"
			add("reads "+f.Name, hook, prog, ip, nil)
			add("reads "+f.Name+" with a context", hook, prog, ip, skb)
			add("reads "+f.Name+" of an IPv6 frame", hook, prog, frame(80, 0x86dd), nil)
			add("reads "+f.Name+" of an 802.3 frame", hook, prog, frame(40, 40), nil)
		}
		for off := uint32(0); off < 192; off += 4 {
			add("context with byte "+itoa(int(off))+" set", hook, "r0 = 0\nexit", ip, fields(192, off, 200))
		}
		add("no context, no change", hook, "r0 = -1\nexit", ip, nil)
		add("short context", hook, "r0 = *(u32 *)(r1 + 8)\nexit", ip, fields(12, 8, 3))
		add("long context", hook, "r0 = *(u32 *)(r1 + 8)\nexit", ip, fields(200, 8, 3))
		add("long context with something in it", hook, "r0 = *(u32 *)(r1 + 8)\nexit", ip, fields(200, 196, 3))
		add("writes cb", hook, "*(u32 *)(r1 + 56) = 4\n*(u8 *)(r1 + 61) = 9\nr0 = 0\nexit", ip, skb)
		add("wire_len too short", hook, "r0 = 0\nexit", ip, fields(192, 160, 10))
		add("wire_len too long", hook, "r0 = 0\nexit", ip, fields(192, 160, 70000))
		add("gso_segs too many", hook, "r0 = 0\nexit", ip, fields(192, 164, 70000))
		for _, n := range []int{0, 13, 14, 15, 33, 34} {
			add(itoa(n)+" bytes of IPv4", hook, "r0 = 0\nexit", frame(n, 0x0800), nil)
			add(itoa(n)+" bytes of something", hook, "r0 = 0\nexit", frame(n, 0x1234), nil)
		}
		add("53 bytes of IPv6", hook, "r0 = 0\nexit", frame(53, 0x86dd), nil)
		add("54 bytes of IPv6", hook, "r0 = 0\nexit", frame(54, 0x86dd), nil)
		broadcast := frame(60, 0x0800)
		copy(broadcast, "\xff\xff\xff\xff\xff\xff")
		add("broadcast", hook, "r0 = *(u32 *)(r1 + 4)\nexit", broadcast, nil)
		add("to the device", hook, "r0 = *(u32 *)(r1 + 4)\nexit", append(make([]byte, 6), ip[6:]...), nil)
	}
	add("writes", hooks.SchedCLS, `*(u32 *)(r1 + 8) = 1
		*(u32 *)(r1 + 12) = 2
		*(u32 *)(r1 + 32) = 3
		*(u32 *)(r1 + 44) = 4
		*(u32 *)(r1 + 72) = 5
		r2 = 6
		*(u64 *)(r1 + 152) = r2
		r0 = *(u32 *)(r1 + 8)
		r2 = *(u32 *)(r1 + 12)
		r0 += r2
		r2 = *(u32 *)(r1 + 44)
		r0 += r2
		r2 = *(u32 *)(r1 + 72)
		r0 += r2
		exit`, ip, skb)
	for _, hook := range []*hooks.Type{hooks.SchedCLS, hooks.XDP} {
		data, end, meta := 76, 80, 140
		if hook == hooks.XDP {
			data, end, meta = 0, 4, 8
		}
		ptr := func(reg string, off int) string { return reg + " = *(u32 *)(r1 + " + itoa(off) + ")\n" }
		add("length", hook, ptr("r0", end)+ptr("r2", data)+"r0 -= r2\nexit", ip, nil)
		add("length of metadata", hook, ptr("r0", data)+ptr("r2", meta)+"r0 -= r2\nexit", ip, nil)
		add("writes the packet", hook, ptr("r2", data)+ptr("r3", end)+`r4 = r2
			r4 += 2
			if r4 > r3 goto out
			*(u8 *)(r2 + 1) = 0xab
			out: r0 = 1
			exit`, ip, nil)
	}
	add("reads the ingress device", hooks.XDP, "r0 = *(u32 *)(r1 + 12)\nexit", ip, nil)
	add("reads the queue", hooks.XDP, "r0 = *(u32 *)(r1 + 16)\nexit", ip, fields(24, 4, 60, 12, 1))
	md := func(pairs ...uint32) []byte { return fields(24, pairs...) }
	for _, c := range [][6]uint32{{0, 60}, {4, 60}, {8, 60}, {8, 60, 0, 1}, {8, 60, 8, 1}, {3, 60}, {46, 60}, {44, 60}, {48, 60},
		{60, 60}, {0, 60, 0, 1}, {0, 60, 0, 1, 1}, {0, 60, 0, 99}, {0, 60, 0, 0, 1}, {0, 60, 0, 0, 0, 1}, {0, 61}} {
		ctx := md(0, c[0], 4, c[1], 8, c[2], 12, c[3], 16, c[4], 20, c[5])
		add(fmt.Sprint("length with context ", c), hooks.XDP, "r0 = *(u32 *)(r1 + 4)\nr2 = *(u32 *)(r1 + 0)\nr0 -= r2\nexit", ip, ctx)
	}
	// With 4 bytes data_end is 0: see TestRun.Context.
	for _, n := range []int{8, 12, 20, 28, 32} {
		ctx := append(md(4, 60), make([]byte, 8)...)[:n]
		add("context of "+itoa(n)+" bytes", hooks.XDP, "r0 = 0\nexit", ip, ctx)
	}
	add("context with something behind it", hooks.XDP, "r0 = 0\nexit", ip, append(md(4, 60), 1))
	add("metadata", hooks.XDP, "r2 = -4\ncall bpf_xdp_adjust_meta\nexit", ip, md(4, 60))
	add("more metadata", hooks.XDP, "r2 = -4\ncall bpf_xdp_adjust_meta\nexit", ip, md(0, 8, 4, 60))
	for _, delta := range []int{-256, -20, -1, 1, 46, 47, -300} {
		move := func(helper string) string { return "r2 = " + itoa(delta) + "\ncall " + helper + "\nexit" }
		add("moves the head by "+itoa(delta), hooks.XDP, move("bpf_xdp_adjust_head"), ip, nil)
		add("moves the tail by "+itoa(delta), hooks.XDP, move("bpf_xdp_adjust_tail"), ip, nil)
		add("moves the metadata by "+itoa(4*delta), hooks.XDP, "r2 = "+itoa(4*delta)+"\ncall bpf_xdp_adjust_meta\nexit", ip, md(0, 8, 4, 60))
	}
	return cases
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

var loopbackOnly = sandbpf.WithHost(&hooks.Host{Device: func(i uint32) (hooks.Device, bool) {
	return hooks.Device{MTU: 65536, HeaderLen: 14}, i == 1
}})

// byteOrder matches cases whose answer depends on it: a protocol in network byte order,
// half of a 64-bit number, one byte of a 32-bit number.
var byteOrder = regexp.MustCompile(` reads protocol| reads (hw)?tstamp with a context| writes( cb)?$`)

func littleEndian() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }

const answersFile = "testdata/testrun.json"

// TestRunAsLinux compares test runs with the kernel's recorded answers: those of Linux
// 7.2, where 6.12 and, as far as it was asked, 6.18 say the same.
func TestRunAsLinux(t *testing.T) {
	recorded := make(map[string]answer)
	if *update {
		for _, c := range runCases() {
			recorded[c.name] = c.askKernel(t)
		}
		text, err := json.MarshalIndent(recorded, "", "\t")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(answersFile, append(text, '\n'), 0o644))
	} else {
		text, err := os.ReadFile(answersFile)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &recorded))
	}
	v := newVM(t, loopbackOnly)
	cases := runCases()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want, ok := recorded[c.name]
			require.True(t, ok, "no answer: run go test -update")
			if !littleEndian() && byteOrder.MatchString(c.name) {
				t.Skip("the answer is of a little-endian machine")
			}
			require.Equal(t, want, c.run(t, v))
		})
	}
	require.Len(t, recorded, len(cases), "an answer has no case, or two")
}

// TestRunAsLinuxNow asks the kernel of this machine.
func TestRunAsLinuxNow(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	v := newVM(t, loopbackOnly)
	for _, c := range runCases() {
		require.Equal(t, c.askKernel(t), c.run(t, v), c.name)
	}
}

// run runs the case here.
func (c runCase) run(t *testing.T, v *sandbpf.VM) answer {
	insns, err := asm.Parse(c.prog)
	require.NoError(t, err)
	p := load(t, v, c.hook, insns...)
	run := hooks.TestRun{Data: c.data, Context: c.ctx}
	if err := p.Run(context.Background(), &run); err != nil {
		require.ErrorIs(t, err, sandbpf.ErrInput)
		return answer{Err: true}
	}
	return newAnswer(uint32(run.Ret), run.DataOut, run.ContextOut)
}

func newAnswer(ret uint32, data, ctx []byte) answer {
	if !littleEndian() { // the answers are of a little-endian machine
		ctx = append([]byte(nil), ctx...)
		for i := 0; i+4 <= len(ctx); i += 4 {
			binary.LittleEndian.PutUint32(ctx[i:], binary.BigEndian.Uint32(ctx[i:]))
		}
	}
	return answer{Ret: ret, Data: hex.EncodeToString(data), Ctx: hex.EncodeToString(ctx)}
}

func (c runCase) askKernel(t *testing.T) answer {
	insns, err := asm.Parse(c.prog)
	require.NoError(t, err)
	code, err := insns.Encode(binary.NativeEndian)
	require.NoError(t, err)
	l, err := kernel.Load(kernel.Prog{Type: ebpf.ProgramType(c.hook.Prog), Insns: code})
	require.NoError(t, err)
	defer l.Close()
	require.True(t, l.Accepted(), "%s: %s", c.name, l.Log)
	run := ebpf.RunOptions{Data: c.data, DataOut: make([]byte, len(c.data)+512)}
	var ctx []byte
	if len(c.ctx) > 0 { // the whole context comes out, however much goes in
		ctx = make([]byte, c.hook.Layout.Size)
		run.Context, run.ContextOut = c.ctx, ctx
	}
	ret, err := l.Program().Run(&run)
	if err != nil {
		require.NotErrorIs(t, err, syscall.ENOSPC, "there is room for all that comes out")
		return answer{Err: true}
	}
	return newAnswer(ret, run.DataOut, ctx)
}
