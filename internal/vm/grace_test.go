package vm

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRetire(t *testing.T) {
	m, err := NewMachine(Options{NumCPU: 3})
	require.NoError(t, err)
	freed := 0
	retire := func() { m.Retire(func() { freed++ }) }

	retire()
	require.Equal(t, 1, freed, "nobody runs")

	a, b := m.Acquire(), m.Acquire()
	retire()
	require.Equal(t, 1, freed)
	m.Release(a)
	require.Equal(t, 1, freed, "b may still run")
	a = m.Acquire() // began after: does not matter
	b.Quiesce()
	require.Equal(t, 2, freed)
	b.Quiesce()

	retire() // two wait, of which the first is due before the second
	a.Quiesce()
	retire()
	require.Equal(t, 2, freed)
	m.Release(b)
	require.Equal(t, 3, freed, "a was between runs before the second only")
	m.Release(a)
	require.Equal(t, 4, freed)

	c := m.Acquire()
	retire()
	done := make(chan struct{})
	go func() { m.Close(); close(done) }()
	m.Release(c)
	<-done
	require.Equal(t, 5, freed)
	retire()
	require.Equal(t, 6, freed, "nothing runs any more")
	require.Nil(t, m.Acquire())
}
