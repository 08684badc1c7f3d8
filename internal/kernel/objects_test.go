package kernel

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
)

func TestTmpBench(t *testing.T) {
	needKernel(t)
	files, _ := filepath.Glob("../../testdata/bench/*.o")
	f2, _ := filepath.Glob("../../testdata/bench/holdout/*.o")
	pkt := BenchPacket()
	os.WriteFile("../../testdata/bench/packet.bin", pkt, 0o644)
	for _, f := range append(files, f2...) {
		spec, err := ebpf.LoadCollectionSpec(f)
		require.NoError(t, err, f)
		c, err := LoadSpec(spec)
		if err != nil {
			t.Errorf("%s: %+v", f, err)
			continue
		}
		for name, p := range c.Programs {
			r, err := p.Run(pkt, nil, 5000)
			require.NoError(t, err)
			r1, err := p.Run(pkt, nil, 1)
			require.NoError(t, err)
			t.Log(name, r.Ret, r1.Ret, r.Duration, p.Stats.Insns, p.Stats.Time)
		}
		c.Close()
	}
}

func BenchPacket() []byte {
	p := make([]byte, 1024)
	for i := range p {
		p[i] = byte(i*7 + 3)
	}
	for s := 0; s < 16; s++ {
		f := p[s*64:]
		at := 12
		if s%4 == 1 {
			at += copy(f[at:], []byte{0x81, 0x00, 0x00, byte(s)})
		}
		switch s % 4 {
		case 0:
			at += copy(f[at:], []byte{8, 0, 0x45, 0, 0, 50, 0, byte(s), 0, 0, 64, 17})
		case 1:
			at += copy(f[at:], []byte{8, 0, 0x45, 0, 0, 46, 0, byte(s), 0, 0, 64, 6})
		case 2:
			copy(f[at:], []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, 10, 17, 64})
		case 3:
			copy(f[at:], []byte{8, 0, 0x46, 0, 0, 50, 0, byte(s), 0, 0, 64, 6})
		}
	}
	return p
}
