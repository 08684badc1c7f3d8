package ringbuf

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/maps"
)

var update = flag.Bool("update", false, "ask the kernel and record its answers")

// spaceFile is what Linux does with the steps of spaceSteps, a line for each:
//
//	output SIZE RESULT AVAIL RINGSIZE CONSUMER PRODUCER   what bpf_ringbuf_output and bpf_ringbuf_query return
//	read SIZE REMAINING                                   the record that was read, and what is left
//
// The answers are those of Linux 7.2; 6.12 gives the same.
const spaceFile = "testdata/space.txt"

const spaceRing = 4096

// A ring is a ring buffer that the steps are done with.
type ring struct {
	output func(data []byte) (ret int64, query [4]uint64)
	read   func() Record
}

// spaceSteps fills and drains an empty ring of spaceRing bytes, mostly up to what fits,
// and returns what it answers.
func spaceSteps(t *testing.T, ring ring) string {
	sizes := []int{1, 7, 8, 9, 40, 100, 248, 504, 512}
	var b strings.Builder
	r := rand.New(rand.NewPCG(1, 1))
	held := 0
	for range 600 {
		if r.IntN(3) == 0 && held > 0 {
			rec := ring.read()
			held--
			require.Equal(t, spaceRecord(len(rec.RawSample)), rec.RawSample)
			fmt.Fprintln(&b, "read", len(rec.RawSample), rec.Remaining)
			continue
		}
		size := sizes[r.IntN(len(sizes))]
		ret, query := ring.output(spaceRecord(size))
		if ret == 0 {
			held++
		}
		fmt.Fprintln(&b, "output", size, ret, query[0], query[1], query[2], query[3])
	}
	return b.String()
}

// spaceRecord is a record of size bytes: its size again and again.
func spaceRecord(size int) []byte {
	var data []byte
	for len(data) < size {
		data = binary.NativeEndian.AppendUint64(data, uint64(size))
	}
	return data[:size]
}

// TestSpace compares which records fit, and the positions, with Linux.
func TestSpace(t *testing.T) {
	want, err := os.ReadFile(spaceFile)
	require.NoError(t, err)
	m, reader := newRing(t, spaceRing)
	got := spaceSteps(t, ring{
		output: func(data []byte) (int64, [4]uint64) {
			e := m.RingOutputProg(data, maps.RingForceWakeup)
			return e.Ret(), [4]uint64{m.QueryProg(0), m.QueryProg(1), m.QueryProg(2), m.QueryProg(3)}
		},
		read: func() Record {
			rec, err := reader.Read()
			require.NoError(t, err)
			return rec
		},
	})
	require.Equal(t, string(want), got)
}
