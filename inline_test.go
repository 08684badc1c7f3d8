package sandbpf

import (
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
