package sandbpf

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/leaf"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/maps/ringbuf"
)

// calls returns how often the native code of p mentions the leaf for op on m.
func calls(t testing.TB, p *Program, m *maps.Map, op leaf.Op) int {
	entry, ok := leaf.For(m, op)
	require.True(t, ok)
	native, _ := p.code.(*jit.Code).Native()
	b := binary.LittleEndian.AppendUint64(nil, uint64(entry))
	return bytes.Count(native, bytes.TrimRight(b, "\x00"))
}

// hashCalls is a program that updates, looks up and deletes elements of map m, by keys that
// depend on the packet. r0 is a digest of all results.
const hashCalls = `
	r2 = *(u32 *)(r1 + 4)
	r6 = *(u32 *)(r1 + 0)
	r1 = r6
	r1 += 16
	r0 = 0
	if r1 > r2 goto out
	r7 = 0
	*(u64 *)(r10 - 24) = 0
	*(u64 *)(r10 - 32) = 0
	*(u64 *)(r10 - 40) = 0
	r8 = *(u8 *)(r6 + 1)
	r8 &= 3
	r9 = *(u8 *)(r6 + 0)
	*(u8 *)(r10 - 24) = r9
	*(u64 *)(r10 - 32) = r9
	r4 = r8
	r3 = r10
	r3 += -40
	*(u64 *)(r10 - 40) = 77
	r2 = r10
	r2 += -24
	r1 = map[m]
	call bpf_map_update_elem
	r7 ^= r0
	r2 = r10
	r2 += -24
	r1 = map[m]
	call bpf_map_lookup_elem
	if r0 == 0 goto none
	r1 = *(u64 *)(r0 + 0)
	r1 += 1
	*(u64 *)(r0 + 0) = r1
	r7 += r1
	none:
	r7 *= 31
	r9 &= 1
	if r9 == 0 goto keep
	r2 = r10
	r2 += -24
	r1 = map[m]
	call bpf_map_delete_elem
	r7 ^= r0
	keep:
	r0 = r7
	out: exit`

// TestHashLeaves runs a program over maps that leaves know, on both engines.
func TestHashLeaves(t *testing.T) {
	for _, typ := range []maps.Type{maps.Hash, maps.LRUHash, maps.PerCPUHash, maps.LRUCPUHash} {
		for _, keySize := range []uint32{4, 8, 11, 16} {
			spec := &maps.Spec{Name: "m", Type: typ, KeySize: keySize, ValueSize: 8, MaxEntries: 20}
			if typ == maps.LRUHash || typ == maps.LRUCPUHash {
				spec.MaxEntries = 1000 // what is evicted depends on the map's seed
			}
			var want, wantElems []string
			for _, engine := range engines() {
				v := newVM(t, WithCPUs(1), WithEngine(engine))
				m, err := v.NewMap(spec)
				require.NoError(t, err)
				p := program(t, v, XDP, hashCalls, map[string]*maps.Map{"m": m})
				var got []string
				for i := range 400 {
					in := make([]byte, 60)
					in[0], in[1] = byte(i*7%40), byte(i/3)
					ret, _, err := p.Test(in)
					require.NoError(t, err)
					got = append(got, fmt.Sprint(ret))
				}
				got = append(got, fmt.Sprint(p.Stats().Instructions))
				elems := elements(t, m)
				if want == nil {
					want, wantElems = got, elems
				}
				require.Equal(t, want, got, "%v on %v", typ, engine)
				require.Equal(t, wantElems, elems, "%v on %v", typ, engine)
				if engine == JIT {
					for _, op := range []leaf.Op{leaf.Lookup, leaf.Update, leaf.Delete} {
						require.Equal(t, 1, calls(t, p, m, op), "%v, op %d", typ, op)
					}
				}
				require.NoError(t, m.Close())
			}
		}
	}
}

// elements returns keys and values of a map, of all CPUs, in order.
func elements(t testing.TB, m *maps.Map) (list []string) {
	next, err := m.NextKeyBytes(nil)
	for ; next != nil; next, err = m.NextKeyBytes(next) {
		value, err := m.LookupBytes(next)
		require.NoError(t, err)
		list = append(list, fmt.Sprintf("%x: %x", next, value))
	}
	if err != nil {
		require.ErrorIs(t, err, maps.ErrKeyNotExist)
	}
	slices.Sort(list)
	return list
}

