#include "go_asm.h"
#include "textflag.h"
#include "keep_amd64.h"

// What the code sees above its return address:
//
//	rsp+8   the machine
//	rsp+16  its list of windows
//	rsp+24  r10 in the deepest frame
//	rsp+32  the CPU
//	rsp+40  r1 to r4 while a leaf runs
//
// The code comes back with the number of an exit in R11 and an address in R10.

// CALLCODE calls the code of the machine in R11. What it comes back with is kept, and we are
// done if the function has returned.
#define CALLCODE \
	MOVQ machine_left(R11), R12 \
	MOVQ machine_pc(R11), R11 \
	CALL R11 \
	TESTQ R11, R11 \
	JNE left \
	MOVQ 0(SP), R10 \
	MOVQ AX, machine_result(R10) \
	MOVQ R12, machine_left(R10) \
	MOVQ R11, machine_exit(R10) \
	RET

// func enter(m *machine)
TEXT ·enter(SB), NOSPLIT, $64-8
	MOVQ m+0(FP), R11
	MOVQ machine_windows(R11), R10
	MOVQ R11, 0(SP)
	MOVQ R10, 8(SP)
	MOVQ machine_lowest(R11), R10
	MOVQ machine_cpu(R11), AX
	MOVQ R10, 16(SP)
	MOVQ AX, 24(SP)
	MOVQ (machine_regs+0)(R11), AX
	MOVQ (machine_regs+8)(R11), DI
	MOVQ (machine_regs+16)(R11), SI
	MOVQ (machine_regs+24)(R11), DX
	MOVQ (machine_regs+32)(R11), CX
	MOVQ (machine_regs+40)(R11), R8
	MOVQ (machine_regs+48)(R11), BX
	MOVQ (machine_regs+56)(R11), R9
	MOVQ (machine_regs+64)(R11), R14
	MOVQ (machine_regs+72)(R11), R15
	MOVQ (machine_regs+80)(R11), R13
	CALLCODE
left:
	KEEP
	RET

// func start(m *machine)
TEXT ·start(SB), NOSPLIT, $64-8
	MOVQ m+0(FP), R11
	MOVQ machine_cpu(R11), R10
	MOVQ R11, 0(SP)
	MOVQ R10, 24(SP)
	MOVQ (machine_regs+8)(R11), DI
	MOVQ (machine_regs+80)(R11), R13
	XORL SI, SI
	XORL DX, DX
	XORL CX, CX
	XORL R8, R8
	CALLCODE
left:
	KEEP
	RET
