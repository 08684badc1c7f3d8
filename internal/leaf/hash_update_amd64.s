#include "go_asm.h"
#include "textflag.h"
#include "hash_amd64.h"

// Update and delete of a hash. For all of them:
//
//	in       DI map header, SI key, R8 CPU; for updates also DX value, CX flags
//	out      AX 0, a negative errno, or NotHandled
//	changes  AX, CX, DX, SI, DI, R8, R10, R11, X0, flags
//
// What they change, and in which order, is what maps/hash.go does; the differences are
// the CPU's spare element, and that they give up where Go waits. Inside:
//
//	DI  map header              R9   bucket
//	SI  key                     R10  last word of the key, BX its offset
//	R8  CPU, then new element   R11  what references count from; the HashControl
//	DX  element found           R12  flags, then the reference to the element found
//	R13 value                   R15  the CPU's HashSpare, 0 once it has the element DX
//	X0  hash

#define ENTER \
	PUSHQ BX; \
	PUSHQ R9; \
	PUSHQ R12; \
	PUSHQ R13; \
	PUSHQ R15

#define LEAVE \
out: \
	POPQ R15; \
	POPQ R13; \
	POPQ R12; \
	POPQ R9; \
	POPQ BX; \
	RET

// LOCKBUCKET finds the bucket and takes its lock, or goes to giveup. The first element is
// fetched meanwhile: nothing after the locked instruction starts before its end.
#define LOCKBUCKET \
	MOVL const_hdrNumCPU(DI), AX; \
	CMPQ R8, AX; \
	JAE  invalid; \
	MOVQ const_hdrSpares(DI), R15; \
	SHLQ $6, R8; \
	ADDQ R8, R15; \
	LASTWORD; \
	HASHKEY; \
	MOVL AX, AX; \
	MOVQ AX, X0; \
	BUCKET(R9); \
	MOVL (R9), CX; \
	PREFETCHT0 (R11)(CX*8); \
	MOVL $const_maxSpins, CX; \
spin: \
	MOVL const_bucketLock(R9), AX; \
	TESTL $1, AX; \
	JNE  taken; \
	LEAL 1(AX), DX; \
	LOCK; \
	CMPXCHGL DX, const_bucketLock(R9); \
	JEQ  locked; \
taken: \
	PAUSE; \
	DECL CX; \
	JNE  spin; \
	JMP  giveup; \
locked:

// UNLOCK gives the lock back, with one store: nobody else writes it meanwhile.
#define UNLOCK INCL const_bucketLock(R9)

// FIND looks the key up under the lock. It goes to absent, or falls through with the
// element in DX and, in AX, the address of the reference to it: the bucket's Head or
// the previous element's Next, which is its first field.
#define FIND \
	MOVQ R9, AX; \
find: \
	MOVL (AX), CX; \
	TESTL CX, CX; \
	JEQ  absent; \
	LEAQ (R11)(CX*8), DX; \
	CMPQ const_elemKey(DX)(BX*1), R10; \
	JNE  differ; \
	TESTL BX, BX; \
	JEQ  present; \
	XORL CX, CX; \
compare: \
	MOVQ (SI)(CX*1), R8; \
	CMPQ const_elemKey(DX)(CX*1), R8; \
	JNE  differ; \
	ADDL $8, CX; \
	CMPL CX, BX; \
	JB   compare; \
	JMP  present; \
differ: \
	MOVQ DX, AX; \
	JMP  find; \
present:

// REF sets reg to the reference to the element elem.
#define REF(elem, reg) \
	MOVQ elem, reg; \
	SUBQ R11, reg; \
	SHRQ $3, reg

// GIVE puts the element DX, which is in no chain any more, where the next update finds it:
// in the CPU's HashSpare or on the stack of free elements. Each failure of the exchange
// there is another CPU's success. Changes AX, CX, R8.
#define GIVE \
	REF(DX, CX); \
	MOVL (R15), AX; \
	TESTL AX, AX; \
	JNE  push; \
	LOCK; \
	CMPXCHGL CX, (R15); \
	JEQ  given; \
