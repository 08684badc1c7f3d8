#include "go_asm.h"
#include "textflag.h"
#include "hash_amd64.h"

// Hash lookups. For all of them:
//
//	in       DI map header, SI key, R8 CPU (per-CPU maps only)
//	out      AX address of the value, 0 if the key is not there, or NotHandled
//	changes  AX, CX, DX, SI, DI, R8, R10, R11, X0, flags
//
// R11 is what references count from, SI the bucket, AX its head and lock as they were
// when the walk began, DX the element, R8 the steps that are left. The protocol is that
// of maps/hash.go: a hit is believed if the element's Seq was even before and is the same
// after the keys were compared, a miss if head and lock are still what they were.

// KEY4 and KEY8 load the key, KEY16 the first half of it, and set AX to the hash.
#define KEY4 \
	MOVL (SI), R10; \
	MOVQ const_hdrSeed0(DI), AX; \
	HASH1(R10)

#define KEY8 \
	MOVQ (SI), R10; \
	MOVQ const_hdrSeed0(DI), AX; \
	HASH1(R10)

#define KEY16 \
	KEY8; \
	MOVQ 8(SI), CX; \
	HASH1(CX)

// MATCH8 goes to differ if the element DX has not the key R10.
#define MATCH8 \
	CMPQ const_elemKey(DX), R10; \
	JNE  differ

// MATCH16 goes to differ if the element DX has not the key R10, DI.
#define MATCH16 \
	CMPQ const_elemKey(DX), R10; \
	JNE  differ; \
	CMPQ const_elemKey+8(DX), DI; \
	JNE  differ

// THISCPU keeps the distance of the CPU's values in X0. If there is no such CPU, the
// result is that of a miss.
#define THISCPU \
	MOVL const_hdrNumCPU(DI), CX; \
	CMPQ R8, CX; \
	JAE  none; \
	IMULQ const_hdrCPUStride(DI), R8; \
	MOVQ R8, X0

// SEARCH walks the chain of bucket SI and falls through with the element in DX.
#define SEARCH(match) \
	MOVL $const_maxSteps, R8; \
again: \
	MOVQ (SI), AX; \
	MOVL AX, CX; \
	TESTL CX, CX; \
	JEQ  end; \
walk: \
	LEAQ (R11)(CX*8), DX; \
	MOVL const_elemSeq(DX), CX; \
	match; \
	TESTL $1, CX; \
	JNE  retry; \
	CMPL const_elemSeq(DX), CX; \
	JEQ  found; \
retry: \
	DECL R8; \
	JNE  again; \
	MOVL $const_NotHandled, AX; \
	RET; \
differ: \
	MOVL (DX), CX; \
	DECL R8; \
	JEQ  retried; \
	TESTL CX, CX; \
	JNE  walk; \
end: \
	CMPQ AX, (SI); \
	JNE  retry; \
none: \
	XORL AX, AX; \
	RET; \
retried: \
	MOVL $const_NotHandled, AX; \
	RET; \
found:

// USED marks the element as looked up since the LRU hand passed. It writes only if
// that is new, so that CPUs share the line.
#define USED \
	CMPL const_elemUsed(DX), $0; \
	JNE  used; \
	MOVL $1, const_elemUsed(DX); \
used:

// VALUE returns the value at off in the element, COPY the CPU's copy, whose address for
// CPU 0 is there.
#define VALUE(off) \
	LEAQ off(DX), AX; \
	RET

#define COPY(off) \
	MOVQ X0, AX; \
	ADDQ off(DX), AX; \
	RET

TEXT hashLookup4<>(SB), NOSPLIT|NOFRAME, $0-0
	KEY4
	BUCKET(SI)
	SEARCH(MATCH8)
	VALUE(const_elemValue8)

TEXT hashLookup8<>(SB), NOSPLIT|NOFRAME, $0-0
	KEY8
	BUCKET(SI)
	SEARCH(MATCH8)
	VALUE(const_elemValue8)

TEXT hashLookup16<>(SB), NOSPLIT|NOFRAME, $0-0
	KEY16
	BUCKET(SI)
	MOVQ CX, DI
	SEARCH(MATCH16)
	VALUE(const_elemValue16)

TEXT lruLookup4<>(SB), NOSPLIT|NOFRAME, $0-0
	KEY4
	BUCKET(SI)
	SEARCH(MATCH8)
	USED
	VALUE(const_elemValue8)

TEXT lruLookup8<>(SB), NOSPLIT|NOFRAME, $0-0
	KEY8
	BUCKET(SI)
	SEARCH(MATCH8)
	USED
	VALUE(const_elemValue8)

TEXT lruLookup16<>(SB), NOSPLIT|NOFRAME, $0-0
	KEY16
	BUCKET(SI)
	MOVQ CX, DI
	SEARCH(MATCH16)
	USED
	VALUE(const_elemValue16)

TEXT percpuLookup4<>(SB), NOSPLIT|NOFRAME, $0-0
	THISCPU
	KEY4
	BUCKET(SI)
	SEARCH(MATCH8)
	COPY(const_elemValue8)

TEXT percpuLookup8<>(SB), NOSPLIT|NOFRAME, $0-0
	THISCPU
	KEY8
	BUCKET(SI)
	SEARCH(MATCH8)
	COPY(const_elemValue8)

TEXT percpuLookup16<>(SB), NOSPLIT|NOFRAME, $0-0
	THISCPU
	KEY16
	BUCKET(SI)
	MOVQ CX, DI
	SEARCH(MATCH16)
	COPY(const_elemValue16)

TEXT lruPercpuLookup4<>(SB), NOSPLIT|NOFRAME, $0-0
	THISCPU
	KEY4
	BUCKET(SI)
	SEARCH(MATCH8)
	USED
	COPY(const_elemValue8)

