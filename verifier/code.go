package verifier

// Code is a stable name for a reason to refuse a program. Codes do not change between
// releases; their texts may.
type Code string

// The codes, by what they are about.
const (
	// Structure.
	CodeEncoding      Code = "encoding"       // bytes that are no instruction: the second half of ld_imm64, its src
	CodeOpcode        Code = "opcode"         // no such opcode
	CodeReserved      Code = "reserved"       // a field that must be zero is not, or no such register
	CodeEmpty         Code = "size"           // no instructions, or more than a program may have
	CodeUnreachable   Code = "unreachable"    // instruction that nothing leads to
	CodeFallthrough   Code = "fall-through"   // a function that does not end in exit or goto
	CodeJumpRange     Code = "jump-range"     // jump out of its function
	CodeJumpMiddle    Code = "jump-middle"    // jump into the second half of ld_imm64
	CodeCallTarget    Code = "call-target"    // call of what is no function of the program
	CodeBackEdge      Code = "back-edge"      // a loop, which needs CAP_BPF
	CodeLdImm64       Code = "ld-imm64"       // 64-bit immediate that stands for nothing
	CodeBTF           Code = "btf"            // func_info, line_info or types are missing or wrong
	CodeCallDepth     Code = "call-depth"     // more than 8 frames
	CodeStackDepth    Code = "stack-depth"    // more than 512 bytes of stack together
	CodeTooComplex    Code = "too-complex"    // more than a million instructions explored
	CodeTooManyJumps  Code = "too-many-jumps" // more than 8192 branches to come back to
	CodeInfiniteLoop  Code = "infinite-loop"  // the same state again at the same place
	CodeTooMany       Code = "too-many"       // maps, functions, kernel functions beyond the limit
	CodeUnsupported   Code = "unsupported"    // what this kernel, or this sandbox, has not
	CodeAttach        Code = "attach"         // attach type or target that is not there
	CodePrivilege     Code = "privilege"      // needs a capability that the loader has not
	CodeLicense       Code = "license"        // needs a GPL-compatible licence
	CodeInternalError Code = "internal"       // the verifier itself is at fault

	// Scalars and arithmetic.
	CodeUninitialized Code = "uninitialized"  // register that nothing was written to
	CodeFramePointer  Code = "frame-pointer"  // write to r10
	CodeDivZero       Code = "div-zero"       // division by the immediate 0
	CodeShift         Code = "shift"          // shift by more bits than there are
	CodePtrArith      Code = "ptr-arith"      // operation that pointers of this kind do not take
	CodePtrBounds     Code = "ptr-bounds"     // pointer arithmetic that leaves all bounds
	CodePtrUnbounded  Code = "ptr-unbounded"  // pointer arithmetic with an unbounded number
	CodePtrNull       Code = "ptr-null-arith" // arithmetic on a pointer that may be null
	CodePtrLeak       Code = "ptr-leak"       // a kernel address becomes visible
	CodePtrCompare    Code = "ptr-compare"    // comparison that tells a kernel address
	CodeInvariant     Code = "invariant"      // contradiction, where the flags ask to report it

	// Memory.
	CodeScalarDeref  Code = "scalar-deref"  // a number used as a pointer
	CodeNullDeref    Code = "null-deref"    // pointer that may be null
	CodeBadDeref     Code = "bad-deref"     // pointer of a kind that is not dereferenced
	CodeMapBounds    Code = "map-bounds"    // outside of a map's value or key
	CodeMemBounds    Code = "mem-bounds"    // outside of other memory of known size
	CodePacketBounds Code = "packet-bounds" // packet bytes that were not compared with data_end
	CodePacketAccess Code = "packet-access" // packets are not for this program type or helper
	CodeStackBounds  Code = "stack-bounds"  // outside of the frame
	CodeStackUninit  Code = "stack-uninit"  // stack bytes that were never written, or must not be read
	CodeStackSpill   Code = "stack-spill"   // a spilled pointer read or overwritten in part
	CodeStackVarOff  Code = "stack-var-off" // variable stack offset where it must be constant
	CodeStackEscape  Code = "stack-escape"  // pointer to a frame that outlives it
	CodeMisaligned   Code = "misaligned"    // access that is not aligned
	CodeCtxAccess    Code = "ctx-access"    // field that the context has not, or not so
	CodeCtxModified  Code = "ctx-modified"  // context pointer that was moved
	CodeSockAccess   Code = "sock-access"   // field that the socket has not
	CodeBTFAccess    Code = "btf-access"    // kernel structure: outside, or not to be written
	CodeReadOnly     Code = "read-only"     // write to memory that is read-only, or read of write-only
	CodeVarOff       Code = "var-off"       // variable offset where it must be constant
	CodeSameInsn     Code = "same-insn"     // one instruction, pointers that need different code
	CodeAtomic       Code = "atomic"        // atomic operation there or of this size
	CodeSpecialField Code = "special-field" // lock, timer, kptr and the like, accessed as bytes
	CodeArena        Code = "arena"         // arena not there, or not for this

	// Calls.
	CodeHelperUnknown Code = "helper-unknown" // no such helper
	CodeHelperDenied  Code = "helper-denied"  // not for this program type
	CodeKfunc         Code = "kfunc"          // kernel function that is not there, or not for this program
	CodeArgType       Code = "arg-type"       // argument of the wrong kind
	CodeArgNull       Code = "arg-null"       // argument that may be null
	CodeArgTrust      Code = "arg-trust"      // pointer that is not trusted or not referenced
	CodeArgOffset     Code = "arg-offset"     // pointer that must be at its start
	CodeArgConst      Code = "arg-const"      // argument that must be a constant
	CodeArgSize       Code = "arg-size"       // size that may be zero, negative or unbounded
	CodeMapHelper     Code = "map-helper"     // helper that does not go with this type of map
	CodeMapProgram    Code = "map-program"    // map that does not go with this program
	CodeSleep         Code = "sleep"          // may sleep where it must not
	CodeCallback      Code = "callback"       // function that is no callback
	CodeReturn        Code = "return"         // return value outside of what is allowed
	CodeGlobalArg     Code = "global-arg"     // argument that a global function does not take
	CodeDynptr        Code = "dynptr"         // dynptr in a wrong state
	CodeIterator      Code = "iterator"       // iterator in a wrong state
	CodeTailCall      Code = "tail-call"      // tail call there
	CodeException     Code = "exception"      // bpf_throw there

	// Resources.
	CodeReference Code = "reference" // reference that is not given back, or not held
	CodeLock      Code = "lock"      // spin lock not held, held twice, or at the wrong time
	CodeRCU       Code = "rcu"       // RCU read section
	CodePreempt   Code = "preempt"   // preempt-disabled section
	CodeIRQ       Code = "irq"       // IRQ-disabled section
)
