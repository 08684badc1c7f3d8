package linux

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/prog"
)

// The kernel takes the attach types that the table has.
func TestValidAttachKernel(t *testing.T) {
	needKernel(t)
	const attachTypes = 58 // BPF_TRACE_UPROBE_SESSION is the last but one
	for typ := prog.SocketFilter; typ <= prog.Netfilter; typ++ {
		switch typ {
		case prog.Tracing, prog.LSM, prog.StructOps, prog.Extension, prog.LircMode2:
			continue // need more than the type, or a configuration
		}
		s := sort{name: typ.String(), typ: typ}
		if typ == prog.Syscall {
			s.flags = flagSleepable
		}
		step := 1
		if ValidAttach(typ, 1000) {
			step = 8 // any
		}
		for a := 0; a < attachTypes+2; a += step {
			s.attach = prog.AttachType(a)
			require.Equal(t, ValidAttach(typ, s.attach), s.loadable(t), "%v %d", typ, a)
		}
	}
}

// The kernel lets programs sleep where the table does.
func TestMaySleepKernel(t *testing.T) {
	spec := needKernel(t)
	for v, s := range variantSorts(t, spec) {
		s.flags = flagSleepable
		log, _ := s.ask(t)
		require.Equal(t, MaySleep(v), strings.Contains(log, unset), "%s: %s", s.name, log)
	}
}