TEXT lruPercpuLookup8<>(SB), NOSPLIT|NOFRAME, $0-0
	THISCPU
	KEY8
	BUCKET(SI)
	SEARCH(MATCH8)
	USED
	COPY(const_elemValue8)

TEXT lruPercpuLookup16<>(SB), NOSPLIT|NOFRAME, $0-0
	THISCPU
	KEY16
	BUCKET(SI)
	MOVQ CX, DI
	SEARCH(MATCH16)
	USED
	COPY(const_elemValue16)

// Lookups of keys of any size. BX is the offset of the key's last word, R10 that word,
// SI the key, R9 the bucket.

// ANYKEY is the way in: hash and bucket.
#define ANYKEY \
	PUSHQ BX; \
	PUSHQ R9; \
	PUSHQ R12; \
	PUSHQ R13; \
	LASTWORD; \
	HASHKEY; \
	BUCKET(R9)

// ANYSEARCH is SEARCH for them. It ends with DX 0 if there is no such element, and at
// out with NotHandled in AX.
#define ANYSEARCH \
	MOVL $const_maxSteps, R8; \
again: \
	MOVQ (R9), AX; \
	MOVL AX, CX; \
	TESTL CX, CX; \
	JEQ  end; \
walk: \
	LEAQ (R11)(CX*8), DX; \
	MOVL const_elemSeq(DX), CX; \
	CMPQ const_elemKey(DX)(BX*1), R10; \
	JNE  differ; \
	MOVL BX, R12; \
comparing: \
	SUBL $8, R12; \
	JCS  same; \
	MOVQ (SI)(R12*1), R13; \
	CMPQ const_elemKey(DX)(R12*1), R13; \
	JEQ  comparing; \
differ: \
	MOVL (DX), CX; \
	DECL R8; \
	JEQ  retried; \
	TESTL CX, CX; \
	JNE  walk; \
end: \
	XORL DX, DX; \
	CMPQ AX, (R9); \
	JEQ  found; \
retry: \
	DECL R8; \
	JNE  again; \
retried: \
	MOVL $const_NotHandled, AX; \
	JMP  out; \
same: \
	TESTL $1, CX; \
	JNE  retry; \
	CMPL const_elemSeq(DX), CX; \
	JNE  retry; \
found: \
	XORL AX, AX; \
	TESTQ DX, DX; \
	JEQ  out

// ANYVALUE and ANYCOPY return what VALUE and COPY do.
#define ANYVALUE \
	MOVL const_hdrValueOff(DI), AX; \
	ADDQ DX, AX

#define ANYCOPY \
	MOVL const_hdrValueOff(DI), CX; \
	MOVQ X0, AX; \
	ADDQ (DX)(CX*1), AX

#define ANYOUT \
out: \
	POPQ R13; \
	POPQ R12; \
	POPQ R9; \
	POPQ BX; \
	RET

#define ANYNONE \
none: \
	XORL AX, AX; \
	RET

TEXT hashLookup<>(SB), NOSPLIT|NOFRAME, $0-0
	ANYKEY
	ANYSEARCH
	ANYVALUE
	ANYOUT

TEXT lruLookup<>(SB), NOSPLIT|NOFRAME, $0-0
	ANYKEY
	ANYSEARCH
	USED
	ANYVALUE
	ANYOUT

TEXT percpuLookup<>(SB), NOSPLIT|NOFRAME, $0-0
	THISCPU
	ANYKEY
	ANYSEARCH
	ANYCOPY
	ANYOUT
	ANYNONE

TEXT lruPercpuLookup<>(SB), NOSPLIT|NOFRAME, $0-0
	THISCPU
	ANYKEY
	ANYSEARCH
	USED
	ANYCOPY
	ANYOUT
	ANYNONE

// hashLookups is by kind of map and size of key; see hashLookupEntry.
DATA hashLookups<>+0x00(SB)/8, $hashLookup<>(SB)
DATA hashLookups<>+0x08(SB)/8, $hashLookup4<>(SB)
DATA hashLookups<>+0x10(SB)/8, $hashLookup8<>(SB)
DATA hashLookups<>+0x18(SB)/8, $hashLookup16<>(SB)
DATA hashLookups<>+0x20(SB)/8, $lruLookup<>(SB)
DATA hashLookups<>+0x28(SB)/8, $lruLookup4<>(SB)
DATA hashLookups<>+0x30(SB)/8, $lruLookup8<>(SB)
DATA hashLookups<>+0x38(SB)/8, $lruLookup16<>(SB)
DATA hashLookups<>+0x40(SB)/8, $percpuLookup<>(SB)
DATA hashLookups<>+0x48(SB)/8, $percpuLookup4<>(SB)
DATA hashLookups<>+0x50(SB)/8, $percpuLookup8<>(SB)
DATA hashLookups<>+0x58(SB)/8, $percpuLookup16<>(SB)
DATA hashLookups<>+0x60(SB)/8, $lruPercpuLookup<>(SB)
DATA hashLookups<>+0x68(SB)/8, $lruPercpuLookup4<>(SB)
DATA hashLookups<>+0x70(SB)/8, $lruPercpuLookup8<>(SB)
DATA hashLookups<>+0x78(SB)/8, $lruPercpuLookup16<>(SB)
GLOBL hashLookups<>(SB), RODATA, $0x80

// func hashLookupEntry(i int) uintptr
TEXT ·hashLookupEntry(SB), NOSPLIT, $0-16
	MOVQ i+0(FP), AX
	LEAQ hashLookups<>(SB), CX
	MOVQ (CX)(AX*8), AX
	MOVQ AX, ret+8(FP)
	RET
