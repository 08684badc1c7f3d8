// What leaves for hashes have in common. Layouts: maps/hash.go.

// HASH1 folds a word into the state AX, which begins as Seed0; after the last word the
// lower half of AX is the hash. DI is the map's header. Changes DX.
#define HASH1(word) \
	XORQ word, AX; \
	MULQ const_hdrSeed1(DI); \
	XORQ DX, AX

// BUCKET sets reg to the address of the bucket for the hash in AX, and R11 to what
// references count from.
#define BUCKET(reg) \
	MOVQ const_hdrBase(DI), R11; \
	ANDL const_hdrMask(DI), AX; \
	MOVQ const_hdrBuckets(DI), reg; \
	LEAQ (reg)(AX*8), reg

// LASTWORD sets R10 to the last word of the key at SI, padded with zeros, and BX to its
// offset. Nothing outside the key is read: if the key has more than 8 bytes, the word is
// cut out of its last 8, and otherwise put together of pieces that may overlap.
// Changes AX, CX, DX.
#define LASTWORD \
	MOVL const_hdrKeySize(DI), CX; \
	LEAL -1(CX), BX; \
	ANDL $~7, BX; \
	CMPL CX, $8; \
	JB   short; \
	MOVQ -8(SI)(CX*1), R10; \
	NEGL CX; \
	ANDL $7, CX; \
	SHLL $3, CX; \
	SHRQ CX, R10; \
	JMP  whole; \
short: \
	CMPL CX, $4; \
	JB   tiny; \
	MOVL (SI), R10; \
	MOVL -4(SI)(CX*1), AX; \
	LEAL -32(CX*8), CX; \
	SHLQ CX, AX; \
	ORQ  AX, R10; \
	JMP  whole; \
tiny: \
	MOVL CX, DX; \
	SHRL $1, DX; \
	MOVBLZX (SI), R10; \
	MOVBLZX -1(SI)(CX*1), AX; \
	LEAL -8(CX*8), CX; \
	SHLL CX, AX; \
	ORL  AX, R10; \
	MOVBLZX (SI)(DX*1), AX; \
	LEAL (DX*8), CX; \
	SHLL CX, AX; \
	ORL  AX, R10; \
whole:

// HASHKEY sets AX to the hash of the key at SI, whose last word LASTWORD has prepared.
// Changes CX, DX.
#define HASHKEY \
	MOVQ const_hdrSeed0(DI), AX; \
	XORL CX, CX; \
	CMPL CX, BX; \
	JEQ  hashed; \
hashing: \
	HASH1((SI)(CX*1)); \
	ADDL $8, CX; \
	CMPL CX, BX; \
	JB   hashing; \
hashed: \
	HASH1(R10)
