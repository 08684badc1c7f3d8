package sandbpf

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/maps"
)

// TestInlinedHelpers compares helpers that are compiled into the program with the
// interpreter's.
func TestInlinedHelpers(t *testing.T) {
	for _, typ := range []maps.Type{maps.Array, maps.PerCPUArray} {
		for _, size := range []uint32{8, 12, 24} {
			for _, key := range []string{"0", "2", "3", "-1"} {
				text := "r6 = 0\n*(u32 *)(r10 - 8) = " + key + `
					r2 = r10
					r2 += -8
					r1 = map[cells]
					call bpf_map_lookup_elem
					if r0 == 0 goto none
					r6 = *(u32 *)(r0 + 4)
					r6 += 1
					*(u32 *)(r0 + 4) = r6
					none:
					r6 += r1
					r6 -= r1
					call bpf_get_smp_processor_id
					r6 += r0
					call bpf_get_prandom_u32
					r0 ^= r6
					exit`
				var want []uint64
				for _, engine := range engines() {
					v := newVM(t, WithCPUs(2), WithSeed(7), WithEngine(engine), WithoutVerifier()) // r1 is read after a call
					m, err := v.NewMap(&maps.Spec{Name: "cells", Type: typ, KeySize: 4, ValueSize: size, MaxEntries: 3})
					require.NoError(t, err)
					p := program(t, v, XDP, text, map[string]*maps.Map{"cells": m})
					held, err := v.Acquire()
					require.NoError(t, err)
					other, err := v.Acquire()
					require.NoError(t, err)
					held.Release()
					var got []uint64
					for range 3 {
						ret, _, err := p.Test(packet)
						require.NoError(t, err)
						got = append(got, uint64(ret))
					}
					got = append(got, p.Stats().Instructions)
					other.Release()
					if want == nil {
						want = got
					}
					require.Equal(t, want, got, "%v, values of %d bytes, key %s on %v", typ, size, key, engine)
					require.NoError(t, m.Close())
				}
			}
		}
	}
}