// TestUnverifiedWithoutLeaves: nobody has looked at the arguments, so Go does.
func TestUnverifiedWithoutLeaves(t *testing.T) {
	if err := jit.Available(); err != nil {
		t.Skip(err)
	}
	v := newVM(t, WithCPUs(1), WithoutVerifier())
	m, err := v.NewMap(&maps.Spec{Name: "m", Type: maps.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 20})
	require.NoError(t, err)
	defer m.Close()
	p := program(t, v, XDP, "r2 = 0x1234\nr1 = map[m]\ncall bpf_map_lookup_elem\nr0 = 0\nexit", map[string]*maps.Map{"m": m})
	require.Zero(t, calls(t, p, m, leaf.Lookup))
	_, _, err = p.Test(packet)
	require.ErrorIs(t, err, ErrAccess)
}

// ringCalls reserves a record, does what is in between, and gives it back.
func ringCalls(between, giveBack string) string {
	return `r9 = r1
		r1 = map[ring]
		r2 = 24
		r3 = 0
		call bpf_ringbuf_reserve
		if r0 == 0 goto none
		r6 = r0
		*(u64 *)(r6 + 0) = 1
		*(u64 *)(r6 + 8) = 2
		*(u64 *)(r6 + 16) = 3
		` + between + `
		r1 = r6
		r2 = 0
		call ` + giveBack + `
		r0 = 2
		exit
		none: r0 = 1
		exit`
}

// ringRig is a VM with a ring buffer and its reader.
type ringRig struct {
	*VM
	ring   *maps.Map
	reader *ringbuf.Reader
}

func newRingRig(t testing.TB, options ...Option) *ringRig {
	r := &ringRig{VM: newVM(t, append(options, WithCPUs(1))...)}
	var err error
	r.ring, err = r.NewMap(&maps.Spec{Name: "ring", Type: maps.RingBuf, MaxEntries: 4096})
	require.NoError(t, err)
	r.reader, err = ringbuf.NewReader(r.ring)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, errors.Join(r.reader.Close(), r.ring.Close())) })
	return r
}

func (r *ringRig) load(t testing.TB, between, giveBack string) *Program {
	return program(t, r.VM, XDP, ringCalls(between, giveBack), map[string]*maps.Map{"ring": r.ring})
}

// events returns the sizes of the records that there are to read.
func (r *ringRig) events(t testing.TB) (sizes []int) {
	r.reader.SetDeadline(time.Now().Add(-time.Second))
	for {
		record, err := r.reader.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return sizes
		}
		require.NoError(t, err)
		sizes = append(sizes, len(record.RawSample))
	}
}

// writeRecord is a call of a helper that writes into the record: Go has to know of it.
const writeRecord = `
	r1 = r9
	r2 = 0
	r3 = r6
	r4 = 8
	call bpf_xdp_load_bytes`

// again reserves a second record while the first is held, and submits it.
const again = `
	r1 = map[ring]
	r2 = 8
	r3 = 0
	call bpf_ringbuf_reserve
	if r0 == 0 goto first
	r1 = r0
	r2 = 1
	call bpf_ringbuf_submit
	first:`

// TestRingLeaves reserves and gives back records, in ways that a leaf does alone, that Go
// does, and both.
func TestRingLeaves(t *testing.T) {
	for _, between := range []string{"", writeRecord, again, again + writeRecord, again + strings.ReplaceAll(again, "first", "second")} {
		for _, giveBack := range []string{"bpf_ringbuf_submit", "bpf_ringbuf_discard"} {
			var want []string
			for _, engine := range engines() {
				r := newRingRig(t, WithEngine(engine))
				p := r.load(t, between, giveBack)
				var got []string
				for i := range 300 { // most of which find the ring full
					ret, _, err := p.Test(packet)
					require.NoError(t, err)
					got = append(got, fmt.Sprint(ret))
					if i%90 == 0 {
						got = append(got, fmt.Sprint(r.events(t)))
					}
				}
				got = append(got, fmt.Sprint(r.events(t), p.Stats().Instructions))
				if want == nil {
					want = got
				}
				require.Equal(t, want, got, "%s, %s on %v", between, giveBack, engine)
				if engine == JIT {
					require.NotZero(t, calls(t, p, r.ring, leaf.Reserve))
				}
			}
		}
	}
}

