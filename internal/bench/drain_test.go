package bench

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/stretchr/testify/require"
)

// drainLinux returns what reads all records of a ring of the kernel's.
func drainLinux(t testing.TB, m *ebpf.Map) func() {
	r, err := ringbuf.NewReader(m)
	require.NoError(t, err)
	t.Cleanup(func() { r.Close() })
	return func() {
		var rec ringbuf.Record
		r.SetDeadline(time.Now().Add(-time.Second))
		for {
			err := r.ReadInto(&rec)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
			require.NoError(t, err)
		}
	}
}
