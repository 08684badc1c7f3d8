#include "go_asm.h"
#include "textflag.h"

// The producer's side of a ring buffer (maps/ringbuf.go).

// ringReserve:
//
//	in       DI map header, SI bytes of data
//	out      AX address of the record's data, 0 if there is no room, or NotHandled
//	changes  AX, CX, DX, SI, DI, R8, R10, R11, flags
//
// Inside: R8 RingControl, R10 size of the ring less 1, R11 the data, DI the consumer's
// position, DX the producer's, CX up to where no record is busy.
TEXT ringReserve<>(SB), NOSPLIT|NOFRAME, $0-0
	PUSHQ BX
	XORL AX, AX
	CMPQ SI, $const_ringMaxRecord
	JHI  out
	MOVQ const_hdrControl(DI), R8
	MOVQ const_hdrBase(DI), R11
	MOVL const_hdrMask(DI), R10
	LEAQ 15(SI), BX
	ANDQ $~7, BX
	SUBQ $1, BX
	CMPQ BX, R10
	JHI  out // larger than the ring
	MOVQ (R8), DI

	MOVL $const_maxSpins, BX
	MOVL $1, CX
spin:
	XORL AX, AX
	LOCK
	CMPXCHGL CX, const_ringLock(R8)
	JEQ  locked
	PAUSE
	DECL BX
	JNE  spin
	MOVL $const_NotHandled, AX
	JMP  out

locked:
	MOVQ const_ringProducer(R8), DX
	MOVQ const_ringPending(R8), CX
	MOVL $const_maxRecords, BX
pending: // records that were given back since, up to the first busy one
	CMPQ CX, DX
	JAE  reserve
	MOVQ CX, AX
	ANDQ R10, AX
	MOVL (R11)(AX*1), AX
	TESTL AX, AX
	JLT  reserve // busy: the highest bit
	ANDL $~const_ringDiscard, AX
	ADDL $15, AX
	ANDL $~7, AX
	ADDQ AX, CX
	DECL BX
	JNE  pending
	MOVQ CX, const_ringPending(R8)
	MOVL $const_NotHandled, AX
	JMP  unlock

reserve:
	MOVQ CX, const_ringPending(R8)
	LEAQ 15(SI), BX
	ANDQ $~7, BX
	ADDQ DX, BX // the producer's new position
	XORL AX, AX
	SUBQ BX, DI
	NEGQ DI
	CMPQ DI, R10
	JHI  unlock
	SUBQ BX, CX
	NEGQ CX
	CMPQ CX, R10
	JHI  unlock
	ANDQ R10, DX // the record's offset
	LEAQ const_ringControlSize(DX), CX
	SHRQ $12, CX
	MOVL CX, 4(R11)(DX*1)
	ORL  $const_ringBusy, SI
	MOVL SI, (R11)(DX*1)
	MOVQ BX, const_ringProducer(R8)
	LEAQ 8(R11)(DX*1), AX
unlock:
	MOVL $0, const_ringLock(R8)
out:
	POPQ BX
	RET

// COMMIT gives a record back:
//
//	in       DI address of the record's data, SI flags, DX map header
//	out      AX 0, Wake, or NotHandled if that is no reserved record
//	changes  AX, CX, DX, SI, DI, R8, R10, R11, flags
//
// The consumer's position is looked at after the record is given back: either the
// consumer sees that, or it has got here before, and is woken.
#define COMMIT(mark) \
	MOVQ const_hdrControl(DX), R8; \
	MOVQ const_hdrBase(DX), R11; \
	MOVL const_hdrMask(DX), R10; \
	SUBQ $8, DI; \
	SUBQ R11, DI; \
	CMPQ DI, R10; \
	JHI  giveup; \
	TESTL $7, DI; \
	JNE  giveup; \
	MOVL (R11)(DI*1), AX; \
	TESTL AX, AX; \
	JGE  giveup; \
	MOVL AX, CX; \
	XORL $const_ringBusy, CX; \
	ORL  $mark, CX; \
	LOCK; \
	CMPXCHGL CX, (R11)(DI*1); \
	JNE  giveup; \
	XORL AX, AX; \
	TESTL $const_ringForceWakeup, SI; \
	JNE  wake; \
	MOVQ (R8), CX; \
	ANDQ R10, CX; \
	CMPQ CX, DI; \
	JNE  done; \
	TESTL $const_ringNoWakeup, SI; \
	JNE  done; \
wake: \
	MOVL $const_Wake, AX; \
done: \
	RET; \
giveup: \
	MOVL $const_NotHandled, AX; \
	RET

TEXT ringSubmit<>(SB), NOSPLIT|NOFRAME, $0-0
	COMMIT(0)

TEXT ringDiscard<>(SB), NOSPLIT|NOFRAME, $0-0
	COMMIT(const_ringDiscard)

DATA ringOps<>+0x00(SB)/8, $ringReserve<>(SB)
DATA ringOps<>+0x08(SB)/8, $ringSubmit<>(SB)
DATA ringOps<>+0x10(SB)/8, $ringDiscard<>(SB)
GLOBL ringOps<>(SB), RODATA, $0x18

// func ringEntry(i int) uintptr
TEXT ·ringEntry(SB), NOSPLIT, $0-16
	MOVQ i+0(FP), AX
	LEAQ ringOps<>(SB), CX
	MOVQ (CX)(AX*8), AX
	MOVQ AX, ret+8(FP)
	RET
