package hooks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// TestRun is what BPF_PROG_TEST_RUN takes and gives: bytes in, bytes out. It is
// for tools and for comparison with Linux; see net/bpf/test_run.c.
type TestRun struct {
	// Data is the packet, from the Ethernet header on; the memory of a program
	// without type; what the first byte slice of a custom context holds.
	Data []byte
	// Context is the context as user space has it: struct xdp_md or __sk_buff in
	// host byte order, or the struct of a custom hook. It may be shorter than that,
	// and empty. Of __sk_buff only mark, priority, ingress_ifindex, ifindex, cb,
	// tstamp, wire_len, gso_segs, gso_size and hwtstamp may be set; of xdp_md only
	// data (how many bytes of Data are metadata), data_end (all of Data; 0 says the
	// same, where Linux puts the packet into fragments), ingress_ifindex and
	// rx_queue_index.
	Context []byte
	// Repeat is how often to run, at least once. As in Linux, each run goes on with
	// what the one before has left.
	Repeat int

	Ret        uint64        // of the last run; the lower half of r0 for programs of Linux's types
	DataOut    []byte        // the packet or memory after it, appended to DataOut[:0]
	ContextOut []byte        // the context after it, appended to ContextOut[:0], if there was a Context
	Redirect   Redirect      // what the last redirect helper asked for
	Clones     []Clone       // what bpf_clone_redirect has sent
	Duration   time.Duration // of one run, on average
}

// ErrInput says that a test run does not take the input. Linux says EINVAL, or
// ENODEV for a device that is not there.
var ErrInput = errors.New("invalid input for a test run")

func inputError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInput, fmt.Sprintf(format, args...))
}

// Test runs a program as the kernel's test run does, on any virtual CPU. The
// error is a [*vm.Fault], or wraps the error of ctx or one of this package's.
func Test(ctx context.Context, program Program, run *TestRun) error {
	x, err := testable(program, run)
	if err != nil {
		return err
	}
	c := x.Machine.Acquire()
	if c == nil {
		return fmt.Errorf("%s: VM: %w", x.Name(), ErrClosed)
	}
	ended := false
	defer release(c, &ended)
	err = test(ctx, x, c, run)
	ended = true
	return err
}

// TestOn is [Test] on a CPU that the caller holds.
func TestOn(ctx context.Context, cpu CPU, program Program, run *TestRun) error {
	x, err := testable(program, run)
	if err != nil {
		return err
	}
	if cpu.c.M != x.Machine {
		return fmt.Errorf("%s: the CPU: %w", x.Name(), ErrOtherVM)
	}
	if cpu.c.Awaited() {
		cpu.c.Quiesce()
	}
	return test(ctx, x, cpu.c, run)
}

func testable(program Program, run *TestRun) (*Executable, error) {
	x := executableOf(program)
	switch {
	case x == nil:
		return nil, inputError("no program")
	case run == nil:
		return nil, inputError("nil TestRun")
	}
	return x, nil
}

func test(ctx context.Context, x *Executable, c *vm.CPU, run *TestRun) error {
	if !x.Alive() {
		return fmt.Errorf("%s: %w", x.Name(), ErrClosed)
	}
	m, err := memoryOf(c)
	if err != nil {
		return err
	}
	m.event.Host, m.host.host = x.Host, x.Host
	if err := x.hook.load(x.hook, m, c, run); err != nil {
		return fmt.Errorf("%s: %w", x.Name(), err)
	}
	setContext(c, ctx)
	defer setContext(c, nil)
	n := max(run.Repeat, 1)
	var spent time.Duration
	for range n {
		if run.Ret, spent, err = timed(x, c, spent); err != nil {
			return err
		}
	}
	if x.hook.bits32 {
		run.Ret = uint64(uint32(run.Ret))
	}
	run.Duration = spent / time.Duration(n)
	x.hook.store(x.hook, m, run)
	return nil
}

func timed(x *Executable, c *vm.CPU, spent time.Duration) (uint64, time.Duration, error) {
	began := time.Now()
	ret, err := x.run(c)
	return ret, spent + time.Since(began), err
}

