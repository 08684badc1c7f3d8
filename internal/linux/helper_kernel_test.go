package linux

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/helper"
)

// configured are helpers that a kernel has or has not, by how it was configured.
var configured = map[asm.BuiltinFunc]bool{asm.FnOverrideReturn: true, asm.FnProbeWriteUser: true}

// TestHelpersKernel compares which helpers a variant may call with what the kernel says:
// of one in 31, of all with -long.
func TestHelpersKernel(t *testing.T) {
	spec := needKernel(t)
	n := 0
	for v, s := range variantSorts(t, spec) {
		for _, p := range helper.All() {
			if n++; configured[p.ID] || !*long && n%31 != 0 {
				continue
			}
			log, _ := s.ask(t, insn(0x85, 0, 0, 0, int32(p.ID)))
			refused := strings.Contains(log, "program of this type cannot use helper") || strings.Contains(log, "unknown func")
			require.Equal(t, p.Availability.Has(v), !refused, "%s in %s", p.Name, s.name)
		}
	}
}