push: \
	MOVQ const_ctlFree(R11), AX; \
	MOVL AX, (DX); \
	MOVQ AX, R8; \
	SHRQ $32, R8; \
	INCL R8; \
	SHLQ $32, R8; \
	ORQ  CX, R8; \
	LOCK; \
	CMPXCHGQ R8, const_ctlFree(R11); \
	JNE  push; \
given:

// WRITEVALUE copies the value at R13 to R10 + offset of the value. Changes AX, CX, R13.
#define WRITEVALUE \
	MOVL const_hdrValueSize(DI), CX; \
	SUBL $8, CX; \
	JCS  tail; \
words: \
	MOVQ (R13), AX; \
	MOVQ AX, (R10); \
	ADDQ $8, R13; \
	ADDQ $8, R10; \
	SUBL $8, CX; \
	JCC  words; \
tail: \
	TESTL $4, CX; \
	JEQ  tail2; \
	MOVL (R13), AX; \
	MOVL AX, (R10); \
	ADDQ $4, R13; \
	ADDQ $4, R10; \
tail2: \
	TESTL $2, CX; \
	JEQ  tail1; \
	MOVWLZX (R13), AX; \
	MOVW AX, (R10); \
	ADDQ $2, R13; \
	ADDQ $2, R10; \
tail1: \
	TESTL $1, CX; \
	JEQ  written; \
	MOVBLZX (R13), AX; \
	MOVB AX, (R10); \
written:

// hashUpdate is for Hash and LRUHash.
TEXT hashUpdate<>(SB), NOSPLIT|NOFRAME, $0-0
	ENTER
	MOVQ CX, R12
	MOVQ DX, R13
	CMPQ R12, $2
	JHI  invalid
	LOCKBUCKET
	FIND

	// The key is there: a new element takes the place of its element.
	CMPL R12, $1 // BPF_NOEXIST
	JEQ  exists
	MOVQ AX, R12
	REF(DX, CX)
	JMP  take

absent:
	CMPL R12, $2 // BPF_EXIST
	JEQ  missing
	MOVL const_ctlCount(R11), AX
	CMPL AX, const_hdrMaxEntries(DI)
	JAE  full
	LEAL 1(AX), CX
	LOCK
	CMPXCHGL CX, const_ctlCount(R11)
	JNE  unlock
	XORL DX, DX // no element goes
	XORL CX, CX

take: // the spare element; CX takes its place
	MOVL (R15), AX
	TESTL AX, AX
	JEQ  alloc
	LOCK
	CMPXCHGL CX, (R15)
	JNE  alloc
	XORL R15, R15
	MOVL AX, CX
settle: // see maps/hash.go
	TESTL $1, const_elemSeq(R11)(CX*8)
	JNE  alloced
	PAUSE
	JMP  settle

alloc: // from the stack of free elements
	MOVQ const_ctlFree(R11), AX
	MOVL AX, CX
	TESTL CX, CX
	JEQ  fresh
	MOVL (R11)(CX*8), R8
	MOVQ AX, CX
	SHRQ $32, CX
	INCL CX
	SHLQ $32, CX
	ORQ  R8, CX
	LOCK
	CMPXCHGQ CX, const_ctlFree(R11)
	JNE  undo
	MOVL AX, CX
	JMP  alloced

fresh: // one that was never used
	MOVL const_ctlFresh(R11), AX
	CMPL AX, const_ctlTotal(R11)
	JAE  undo
	LEAL 1(AX), CX
	LOCK
	CMPXCHGL CX, const_ctlFresh(R11)
	JNE  undo
	MOVL const_hdrStride(DI), CX
	SHRL $3, CX
	IMULL AX, CX
	ADDL const_ctlFirst(R11), CX
	MOVL $1, const_elemSeq(R11)(CX*8)

alloced: // CX is the new element
	LEAQ (R11)(CX*8), R8
	MOVQ R10, const_elemKey(R8)(BX*1)
	XORL CX, CX
	CMPL CX, BX
	JEQ  keyed
keying:
	MOVQ (SI)(CX*1), AX
	MOVQ AX, const_elemKey(R8)(CX*1)
	ADDL $8, CX
	CMPL CX, BX
	JB   keying