// context copies the input context over b, which is zero.
func (run *TestRun) context(b []byte) error {
	for i, v := range run.Context[min(len(b), len(run.Context)):] {
		if v != 0 {
			return inputError("byte %d of the context is set, it has %d", len(b)+i, len(b))
		}
	}
	copy(b, run.Context)
	return nil
}

func minFrame(data []byte) error {
	if len(data) < 14 {
		return inputError("packet of %d bytes, an Ethernet header has 14", len(data))
	}
	return nil
}

// testLoadXDP is bpf_prog_test_run_xdp and xdp_convert_md_to_buff.
func testLoadXDP(t *Type, m *memory, c *vm.CPU, run *TestRun) error {
	if err := minFrame(run.Data); err != nil {
		return err
	}
	var md [xdpMdSize]byte
	if err := run.context(md[:]); err != nil {
		return err
	}
	word := func(off int) uint32 { return order.Uint32(md[off:]) }
	meta, end, size := word(0), word(4), uint32(len(run.Data))
	ev := XDPEvent{IngressIfindex: word(12), RxQueueIndex: word(16)}
	switch {
	case len(run.Context) == 0:
	case word(8) != 0:
		return inputError("data_meta is %d, metadata is Data[:data]", word(8))
	case end > size || meta > end && end != 0:
		return inputError("data %d and data_end %d of %d bytes", meta, end, size)
	case end != 0 && end != size:
		return inputError("data_end is %d of %d bytes: packets in fragments are not supported", end, size)
	case meta%4 != 0 || meta > 255 || meta > size-14:
		return inputError("%d bytes of metadata", meta)
	case word(20) != 0:
		return inputError("egress_ifindex is %d, must be 0", word(20))
	case ev.RxQueueIndex != 0:
		return inputError("rx_queue_index is %d, the device has one queue", ev.RxQueueIndex)
	}
	if err := m.device(&ev.IngressIfindex); err != nil {
		return err
	}
	ev.Meta, ev.Packet = run.Data[:meta], run.Data[meta:]
	return m.loadXDP(t, c, &ev)
}

// device checks the index of a device; 0 stands for the loopback device.
func (m *memory) device(ifindex *uint32) error {
	if *ifindex == 0 {
		*ifindex = 1
	}
	if h := m.event.Host; *ifindex != 1 && h != nil && h.Device != nil {
		if _, ok := h.Device(*ifindex); !ok {
			return inputError("no device %d", *ifindex)
		}
	}
	return nil
}

// testStoreXDP is the end of bpf_prog_test_run_xdp and xdp_convert_buff_to_md.
func testStoreXDP(_ *Type, m *memory, run *TestRun) {
	p := &m.event.Packet
	run.DataOut = append(append(run.DataOut[:0], p.Metadata()...), p.Bytes()...)
	run.Redirect, run.Clones = m.event.Redirect, run.Clones[:0]
	run.ContextOut = run.ContextOut[:0]
	if len(run.Context) == 0 {
		return
	}
	var md [xdpMdSize]byte
	copy(md[:], run.Context)
	order.PutUint32(md[0:], uint32(len(p.Metadata())))
	order.PutUint32(md[4:], uint32(len(run.DataOut)))
	run.ContextOut = append(run.ContextOut, md[:]...)
}

// skbSettable are the ranges of struct __sk_buff that a test run may set
// (convert___skb_to_skb).
var skbSettable = [...][2]int{{8, 12}, {32, 44}, {48, 68}, {152, 168}, {176, 180}, {184, 192}}