// TestInlinedLookups looks up keys that lie in a map's value, in the packet, and on the stack
// where the compiler has lost sight of it.
func TestInlinedLookups(t *testing.T) {
	const text = `
		r6 = r1
		r8 = r10
		r8 += -16
		*(u32 *)(r8 + 0) = 0
		r1 = map[keys]
		r2 = r8
		call bpf_map_lookup_elem
		if r0 == 0 goto fail
		r7 = r0
		r9 = *(u32 *)(r7 + 0)
		*(u32 *)(r8 + 0) = r9
		r9 = 0
		r2 = r7
		r1 = map[cells]
		call bpf_map_lookup_elem
		if r0 == 0 goto stack
		r9 = *(u32 *)(r0 + 0)
		stack:
		r2 = r8
		r1 = map[cells]
		call bpf_map_lookup_elem
		if r0 == 0 goto packet
		r1 = *(u32 *)(r0 + 0)
		r1 <<= 8
		r9 += r1
		packet:
		r2 = *(u32 *)(r6 + 0)
		r3 = *(u32 *)(r6 + 4)
		r4 = r2
		r4 += 8
		if r4 > r3 goto fail
		r2 += 4
		r1 = map[cells]
		call bpf_map_lookup_elem
		if r0 == 0 goto out
		r1 = *(u32 *)(r0 + 0)
		r1 <<= 16
		r9 += r1
		out:
		r0 = r9
		exit
		fail:
		r0 = -1
		exit`
	for _, engine := range engines() {
		v := newVM(t, WithCPUs(1), WithEngine(engine))
		keys, err := v.NewMap(&maps.Spec{Name: "keys", Type: maps.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
		require.NoError(t, err)
		cells, err := v.NewMap(&maps.Spec{Name: "cells", Type: maps.Array, KeySize: 4, ValueSize: 12, MaxEntries: 3})
		require.NoError(t, err)
		for key := range uint32(3) {
			require.NoError(t, cells.Put(key, [3]uint32{key + 5}))
		}
		p := program(t, v, XDP, text, map[string]*maps.Map{"keys": keys, "cells": cells})
		for _, key := range []uint32{0, 1, 2, 3, 1 << 31, 1<<32 - 1} {
			require.NoError(t, keys.Put(uint32(0), key))
			ret, _, err := p.Test(append(binary.NativeEndian.AppendUint32(make([]byte, 4), key), packet...))
			require.NoError(t, err)
			want := uint32(0)
			if key < 3 {
				want = (key + 5) * 0x10101
			}
			require.Equal(t, want, uint32(ret), "key %d on %v", key, engine)
		}
		require.NoError(t, keys.Close())
		require.NoError(t, cells.Close())
	}
}

// TestLookupsOfStoredKeys looks up keys that the program has stored just before, so that the compiler knows
// the register that they are in, and in part that they are keys of the array; where they are none, the
// program goes on with the zero that it has got.
func TestLookupsOfStoredKeys(t *testing.T) {
	const head = `
		r2 = *(u32 *)(r1 + 0)
		r3 = *(u32 *)(r1 + 4)
		r4 = r2
		r4 += 8
		if r4 > r3 goto fail
		r7 = *(u64 *)(r2 + 0)
		`
	const lookup = `
		r2 = r10
		r2 += -8
		r1 = map[cells]
		call bpf_map_lookup_elem
		`
	const none = "r0 += 7\nexit\n"
	const found = `
		r6 = *(u32 *)(r0 + 4)
		r6 += 1
		*(u32 *)(r0 + 4) = r6
		r0 = r6
		r0 += 100
		exit
		`
	const fail = "fail: r0 = -1\nexit"
	stores := []string{"*(u32 *)(r10 - 8) = r7", "*(u64 *)(r10 - 8) = r7", "r7 &= 1\n*(u32 *)(r10 - 8) = r7", "r7 &= 3\n*(u32 *)(r10 - 8) = r7",
		"w7 >>= 31\n*(u64 *)(r10 - 8) = r7", "*(u32 *)(r10 - 8) = 2", "*(u32 *)(r10 - 8) = 3", "*(u64 *)(r10 - 8) = r7\n*(u16 *)(r10 - 6) = 0",
		"*(u64 *)(r10 - 8) = r7\nr2 = r10\nr2 += -7\n*(u8 *)(r2 + 0) = 0", "*(u64 *)(r10 - 8) = r7\nr7 = *(u16 *)(r10 - 8)\n*(u32 *)(r10 - 8) = r7"}
	branches := []string{"if r0 == 0 goto none\n" + found + "none: " + none, "if r0 != 0 goto found\n" + none + "found: " + found}
	for _, typ := range []maps.Type{maps.Array, maps.PerCPUArray} {
		for _, size := range []uint32{8, 12, 32} {
			for _, store := range stores {
				for _, branch := range branches {
					text := head + store + lookup + branch + fail
					var want []uint32
					for _, engine := range engines() {
						v := newVM(t, WithCPUs(1), WithEngine(engine))
						m, err := v.NewMap(&maps.Spec{Name: "cells", Type: typ, KeySize: 4, ValueSize: size, MaxEntries: 3})
						require.NoError(t, err)
						p := program(t, v, XDP, text, map[string]*maps.Map{"cells": m})
						var got []uint32
						for _, key := range []uint64{0, 1, 2, 3, 1 << 31, 1<<32 - 1, 5<<32 | 2, 1<<63 | 1, 0x10002, 0x102} {
							ret, _, err := p.Test(append(binary.NativeEndian.AppendUint64(nil, key), packet...))
							require.NoError(t, err)
							got = append(got, ret)
						}
						if want == nil {
							want = got
						}
						require.Equal(t, want, got, "%v, values of %d bytes on %v:\n%s", typ, size, engine, text)
						require.NoError(t, m.Close())
					}
				}
			}
		}
	}
}