// TestRingWakes has a reader wait while a leaf gives records back.
func TestRingWakes(t *testing.T) {
	r := newRingRig(t)
	p := r.load(t, "", "bpf_ringbuf_submit")
	read := make(chan error)
	go func() {
		for range 1000 {
			if _, err := r.reader.Read(); err != nil {
				read <- err
				return
			}
		}
		read <- nil
	}()
	submitted := 0
	for submitted < 1000 {
		ret, _, err := p.Test(packet)
		require.NoError(t, err)
		if ret == 2 {
			submitted++
		}
	}
	select {
	case err := <-read:
		require.NoError(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("the reader sleeps though there are records")
	}
}

// TestStoppedRunGivesRecordsBack stops runs that hold a record: it must not keep those
// behind it from being read.
func TestStoppedRunGivesRecordsBack(t *testing.T) {
	const spin = "r7 = 0\nspin:\nr7 += 1\nif r7 < 100000 goto spin"
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, engine := range engines() {
		for _, held := range []string{"", again, writeRecord} {
			limited := newRingRig(t, WithEngine(engine), WithLimit(1000))
			stopped := limited.load(t, held+"\n"+spin, "bpf_ringbuf_submit")
			err := stopped.Run(context.Background(), &hooks.TestRun{Data: packet})
			require.ErrorIs(t, err, ErrBudget)
			limited.requireReadable(t)

			free := newRingRig(t, WithEngine(engine))
			err = free.load(t, held+"\n"+spin, "bpf_ringbuf_submit").Run(cancelled, &hooks.TestRun{Data: packet})
			require.ErrorIs(t, err, context.Canceled)
			free.requireReadable(t)
		}
	}
}

// requireReadable submits a record and reads it, and finds no other of its size.
func (r *ringRig) requireReadable(t testing.TB) {
	r.events(t)
	ret, _, err := r.load(t, "", "bpf_ringbuf_submit").Test(packet)
	require.NoError(t, err)
	require.Equal(t, uint32(2), ret)
	require.Equal(t, []int{24}, r.events(t))
}

// TestFaultGivesRecordsBack has a helper fail while a record is held.
func TestFaultGivesRecordsBack(t *testing.T) {
	boom := errors.New("boom")
	h, err := hooks.New[struct{ N uint64 }]("fails_with_record", hooks.Helper("fail", func() error { return boom }))
	require.NoError(t, err)
	for _, engine := range engines() {
		r := newRingRig(t, WithEngine(engine), WithHook(h))
		insns := parse(t, ringCalls("", "bpf_ringbuf_submit"))
		for i, ins := range insns {
			if ins.Kind() == asm.KindStoreImm && ins.Off == 16 {
				insns = append(insns[:i+1:i+1], append(asm.Instructions{hooks.FirstCustomHelper.Call()}, insns[i+1:]...)...)
				break
			}
		}
		p, err := r.LoadProgram(&ProgramSpec{Name: "failing", Type: Custom, AttachTo: "fails_with_record", License: "GPL",
			Instructions: insns}, map[string]*maps.Map{"ring": r.ring})
		require.NoError(t, err)
		link, err := h.Attach(p)
		require.NoError(t, err)
		_, err = h.Fire(&struct{ N uint64 }{1})
		require.ErrorIs(t, err, boom)
		r.requireReadable(t)
		require.NoError(t, errors.Join(link.Detach(), p.Close()))
	}
}

// TestMapCallsDoNotAllocate: neither do leaves, nor a record that Go comes to know of.
func TestMapCallsDoNotAllocate(t *testing.T) {
	r := newRingRig(t)
	for _, between := range []string{"", writeRecord} {
		p := r.load(t, between, "bpf_ringbuf_discard")
		run := hooks.TestRun{Data: packet, DataOut: make([]byte, 0, 4096)}
		require.Zero(t, testing.AllocsPerRun(100, func() {
			if err := p.Run(context.Background(), &run); err != nil {
				t.Fatal(err)
			}
		}))
	}
}
