package maps

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzOps runs a program of bytes on a hash, an LRU hash and an LPM trie, and on
// Go maps that do the same slowly.
func FuzzOps(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0, 1, 1, 4, 2, 1, 3, 1})
	f.Add([]byte("0a0b0c1a2b3c4d5e6f7g8h9i"))
	f.Fuzz(func(t *testing.T, prog []byte) {
		fuzzHash(t, prog)
		fuzzLPM(t, prog)
	})
}

func fuzzHash(t *testing.T, prog []byte) {
	m, err := NewWithOptions(&Spec{Type: Hash, KeySize: 5, ValueSize: 3, MaxEntries: 4}, Options{NumCPU: 1})
	require.NoError(t, err)
	defer m.Close()
	model := map[string]string{}
	for ; len(prog) >= 3; prog = prog[3:] {
		k, v := []byte{prog[1] % 8, 0, 0, 0, prog[1] / 128}, []byte{prog[2], 1, 2}
		old, have := model[string(k)]
		switch prog[0] % 4 {
		case 0, 1:
			flags := uint64(prog[0] / 4 % 4)
			var want Errno
			switch {
			case flags > 2:
				want = EINVAL
			case have && flags == 1:
				want = EEXIST
			case !have && flags == 2:
				want = ENOENT
			case !have && len(model) == 4:
				want = E2BIG
			default:
				model[string(k)] = string(v)
			}
			require.Equal(t, want, m.UpdateProg(0, k, v, flags))
		case 2:
			require.Equal(t, have, m.DeleteProg(k) == 0)
			delete(model, string(k))
		case 3:
			got, err := m.LookupBytes(k)
			require.NoError(t, err)
			require.Equal(t, old, string(got))
		}
	}
	got := map[string]string{}
	var k, v []byte
	it := m.Iterate()
	for it.Next(&k, &v) {
		got[string(k)] = string(v)
	}
	require.NoError(t, it.Err())
	require.Equal(t, model, got)
}

func fuzzLPM(t *testing.T, prog []byte) {
	m, err := NewWithOptions(&Spec{Type: LPMTrie, KeySize: 8, ValueSize: 1, MaxEntries: 6, Flags: FlagNoPrealloc}, Options{NumCPU: 1})
	require.NoError(t, err)
	defer m.Close()
	model := map[netip.Prefix]byte{}
	for ; len(prog) >= 4; prog = prog[4:] {
		addr := netip.AddrFrom4([4]byte{prog[1], prog[2] & 0xc3, 0, prog[3] & 1})
		p := netip.PrefixFrom(addr, int(prog[3])%33)
		key, err := marshal(p, 8)
		require.NoError(t, err)
		switch prog[0] % 3 {
		case 0:
			want := Errno(0)
			if _, have := model[p.Masked()]; !have && len(model) == 6 {
				want = ENOSPC
			} else {
				model[p.Masked()] = prog[0]
			}
			require.Equal(t, want, m.UpdateProg(0, key, prog[:1], 0))
		case 1:
			_, have := model[p.Masked()]
			require.Equal(t, have, m.DeleteProg(key) == 0)
			delete(model, p.Masked())
		case 2:
			best, want := -1, byte(0)
			for q, v := range model {
				if q.Bits() <= p.Bits() && q.Contains(addr) && q.Bits() > best {
					best, want = q.Bits(), v
				}
			}
			got, err := m.LookupBytes(p)
			require.NoError(t, err)
			if best < 0 {
				require.Nil(t, got)
			} else {
				require.Equal(t, []byte{want}, got)
			}
		}
	}
	n := 0
	for k, err := m.NextKeyBytes(nil); k != nil; k, err = m.NextKeyBytes(k) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, len(model), n)
}

// FuzzMarshal: what is unmarshalled from any bytes marshals to the same bytes, and
// nothing panics.
func FuzzMarshal(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4})
	f.Add([]byte{24, 0, 0, 0, 10, 0, 0, 1})
	f.Add([]byte{200, 0, 0, 0, 10, 0, 0, 1})
	f.Add(make([]byte, 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, dst := range []any{
			new(uint32), new(int64), new(pair), new([3]uint16), new(backwards), new([]byte), new(string),
			new(netip.Addr), new(netip.Prefix), make([]uint16, 2), new(struct{ a, b uint8 }),
		} {
			if unmarshal(dst, bytes.Clone(b)) != nil {
				continue
			}
			src := dst
			switch v := dst.(type) {
			case *[]byte:
				src = *v
			case *string:
				src = *v
			case *netip.Addr:
				src = *v
			case *netip.Prefix:
				src = *v
			}
			got, err := marshal(src, len(b))
			require.NoError(t, err, "%T", dst)
			require.Equal(t, b, append([]byte{}, got...), "%T", dst)
		}
	})
}
