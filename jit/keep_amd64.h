// KEEP keeps what is needed to enter again code that has come back with the number of an exit in
// R11: 0(SP) is the machine, which is in R11 afterwards.
#define KEEP \
	MOVQ R11, 32(SP) \
	MOVQ 0(SP), R11 \
	MOVQ AX, machine_result(R11) \
	MOVQ R12, machine_left(R11) \
	MOVQ 32(SP), R12 \
	MOVQ R12, machine_exit(R11) \
	MOVQ AX, (machine_regs+0)(R11) \
	MOVQ DI, (machine_regs+8)(R11) \
	MOVQ SI, (machine_regs+16)(R11) \
	MOVQ DX, (machine_regs+24)(R11) \
	MOVQ CX, (machine_regs+32)(R11) \
	MOVQ R8, (machine_regs+40)(R11) \
	MOVQ BX, (machine_regs+48)(R11) \
	MOVQ R9, (machine_regs+56)(R11) \
	MOVQ R14, (machine_regs+64)(R11) \
	MOVQ R15, (machine_regs+72)(R11) \
	MOVQ R13, (machine_regs+80)(R11) \
	MOVQ R10, machine_addr(R11)
