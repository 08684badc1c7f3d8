#include "go_asm.h"
#include "textflag.h"

// func call(entry uintptr, r *Regs)
//
// The frame is for the leaf: the stack check of this function sees to it. R14 and X15
// come out as Go wants them, since ABI wrappers set them again.
TEXT ·call(SB), 0, $128-16
	MOVQ entry+0(FP), AX
	MOVQ r+8(FP), R9
	MOVQ R9, 0(SP)
	MOVQ Regs_DI(R9), DI
	MOVQ Regs_SI(R9), SI
	MOVQ Regs_DX(R9), DX
	MOVQ Regs_CX(R9), CX
	MOVQ Regs_R8(R9), R8
	MOVQ $0x1111111111111111, R10
	MOVQ R10, R11
	MOVQ $0x2222222222222222, BX
	MOVQ $0x3333333333333333, R12
	MOVQ $0x4444444444444444, R13
	MOVQ $0x5555555555555555, R15
	MOVQ BP, 8(SP)
	MOVQ R14, 16(SP)
	MOVQ SP, 24(SP)
	CALL AX
	XORL CX, CX // what the leaf has not kept, a bit each
	CMPQ R9, 0(SP)
	SETNE CL
	MOVQ 0(SP), R9
	MOVQ AX, Regs_AX(R9)
	MOVL CX, DX
	MOVQ $0x2222222222222222, AX
	CMPQ BX, AX
	SETNE CL
	LEAQ (CX)(DX*2), DX
	MOVQ $0x3333333333333333, AX
	CMPQ R12, AX
	SETNE CL
	LEAQ (CX)(DX*2), DX
	MOVQ $0x4444444444444444, AX
	CMPQ R13, AX
	SETNE CL
	LEAQ (CX)(DX*2), DX
	MOVQ $0x5555555555555555, AX
	CMPQ R15, AX
	SETNE CL
	LEAQ (CX)(DX*2), DX
	CMPQ BP, 8(SP)
	SETNE CL
	LEAQ (CX)(DX*2), DX
	CMPQ R14, 16(SP)
	SETNE CL
	LEAQ (CX)(DX*2), DX
	CMPQ SP, 24(SP)
	SETNE CL
	LEAQ (CX)(DX*2), DX
	MOVQ X15, AX
	TESTQ AX, AX
	SETNE CL
	LEAQ (CX)(DX*2), DX
	MOVQ DX, Regs_Lost(R9)
	RET

// func loop(entry uintptr, r *Regs, n, step int)
TEXT ·loop(SB), 0, $128-32
	MOVQ entry+0(FP), BX
	MOVQ r+8(FP), R9
	MOVQ n+16(FP), R12
	MOVQ step+24(FP), R13
	MOVQ Regs_SI(R9), R15
again:
	MOVQ Regs_DI(R9), DI
	MOVQ R15, SI
	MOVQ Regs_DX(R9), DX
	MOVQ Regs_CX(R9), CX
	MOVQ Regs_R8(R9), R8
	CALL BX
	CMPQ AX, Regs_AX(R9)
	JEQ  wrong
	ADDQ R13, R15
	DECQ R12
	JNE  again
wrong:
	MOVQ R12, Regs_Lost(R9)
	RET
