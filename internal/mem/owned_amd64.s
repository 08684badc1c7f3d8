#include "textflag.h"

// func AddOwned(p *atomic.Uint64, n uint64)
//
// It is in assembly for the compiler to leave it as it is, and the race detector, which knows
// nothing of who owns p, to leave it alone.
TEXT ·AddOwned(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), AX
	MOVQ n+8(FP), CX
	ADDQ CX, (AX)
	RET