keyed:
	MOVL const_hdrValueOff(DI), R10
	ADDQ R8, R10
	WRITEVALUE
	MOVQ X0, CX
	MOVL CX, const_elemHash(R8)
	REF(R8, CX)
	TESTQ DX, DX
	JEQ  insert

	MOVL $1, const_elemUsed(R8)
	MOVL (DX), AX
	MOVL AX, (R8)
	INCL const_elemSeq(R8)
	MOVL CX, (R12)
	INCL const_elemSeq(DX)
	UNLOCK
	TESTQ R15, R15
	JEQ  given
	GIVE
	XORL AX, AX
	JMP  out

insert:
	MOVL $0, const_elemUsed(R8)
	MOVL (R9), AX
	MOVL AX, (R8)
	INCL const_elemSeq(R8)
	MOVL CX, (R9)
	UNLOCK
	XORL AX, AX
	JMP  out

undo: // no element for now
	TESTQ DX, DX
	JNE  unlock
	LOCK
	DECL const_ctlCount(R11)
	JMP  unlock

full:
	CMPL (DI), $const_typeHash
	JNE  unlock // LRU
	UNLOCK
	MOVQ $-const_errE2BIG, AX
	JMP  out

exists:
	UNLOCK
	MOVQ $-const_errEEXIST, AX
	JMP  out

missing:
	UNLOCK
	MOVQ $-const_errENOENT, AX
	JMP  out

invalid:
	MOVQ $-const_errEINVAL, AX
	JMP  out

unlock:
	UNLOCK
giveup:
	MOVL $const_NotHandled, AX
	LEAVE

// percpuUpdate is for PerCPUHash and LRUCPUHash: it writes this CPU's copy. What makes
// a new element, with copies of all CPUs, is left to Go.
TEXT percpuUpdate<>(SB), NOSPLIT|NOFRAME, $0-0
	ENTER
	MOVQ CX, R12
	MOVQ DX, R13
	CMPQ R12, $2
	JHI  invalid
	LOCKBUCKET
	FIND
	CMPL R12, $1 // BPF_NOEXIST
	JEQ  exists
	MOVL const_hdrValueOff(DI), CX
	MOVQ (DX)(CX*1), R10
	MOVQ R15, R8
	SUBQ const_hdrSpares(DI), R8
	SHRQ $6, R8 // the CPU
	IMULQ const_hdrCPUStride(DI), R8
	ADDQ R8, R10
	WRITEVALUE
	MOVL $1, const_elemUsed(DX)
	UNLOCK
	XORL AX, AX
	JMP  out

absent:
	UNLOCK
	CMPL R12, $2 // BPF_EXIST
	JNE  giveup
	MOVQ $-const_errENOENT, AX
	JMP  out

exists:
	UNLOCK
	MOVQ $-const_errEEXIST, AX
	JMP  out

invalid:
	MOVQ $-const_errEINVAL, AX
	JMP  out

giveup:
	MOVL $const_NotHandled, AX
	LEAVE

// hashDelete is for all four.
TEXT hashDelete<>(SB), NOSPLIT|NOFRAME, $0-0
	ENTER
	LOCKBUCKET
	FIND
	MOVL (DX), CX
	MOVL CX, (AX)
	INCL const_elemSeq(DX)
	UNLOCK
	GIVE
	LOCK
	DECL const_ctlCount(R11)
	XORL AX, AX
	JMP  out

absent:
	UNLOCK
	MOVQ $-const_errENOENT, AX
	JMP  out

invalid: // no such CPU, and so no spare: Go needs none
giveup:
	MOVL $const_NotHandled, AX
	LEAVE

DATA hashUpdates<>+0x00(SB)/8, $hashUpdate<>(SB)
DATA hashUpdates<>+0x08(SB)/8, $percpuUpdate<>(SB)
DATA hashUpdates<>+0x10(SB)/8, $hashDelete<>(SB)
GLOBL hashUpdates<>(SB), RODATA, $0x18

// func hashUpdateEntry(i int) uintptr
TEXT ·hashUpdateEntry(SB), NOSPLIT, $0-16
	MOVQ i+0(FP), AX
	LEAQ hashUpdates<>(SB), CX
	MOVQ (CX)(AX*8), AX
	MOVQ AX, ret+8(FP)
	RET
