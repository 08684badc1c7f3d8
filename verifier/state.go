package verifier

// frame is a call of a function.
type frame struct {
	regs  [11]reg
	slots []slot // the first is the one at fp-8

	fn       int32 // index in verifier.funcs
	callsite int32 // the instruction of the call, -1 for where a walk starts
	async    int32 // number of the asynchronous callback that it runs, 0 if none

	// callbackDepth is how often callbacks of the call at hand have been entered.
	callbackDepth uint32
	callback      callbackKind // the frame is a callback's
	returns       Range        // of a callback
}

type callbackKind uint8

const (
	noCallback callbackKind = iota
	syncCallback
	asyncCallback
)

// refKind says what a reference of a state stands for.
type refKind uint8

const (
	refPointer refKind = iota
	refLock
	refResLock
	refResLockIRQ
	refIRQ
)

// ref is something that the program has acquired and must give back.
type ref struct {
	id   uint32
	insn int32 // where it was acquired
	kind refKind
	prev uint32 // of a resilient lock or IRQ flag: the one before it
	// Of a lock: whose it is, a map or a type of objects.
	owner lockOwner
}

// lockOwner tells locks apart: what holds it, and which one of these.
type lockOwner struct {
	m  int16  // index of the map, -1
	id uint32 // of the pointer that it was taken through
	ty uint32 // type of an allocated object
}

// hist is an instruction that the way back to the parent state has to know of.
type hist struct {
	insn, prev int32
	flags      histFlags
	links      uint64 // registers linked at a jump, linkBits each
}

// state is what is known before an instruction, on one path.
type state struct {
	// What comparing states looks at comes first, in one line of the processor's cache.
	frames   []*frame  // the last is the current one
	visit    *sccVisit // of a kept state: the walk of the loop that it is in, nil if in none
	branches int       // ways out of the state that are not explored to their end yet
	rcu      bool
	sleeps   bool // the code may sleep
	spec     bool // explored for the sake of speculative execution only
	cleaned  bool // what is not live has been dropped

	refs    []ref
	locks   int // spin locks held
	preempt int
	irqID   uint32
	lockID  uint32 // of the newest resilient lock

	parent    *state
	dfsDepth  int
	insn      int32 // where a stored state was taken
	first     int32 // instruction after the parent's, where the history starts
	last      int32 // instruction executed last
	history   []hist
	mayGotos  uint32    // may_goto that were not taken
	callbacks uint32    // depth to which callbacks have been entered again
	kept      *explored // where it is kept, nil if it is not
	equal     *state    // of a backedge of a loop: the state that it was found equal to
}

func (s *state) cur() *frame { return s.frames[len(s.frames)-1] }

// top returns the index of the current frame.
func (s *state) top() int { return len(s.frames) - 1 }

// newState returns an empty state.
func (v *verifier) newState() *state {
	s := v.takeState()
	*s = state{frames: s.frames[:0], refs: s.refs[:0], history: s.history[:0]}
	return s
}

// takeState returns a state from the pool, with whatever is left in it.
func (v *verifier) takeState() *state {
	if n := len(v.freeStates); n > 0 {
		s := v.freeStates[n-1]
		v.freeStates = v.freeStates[:n-1]
		return s
	}
	return new(state)
}

// freeState gives s, that nobody refers to, back.
func (v *verifier) freeState(s *state) {
	for _, f := range s.frames {
		v.freeFrame(f)
	}
	s.frames = s.frames[:0]
	s.parent, s.equal, s.visit, s.kept = nil, nil, nil, nil
	v.freeStates = append(v.freeStates, s)
}

func (v *verifier) newFrame() *frame {
	if n := len(v.freeFrames); n > 0 {
		f := v.freeFrames[n-1]
		v.freeFrames = v.freeFrames[:n-1]
		return f
	}
	return new(frame)
}

func (v *verifier) freeFrame(f *frame) { v.freeFrames = append(v.freeFrames, f) }

// enterFrame returns a frame with nothing in it, for a call of fn.
func (v *verifier) enterFrame(fn, callsite int, index int) *frame {
	f := v.newFrame()
	*f = frame{slots: f.slots[:0], fn: int32(fn), callsite: int32(callsite)}
	f.regs[10] = pointer(ptrStack, 0)
	f.regs[10].frame = uint8(index)
	return f
}

// copyState returns a copy of s.
func (v *verifier) copyState(s *state) *state {
	c := v.takeState()
	frames, refs, history := c.frames, c.refs, c.history
	*c = *s
	c.history = append(history[:0], s.history...)
	c.refs = append(refs[:0], s.refs...)
	c.frames = frames[:0]
	for _, f := range s.frames {
		n := v.newFrame()
		slots := n.slots
		*n = *f
		n.slots = append(slots[:0], f.slots...)
		c.frames = append(c.frames, n)
	}
	return c
}

// slotAt returns the slot that holds the byte at off (negative, from the frame's top), nil if
// the frame has not come so far down yet.
func (f *frame) slotAt(off int) *slot {
	i := slotIndex(off)
	if i >= len(f.slots) {
		return nil
	}
	return &f.slots[i]
}

// slotIndex returns the index of the slot that holds the byte at off, a negative number.
func slotIndex(off int) int { return (-off - 1) / 8 }

// byteIndex returns which byte of its slot is at off.
func byteIndex(off int) int { return 7 - (-off-1)%8 }

// grow makes the frame reach down to off.
func (f *frame) grow(off int) {
	n := slotIndex(off) + 1
	for len(f.slots) < n {
		if len(f.slots) < cap(f.slots) {
			f.slots = f.slots[:len(f.slots)+1]
			f.slots[len(f.slots)-1] = slot{}
			continue
		}
		f.slots = append(f.slots, slot{})
	}
}

// eachReg calls f for every register and spilled register of all frames.
func (s *state) eachReg(f func(r *reg)) {
	for _, fr := range s.frames {
		for i := range fr.regs[:10] {
			f(&fr.regs[i])
		}
		for i := range fr.slots {
			if fr.slots[i].spilled() {
				f(&fr.slots[i].reg)
			}
		}
	}
}
