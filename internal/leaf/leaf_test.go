package leaf_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/leaf"
	"github.com/sandbpf/sandbpf/maps"
)

// TestFor is the table of what has a leaf.
func TestFor(t *testing.T) {
	all := []leaf.Op{leaf.Lookup, leaf.Update, leaf.Delete, leaf.Reserve, leaf.Submit, leaf.Discard}
	hash := []leaf.Op{leaf.Lookup, leaf.Update, leaf.Delete}
	for _, c := range []struct {
		spec maps.Spec
		want []leaf.Op
	}{
		{maps.Spec{Type: maps.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 1}, hash},
		{maps.Spec{Type: maps.LRUHash, KeySize: 5, ValueSize: 8, MaxEntries: 1}, hash},
		{maps.Spec{Type: maps.PerCPUHash, KeySize: 8, ValueSize: 8, MaxEntries: 1}, hash},
		{maps.Spec{Type: maps.LRUCPUHash, KeySize: 16, ValueSize: 8, MaxEntries: 1}, hash},
		{maps.Spec{Type: maps.Hash, KeySize: 4, ValueSize: 1 << 20, MaxEntries: 1}, []leaf.Op{leaf.Lookup, leaf.Delete}},
		{maps.Spec{Type: maps.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: maps.FlagRdonlyProg}, []leaf.Op{leaf.Lookup}},
		{maps.Spec{Type: maps.LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 1, Flags: maps.FlagNoPrealloc}, []leaf.Op{leaf.Lookup}},
		{maps.Spec{Type: maps.RingBuf, MaxEntries: 4096}, []leaf.Op{leaf.Reserve, leaf.Submit, leaf.Discard}},
		{maps.Spec{Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}, nil},
		{maps.Spec{Type: maps.HashOfMaps, KeySize: 4, MaxEntries: 1,
			InnerMap: &maps.Spec{Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}}, nil},
		{maps.Spec{Type: maps.DevMapHash, KeySize: 4, ValueSize: 4, MaxEntries: 1}, nil},
		{maps.Spec{Type: maps.Queue, ValueSize: 8, MaxEntries: 1}, nil},
	} {
		m, err := maps.New(&c.spec)
		require.NoError(t, err)
		var got []leaf.Op
		for _, op := range all {
			if entry, ok := leaf.For(m, op); ok {
				require.NotZero(t, entry)
				got = append(got, op)
			}
		}
		if runtime.GOARCH != "amd64" {
			c.want = nil
		}
		require.Equal(t, c.want, got, "%v", m)
		require.NoError(t, m.Close())
	}
}
