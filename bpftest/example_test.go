package bpftest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/bpftest"
	"github.com/sandbpf/sandbpf/hooks"
)

// TestRateLimit is what a unit test of a program looks like: gate.o lets two frames of
// a kind pass each second.
func TestRateLimit(t *testing.T) {
	needLittleEndian(t)
	obj := bpftest.Load(t, "testdata/gate.o")
	gate := obj.XDP("gate_xdp")

	for range 2 {
		require.Equal(t, hooks.XDPPass, gate.Run(frame(0x0800)).Action)
	}
	require.Equal(t, hooks.XDPDrop, gate.Run(frame(0x0800)).Action)

	obj.Clock.Advance(time.Second)
	require.Equal(t, hooks.XDPPass, gate.Run(frame(0x0800)).Action)
	require.Equal(t, uint64(1), bpftest.Value[window](t, obj.Map("windows"), uint16(0x0800)).Frames)
}