// testLoadSKB is the start of bpf_prog_test_run_skb.
func testLoadSKB(t *Type, m *memory, c *vm.CPU, run *TestRun) error {
	if err := minFrame(run.Data); err != nil {
		return err
	}
	var b [skBuffSize]byte
	if err := run.context(b[:]); err != nil {
		return err
	}
	if err := checkSKBuff(&b); err != nil {
		return err
	}
	var ev SKBEvent
	ev.Ctx.decode(b[:])
	ev.Packet = run.Data
	if err := m.device(&ev.Ctx.Ifindex); err != nil {
		return err
	}
	if broadcast := "\xff\xff\xff\xff\xff\xff"; ev.Ctx.Ifindex == 1 && string(run.Data[:6]) == broadcast {
		ev.Ctx.PktType = 2 // multicast: the broadcast address of the loopback device is zero
	}
	if err := m.loadSKB(t, c, &ev); err != nil {
		return err
	}
	e := &m.event
	if need := map[uint16]int{0x0800: 14 + 20, 0x86dd: 14 + 40}[e.SKB.Protocol]; len(run.Data) < need {
		return inputError("packet of %d bytes, an IP header ends at %d", len(run.Data), need)
	}
	wire, size := ev.Ctx.WireLen, uint32(e.Packet.Len())
	switch {
	case len(run.Context) == 0: // the kernel leaves it
		order.PutUint32(m.ctx[160:], 0)
	case wire != 0 && wire < size || wire > 65536: // GSO_LEGACY_MAX_SIZE
		return inputError("wire_len is %d, want %d to 65536", wire, size)
	case ev.Ctx.GSOSegs > 65535: // GSO_MAX_SEGS
		return inputError("gso_segs is %d, want at most 65535", ev.Ctx.GSOSegs)
	}
	return nil
}

func checkSKBuff(b *[skBuffSize]byte) error {
	for off, v := range b {
		settable := false
		for _, r := range skbSettable {
			settable = settable || r[0] <= off && off < r[1]
		}
		if v != 0 && !settable {
			return inputError("byte %d of __sk_buff is set", off)
		}
	}
	return nil
}

// testStoreSKB is the end of bpf_prog_test_run_skb and convert_skb_to___skb.
func testStoreSKB(t *Type, m *memory, run *TestRun) {
	e := &m.event
	run.DataOut = run.DataOut[:0]
	if t.noLink { // the kernel puts back the link layer header, empty
		run.DataOut = append(run.DataOut, make([]byte, 14)...)
	}
	run.DataOut = append(run.DataOut, e.Packet.Bytes()...)
	run.Redirect, run.Clones = e.Redirect, append(run.Clones[:0], e.Clones...)
	run.ContextOut = run.ContextOut[:0]
	if len(run.Context) == 0 {
		return
	}
	var b [skBuffSize]byte
	copy(b[:], run.Context)
	for _, r := range skbSettable {
		if r[0] != 176 { // gso_size stays as it was given
			copy(b[r[0]:r[1]], m.ctx[r[0]:r[1]])
		}
	}
	run.ContextOut = append(run.ContextOut, b[:]...)
}

// Memory is the type of programs without a type: r1 is the address of some
// memory, which they may read and write, and r2 is how many bytes it has.
var Memory = &Type{
	Name: "unspec", Prog: prog.Unspec, Returns: anyReturn,
	load: testLoadMemory, store: testStoreMemory,
}

// testLoadMemory gives run.Data to the program; r1 is 0 if there is none, as
// uBPF and the conformance suite have it.
func testLoadMemory(_ *Type, m *memory, c *vm.CPU, run *TestRun) error {
	if len(run.Context) != 0 {
		return inputError("a program without type has no context")
	}
	if err := m.event.Packet.Load(run.Data, 0, len(run.Data)); err != nil {
		return err
	}
	m.event.Packet.Offer(c)
	data := uintptr(c.Ptrs[helper.PtrData])
	c.SetPacket(0, 0, 0) // it is the context, and nothing else
	if len(run.Data) == 0 {
		data = 0
	}
	c.Event, m.host.slices = &m.host, nil
	c.SetCtx(nil, data, len(run.Data))
	c.EntryR2 = uint64(len(run.Data))
	return nil
}

func testStoreMemory(_ *Type, m *memory, run *TestRun) {
	run.DataOut = append(run.DataOut[:0], m.event.Packet.Bytes()...)
	run.ContextOut, run.Clones, run.Redirect = run.ContextOut[:0], run.Clones[:0], Redirect{}
}
