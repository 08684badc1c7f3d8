#include "go_asm.h"
#include "textflag.h"

// Lookups in an LPM trie (maps/lpm.go). For all of them:
//
//	in       DI map header, SI key
//	out      AX address of the value of the longest prefix, 0 if there is none, or NotHandled
//	changes  AX, CX, DX, SI, DI, R8, R10, R11, X0, flags
//
// The way down depends on one load for each node, that of the next LPMRef, which has both
// the node and the bit to go on by; whether the node's prefix matches is found out
// beside it. A node is left for a child, or for none, before it is known to match. If the
// trie's Seq has changed at the end, a node was reused meanwhile, and the lookup starts
// over. Steps are counted, since such a walk might go round.

// START begins a try: X0 is Seq, CX the root, AX what was found.
#define START \
	MOVL const_lpmSeq(R11), CX; \
	MOVQ CX, X0; \
	XORL AX, AX; \
	MOVQ (R11), CX; \
	TESTQ CX, CX; \
	JEQ  end

// EMPTY returns at once if there is no root, as of maps that have prefixes of the other protocol only.
// It leaves the trie's header in R11.
#define EMPTY \
	MOVQ const_hdrBase(DI), R11; \
	CMPQ (R11), $0; \
	JNE  rooted; \
	XORL AX, AX; \
	RET; \
rooted:

// NODE splits the LPMRef CX: DX is the node, the lower half of CX the length of its prefix.
// It goes to end if that is longer than the key's.
#define NODE(length) \
	MOVQ CX, DX; \
	SHRQ $32, DX; \
	LEAQ (R11)(DX*8), DX; \
	CMPL CX, length; \
	JHI  end

// TAKE makes the node the longest so far, unless it has no element.
#define TAKE \
	TESTL $const_lpmIntermediate, const_nodePrefix(DX); \
	CMOVQEQ DX, AX

// FINISH is the end of a try. header is the map's.
#define FINISH(tries, header) \
end: \
	MOVQ X0, CX; \
	CMPL const_lpmSeq(R11), CX; \
	JNE  changed; \
	TESTQ AX, AX; \
	JEQ  out; \
	MOVL const_hdrValueOff(header), CX; \
	ADDQ CX, AX; \
	JMP  out; \
changed: \
	DECL tries; \
	JNE  again; \
giveup: \
	MOVL $const_NotHandled, AX

// WALK is the lookup for prefixes of less than 64 bits, which are in the upper bits of R10.
// SI is the prefix length of the key, R8 the steps left, BX the next LPMRef. Shifts count
// modulo 64: that by NOT CL is by 63 less the length of the prefix.
#define WALK \
	MOVL $const_maxLPMSteps, R8; \
again: \
	START; \
down: \
	NODE(SI); \
	MOVQ R10, R9; \
	SHLQ CX, R9; \
	SHRQ $63, R9; \
	MOVQ (DX)(R9*8), BX; \
	MOVQ const_nodeData(DX), R9; \
	XORQ R10, R9; \
	SHRQ $1, R9; \
	NOTL CX; \
	SHRQ CX, R9; \
	TESTQ R9, R9; \
	JNE  end; \
	TAKE; \
	DECL R8; \
	JEQ  giveup; \
	MOVQ BX, CX; \
	TESTQ BX, BX; \
	JNE  down; \
	FINISH(R8, DI)

// lpmLookup4 is for IPv4: 4 bytes of data.
TEXT lpmLookup4<>(SB), NOSPLIT|NOFRAME, $0-0
	EMPTY
	PUSHQ BX
	PUSHQ R9
	MOVL 4(SI), R10
	MOVL (SI), SI
	BSWAPL R10
	SHLQ $32, R10
	XORL AX, AX
	CMPL SI, $32
	JHI  out
	WALK
out:
	POPQ R9
	POPQ BX
	RET

