package kernel

import (
	"encoding/binary"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
)

// The rules of firewall.c, in the order in which they apply.
func TestFirewall(t *testing.T) {
	needKernel(t)
	const (
		drop, pass                              = 1, 2
		fragment, rate, byDefault               = 2, 3, 4
		allowRule, denyRule, httpsRule, anyPort = 8, 9, 10, 0xffff
	)
	spec, err := ebpf.LoadCollectionSpec(filepath.Join(elfDir, "firewall.o"))
	require.NoError(t, err)
	// A packet costs an hour, so that no bucket fills while the test runs.
	require.NoError(t, spec.Variables["packet_cost"].Set(uint64(3600e9)))
	require.NoError(t, spec.Variables["bucket_size"].Set(uint64(3*3600e9)))
	coll, err := LoadSpec(spec)
	requireAccepted(t, err)
	defer func() { require.NoError(t, coll.Close()) }()

	prefix := func(s string) []byte {
		p := netip.MustParsePrefix(s)
		return append(binary.NativeEndian.AppendUint32(nil, uint32(p.Bits())), p.Addr().AsSlice()...)
	}
	service := func(protocol byte, port uint16) []byte {
		return binary.NativeEndian.AppendUint16([]byte{protocol, 0}, port)
	}
	put := func(name string, key []byte, value any) {
		t.Helper()
		require.NoError(t, coll.Maps[name].Put(key, value))
	}
	put("allow4", prefix("192.0.2.7/32"), uint32(allowRule))
	put("deny4", prefix("192.0.2.0/28"), uint32(denyRule))
	put("deny6", prefix("2001:db8:bad::/48"), uint32(denyRule))
	put("services", service(6, 443), [2]uint32{pass, httpsRule})
	put("services", service(6, anyPort), [2]uint32{drop, httpsRule})

	packetOf := func(name string) []byte {
		for _, p := range packets(t) {
			if p.name == name {
				return append([]byte(nil), p.data...)
			}
		}
		require.Fail(t, "no such packet", name)
		return nil
	}
	from4 := func(name string, last byte) []byte {
		p := packetOf(name)
		p[14+15] = last
		return p
	}
	laterFragment := from4("udp4", 99)
	laterFragment[14+7] = 1
	denied6 := packetOf("udp6")
	copy(denied6[14+8:], netip.MustParseAddr("2001:db8:bad::5").AsSlice())
	otherPort := from4("tcp4_options", 98)
	otherPort[14+24+3]++

	for _, c := range []struct {
		name    string
		packet  []byte
		verdict uint32
		rule    uint32
	}{
		{"allowed within a denied prefix", from4("udp4", 7), pass, allowRule},
		{"denied", from4("udp4", 8), drop, denyRule},
		{"denied, IPv6", denied6, drop, denyRule},
		{"a later fragment", laterFragment, drop, fragment},
		{"a service", from4("tcp4_options", 97), pass, httpsRule},
		{"another port of its protocol", otherPort, drop, httpsRule},
		{"no rule", packetOf("udp6"), drop, byDefault},
		{"within the rate", from4("udp4", 77), drop, byDefault},
		{"still within", from4("udp4", 77), drop, byDefault},
		{"the last", from4("udp4", 77), drop, byDefault},
		{"beyond the rate", from4("udp4", 77), drop, rate},
		{"another source", from4("udp4", 78), drop, byDefault},
	} {
		before := packetsOfRule(t, coll.Maps["counters"], c.rule)
		got, err := coll.Programs["firewall"].Run(c.packet, nil, 1)
		require.NoError(t, err)
		require.Equal(t, c.verdict, got.Ret, c.name)
		require.Equal(t, before+1, packetsOfRule(t, coll.Maps["counters"], c.rule), c.name)
	}
}

// packetsOfRule adds up the per-CPU packet counters of a rule.
func packetsOfRule(t *testing.T, counters *ebpf.Map, rule uint32) (sum uint64) {
	var values [][2]uint64
	require.NoError(t, counters.Lookup(rule, &values))
	for _, v := range values {
		sum += v[0]
	}
	return sum
}
