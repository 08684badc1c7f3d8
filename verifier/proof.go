package verifier

// A Proof is what is known of a program that was accepted, joined over all paths that
// lead to an instruction. Engines may rely on it.
type Proof struct {
	Insns []InsnProof // by slot
	Funcs []FuncProof // by index in the program's Funcs
	Stats Stats
}

// FuncProof is what is known of a function.
type FuncProof struct {
	Reached bool
	Stack   int // bytes of its frame that are used, from r10 down
	// Unread says of each 8 bytes of its frame, bit 0 of those below r10, that no path reads
	// them before it has written them all; but for helpers that read at an address which is a number
	// to the verifier, as bpf_probe_read does.
	Unread uint64
}

// InsnProof is what is known of an instruction.
type InsnProof struct {
	Seen bool // some path leads here; if none does, the instruction is dead

	// Of a conditional jump: whether it is ever taken, and whether the instruction
	// behind it ever follows. If only one is true, the jump is constant.
	Taken, Falls bool

	// Of an access to memory, by an instruction or by an argument of a call.
	Access Access

	// Of a call: the index in the program's Maps of its map argument if that is the same
	// on all paths, else -1.
	Map int16

	// Of a lookup in an array: the key, if it is the same constant on all paths, so that
	// the result is not null.
	Key      uint32
	KeyKnown bool
}

// Memory is a kind of memory.
type Memory uint8

// The kinds of memory.
const (
	MemNone      Memory = iota
	MemStack            // the frame of the function, or of one that called it
	MemCtx              // the context, or a struct that is converted like one
	MemMapValue         // value of a map
	MemMapKey           // key of a map, in a callback
	MemPacket           // packet or its metadata
	MemSized            // memory of a known size: ring-buffer record, dynptr slice, argument of a global function
	MemSocket           // socket
	MemBTF              // kernel structure; may fault
	MemArena            // arena
	MemFlowKeys         // struct bpf_flow_keys
	MemBuffer           // tracepoint buffer, iterator buffer
	MemUntrusted        // any address; may fault
	MemMixed            // not the same on all paths
)

// Access is what is known of the memory that an instruction accesses.
type Access struct {
	Memory Memory
	// Proved says that each byte lies in memory of that kind that the program was given
	// and may access so, on every path. If not, the access is checked when it is made.
	Proved bool
	// Off is the offset from the start of the memory (from r10 of the frame, for the
	// stack), if Const.
	Off   int32
	Const bool
	Frame int8  // MemStack: how many frames up, 0 is the function's own; -1 if it differs
	Map   int16 // MemMapValue: index in the program's Maps; -1 if it is not of one of them, or differs
}

// Stats are figures of a verification, as in the last line of Linux's log.
type Stats struct {
	Processed   int // instructions explored, over all paths
	MaxStates   int // most states kept at one instruction
	TotalStates int
	PeakStates  int
	StackDepth  []int // bytes, by function
	Micros      int64 // time in microseconds
}
