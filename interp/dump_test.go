package interp

import (
	"fmt"
	"strings"
)

// opNames is by opcode; pairs are named after their halves.
func opName(op opcode) string {
	if int(op) < len(opInfos) && opInfos[op].name != "" {
		return opInfos[op].name
	}
	for p, fusedOp := range pairs {
		if fusedOp == op {
			return opInfos[p[0]].name + "+" + opInfos[p[1]].name
		}
	}
	return fmt.Sprint(op)
}

// Dump lists the operations, for a look at what the decoder made.
func (c *Code) Dump() string {
	var b strings.Builder
	for i, op := range c.ops {
		fmt.Fprintf(&b, "%4d [%3d] %-24s %3d %3d %3d | %3d %3d %3d  x %d w %d z %d\n", i, c.origins[i].slot, opName(op.code), op.a, op.b, op.c, op.d, op.e, op.f, op.x, op.w, op.z/uint32(opSize))
	}
	return b.String()
}