// lpmLookupShort is for 1 to 7 bytes of data.
TEXT lpmLookupShort<>(SB), NOSPLIT|NOFRAME, $0-0
	EMPTY
	PUSHQ BX
	PUSHQ R9
	MOVL const_hdrKeySize(DI), CX
	MOVL $4, DX
	XORL R10, R10
	MOVL $64, R8
bytes:
	MOVBLZX (SI)(DX*1), AX
	SHLQ $8, R10
	ORQ  AX, R10
	SUBL $8, R8
	INCL DX
	CMPL DX, CX
	JB   bytes
	MOVL (SI), SI
	XORL AX, AX
	LEAL -32(CX*8), DX
	CMPL SI, DX
	JHI  out
	MOVL R8, CX
	SHLQ CX, R10
	WALK
out:
	POPQ R9
	POPQ BX
	RET

// lpmLookupLong is for 8 bytes of data and more. SI is the key, R12 its size, R10 the
// length of its prefix, R9 the map header, R13 the steps left. R8 is the number of a word
// of the data, DI that word of the key: those before it have matched, since nodes have the
// prefixes of those above them, and it has the bit to go on by.
TEXT lpmLookupLong<>(SB), NOSPLIT|NOFRAME, $0-0
	EMPTY
	PUSHQ BX
	PUSHQ R9
	PUSHQ R12
	PUSHQ R13
	PUSHQ R15
	MOVQ DI, R9
	MOVL (SI), R10
	MOVL const_hdrKeySize(R9), R12
	XORL AX, AX
	LEAL -32(R12*8), DX
	CMPL R10, DX
	JHI  out
	MOVL $const_maxLongSteps, R13
again:
	XORL R8, R8
	MOVQ 4(SI), DI
	BSWAPQ DI
	START
down:
	NODE(R10)
match:
	MOVL R8, R15
	SHLL $6, R15
	SUBL CX, R15 // less the bits of the prefix from the word on
	JGE  matched
	MOVQ const_nodeData(DX)(R8*8), BX
	XORQ DI, BX
	JEQ  same
	BSRQ BX, BX
	XORL $63, BX // the bit at which they differ, counted from the word's first
	ADDL R15, BX
	JLT  end // within the prefix
	JMP  matched
same:
	CMPL R15, $-64
	JLT  advance

matched:
	TAKE
	CMPL CX, R10
	JEQ  end
	MOVL CX, BX
	SHRL $6, BX
	CMPL BX, R8
	JHI  advance
	JCS  end // shorter than its parent: it was reused, and Seq tells
	MOVQ DI, BX
	SHLQ CX, BX
	SHRQ $63, BX
	MOVQ (DX)(BX*8), CX
	DECL R13
	JEQ  giveup
	TESTQ CX, CX
	JNE  down
	JMP  end

advance: // to the next word, of which the key may have a part only
	INCL R8
	LEAL 12(R8*8), BX
	CMPL BX, R12
	JHI  part
	MOVQ 4(SI)(R8*8), DI
	BSWAPQ DI
	JMP  match
part:
	MOVQ -8(SI)(R12*1), DI
	BSWAPQ DI
	MOVL CX, BX
	MOVL R12, CX
	NEGL CX
	ADDL $4, CX
	ANDL $7, CX
	SHLL $3, CX
	SHLQ CX, DI
	MOVL BX, CX
	JMP  match

	FINISH(R13, R9)
out:
	POPQ R15
	POPQ R13
	POPQ R12
	POPQ R9
	POPQ BX
	RET

DATA lpmLookups<>+0x00(SB)/8, $lpmLookup4<>(SB)
DATA lpmLookups<>+0x08(SB)/8, $lpmLookupShort<>(SB)
DATA lpmLookups<>+0x10(SB)/8, $lpmLookupLong<>(SB)
GLOBL lpmLookups<>(SB), RODATA, $0x18

// func lpmLookupEntry(i int) uintptr
TEXT ·lpmLookupEntry(SB), NOSPLIT, $0-16
	MOVQ i+0(FP), AX
	LEAQ lpmLookups<>(SB), CX
	MOVQ (CX)(AX*8), AX
	MOVQ AX, ret+8(FP)
	RET
