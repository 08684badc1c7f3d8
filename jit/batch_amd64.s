#include "go_asm.h"
#include "textflag.h"
#include "keep_amd64.h"

// func enterBatch(m *machine, b *batch)
//
// It is start in a loop. What the code sees above its return address is as there; behind it
// are
//
//	rsp+72  the batch
//	rsp+80  the run
//
// r0 and r6 to r9 hold what the run before has left, which a verified program does not read. r2 to
// r5 are zero, since helpers see them all.
TEXT ·enterBatch(SB), NOSPLIT, $80-16
	MOVQ m+0(FP), R11
	MOVQ b+8(FP), R10
	MOVQ R11, 0(SP)
	MOVQ R10, 64(SP)
	MOVQ machine_cpu(R11), AX
	MOVQ AX, 24(SP)

next:
	MOVQ batch_next(R10), CX
	CMPQ CX, batch_end(R10)
	JGE  over
	MOVQ batch_runs(R10), AX
	MOVQ (AX)(CX*8), AX
	MOVQ const_runCtx(AX), DI
	TESTQ DI, DI
	JEQ  over
	MOVQ AX, 72(SP)
	MOVQ 24(SP), DX
	MOVQ const_runData(AX), R8
	MOVQ const_runEnd(AX), R9
	MOVQ const_runMeta(AX), SI
	MOVQ R8, (const_cpuPtrs+0)(DX)
	MOVQ R9, (const_cpuPtrs+8)(DX)
	MOVQ SI, (const_cpuPtrs+16)(DX)
	MOVQ batch_frame(R10), R13
	MOVQ batch_low(R10), AX
	MOVQ batch_high(R10), CX
	PXOR X0, X0
	JMP  cleared

clear:
	MOVUPS X0, (AX)
	ADDQ $const_batchStack, AX

cleared:
	CMPQ AX, CX
	JLT  clear
	XORL SI, SI
	XORL DX, DX
	XORL CX, CX
	XORL R8, R8
	MOVQ batch_given(R10), R12
	MOVQ batch_pc(R10), R11
	CALL R11
	TESTQ R11, R11
	JNE  left
	MOVQ 64(SP), R10
	MOVQ 72(SP), CX
	MOVQ AX, const_runRet(CX)
	MOVQ R11, const_runLeft(CX)
	MOVQ batch_given(R10), DX
	SUBQ R12, DX
	ADDQ DX, batch_done(R10)
	INCQ batch_next(R10)
	JMP  next

over:
	MOVQ 0(SP), R11
	MOVQ $0, machine_exit(R11)
	RET

left:
	KEEP
	RET
