package verifier

// A state is kept at some instructions, and a path that comes to one with a state that a kept
// one includes needs not be walked again: nothing can go wrong on it that has not been seen to
// go right. What a kept state has to have in common is decided by liveness, and by the marks
// of precision that the paths behind it have left in it.

// explored is a kept state and how useful it was.
type explored struct {
	state   *state // nil if it was given back
	top     *frame // its current frame
	next    *explored
	insn    int32
	miss    int32
	hit     int32
	evicted bool // it is in no list any more
	apart   int8 // what was not alike when it was compared last: a register, or apartSlot and a slot's index
}

const apartSlot = 16

// exactness says how alike two states must be.
type exactness uint8

const (
	// includes: the old state, as far as it matters, includes the new one.
	includes exactness = iota
	// exact: both are the same but for the names of identities.
	exact
	// within: as includes, whatever matters; for states whose continuations have not all
	// been seen.
	within
)

// bucket is where states of an instruction are kept: by the call they are in, too.
func (v *verifier) bucket(slot int) **explored {
	site := int(v.cur.cur().callsite)
	n := len(v.insns)
	i := slot ^ max(site, 0)
	return &v.heads[i%n]
}

// visited is is_state_visited: it reports whether the current state needs no walk, and keeps it
// if it does and that is useful.
func (v *verifier) visited(slot int) (bool, error) {
	if v.env.EveryPath {
		return false, nil
	}
	cur := v.cur
	mark := v.insns[slot].mark
	forced := mark&markForce != 0
	force := v.env.Flags&TestStateFreq != 0 || forced || len(cur.history) > 40
	add := force || v.jumps-v.prevJumps >= 2 && v.processed-v.prevProc >= 8
	head := v.bucket(slot)
	count := 0
	for at := head; *at != nil; {
		e := *at
		count++
		if int(e.insn) != slot {
			at = &e.next
			continue
		}
		hit, loop, err := v.compare(e, slot)
		if err != nil {
			return false, err
		}
		if hit {
			e.hit++
			return true, v.joinHit(e.state, slot, loop)
		}
		if e.state.branches > 0 && !force && v.jumps-v.prevJumps < 20 && v.processed-v.prevProc < 100 {
			add = false // a loop: states of each turn would be of no use
		}
		if add {
			e.miss++
		}
		keep := int32(3)
		if forced && e.state.branches > 0 {
			keep = 64
		}
		if e.miss > e.hit*keep+keep {
			*at = e.next
			v.evict(e)
			continue
		}
		at = &e.next
	}
	v.stats.MaxStates = max(v.stats.MaxStates, count)
	if add {
		v.keep(head, slot)
	}
	return false, nil
}

// compare says whether the current state is as good as a kept one, and if that leads back into a
// loop that is still being walked.
func (v *verifier) compare(e *explored, slot int) (hit, loop bool, err error) {
	old, cur := e.state, v.cur
	if old.branches == 0 {
		if v.stillApart(e) {
			return false, false, nil
		}
		mode := includes
		if loop = old.incomplete(); loop {
			mode = within
		} else if !old.cleaned && sameCallsites(old, cur) {
			v.cleanState(old)
		}
		return v.same(e, mode), loop, nil
	}
	if f := old.cur(); f.callback == asyncCallback && f.async != cur.cur().async {
		return false, false, nil
	}
	mark := v.insns[slot].mark
	switch {
	case mark&markIterNext != 0:
		return v.same(e, within) && v.iterActive(cur), true, nil
	case mark&markForce != 0 && mark&markCallback == 0: // may_goto
		if old.mayGotos != cur.mayGotos && v.same(e, within) {
			return true, true, nil
		}
	case mark&markCallback != 0:
		return v.same(e, within), true, nil
	}
	if maybeLooping(e, cur) && v.statesEqual(old, cur, exact) && !iterDepthsDiffer(old, cur) &&
		old.mayGotos == cur.mayGotos && old.callbacks == cur.callbacks {
		return false, false, v.fail(CodeInfiniteLoop, errnoEINVAL, "infinite loop: the same state comes again at this instruction")
	}
	return false, false, nil
}

// joinHit tells the current path's states what the state that it ended at knows to matter.
func (v *verifier) joinHit(old *state, slot int, loop bool) error {
	if v.insns[slot].mark&markJump != 0 {
		v.pushHistory(0, 0)
	}
	if _, err := v.propagatePrecision(old, v.cur); err != nil {
		return err
	}
	if loop {
		b := v.copyState(v.cur)
		b.equal, b.insn = old, int32(slot)
		v.addBackedge(old, b)
	}
	return nil
}

// keep stores the current state.
func (v *verifier) keep(head **explored, slot int) {
	v.stats.TotalStates++
	v.kept++
	v.stats.PeakStates = max(v.stats.PeakStates, v.kept+len(v.evicted)-v.freed)
	v.prevJumps, v.prevProc = v.jumps, v.processed
	cur := v.cur
	cur.eachReg(func(r *reg) { r.precise = false })
	history := cur.history
	cur.history = nil
	n := v.copyState(cur)
	n.history, cur.history = history, n.history[:0] // which belongs to the way up to here
	n.insn = int32(slot)
	v.enterLoop(n)
	cur.parent, cur.first, cur.dfsDepth = n, int32(slot), n.dfsDepth+1
	e := v.newExplored()
	e.state, e.top, e.insn, e.next = n, n.cur(), n.insn, *head
	n.kept = e
	*head = e
}

func (v *verifier) newExplored() *explored {
	if n := len(v.freeExplored); n > 0 {
		e := v.freeExplored[n-1]
		v.freeExplored = v.freeExplored[:n-1]
		*e = explored{}
		return e
	}
	return new(explored)
}

// evict forgets a kept state. Its memory is used again unless paths still lead to it.
func (v *verifier) evict(e *explored) {
	v.kept--
	e.evicted = true
	if s := e.state; s.branches > 0 || s.incomplete() {
		v.evicted = append(v.evicted, e)
		return
	}
	v.freeState(e.state)
	v.freeExplored = append(v.freeExplored, e)
}

// giveBack frees an evicted state when nothing leads to it any more.
func (v *verifier) giveBack(s *state) {
	if e := s.kept; e != nil && e.evicted && !s.incomplete() {
		e.state, e.top = nil, nil
		v.freed++
		v.freeState(s)
	}
}

// forgetStates gives all kept states back.
func (v *verifier) forgetStates() {
	for i, e := range v.heads {
		for ; e != nil; e = e.next {
			v.evicted = append(v.evicted, e)
		}
		v.heads[i] = nil
	}
	for _, e := range v.evicted {
		if e.state != nil {
			v.freeState(e.state)
		}
		v.freeExplored = append(v.freeExplored, e)
	}
	v.evicted = v.evicted[:0]
	clear(v.visits)
	v.kept, v.freed = 0, 0
}

// dropStates gives all states of a verification back.
func (v *verifier) dropStates() {
	v.forgetStates()
	for _, p := range v.pending {
		v.freeState(p.state)
	}
	v.pending = v.pending[:0]
	if v.cur != nil {
		v.freeState(v.cur)
		v.cur = nil
	}
	const most = 1 << 14 // a large program's states are not kept for small ones
	if len(v.freeStates) > most {
		v.freeStates, v.freeFrames, v.freeExplored, v.evicted = nil, nil, nil, nil
	}
	for _, s := range v.freeStates {
		s.parent, s.equal = nil, nil
	}
	for _, e := range v.freeExplored {
		e.state, e.top, e.next = nil, nil, nil
	}
}

// finished is update_branch_counts: one way out of the current state has been walked to its end.
func (v *verifier) finished(s *state) error {
	for s != nil {
		s.branches--
		if s.branches > 0 {
			return nil
		}
		if err := v.exitLoop(s); err != nil {
			return err
		}
		parent := s.parent
		v.giveBack(s)
		s = parent
	}
	return nil
}

// cleanState drops from a finished state what is not live.
func (v *verifier) cleanState(s *state) {
	s.cleaned = true
	for i, f := range s.frames {
		in := &v.insns[s.frameInsn(i)]
		for r := range f.regs[:10] {
			if in.live>>r&1 == 0 {
				f.regs[r] = reg{}
			}
		}
		for n := range f.slots {
			if in.slots>>n&1 == 0 {
				f.slots[n] = slot{}
			}
		}
	}
}

// frameInsn returns where frame i of a kept state is: at its instruction, or at a call.
func (s *state) frameInsn(i int) int {
	if i == len(s.frames)-1 {
		return int(s.insn)
	}
	return int(s.frames[i+1].callsite)
}

func sameCallsites(a, b *state) bool {
	if len(a.frames) != len(b.frames) {
		return false
	}
	for i := range a.frames {
		if a.frames[i].callsite != b.frames[i].callsite {
			return false
		}
	}
	return true
}

// maybeLooping is a quick test of the current frame's registers: all the same. The one that was
// not the last time comes first.
func maybeLooping(e *explored, cur *state) bool {
	old := e.state
	if len(old.frames) != len(cur.frames) {
		return false
	}
	a, b := e.top, cur.cur()
	if r := e.apart; r < apartSlot && !sameBits(&a.regs[r], &b.regs[r]) {
		return false
	}
	for i := range a.regs[:10] {
		if !sameBits(&a.regs[i], &b.regs[i]) {
			e.apart = int8(i)
			return false
		}
	}
	return true
}

// sameBits reports whether two registers are the same, precision aside.
func sameBits(x, y *reg) bool {
	if x.U64 != y.U64 || x.kind != y.kind || x.Scalar != y.Scalar { // what differs most comes first
		return false
	}
	z := *x
	z.precise = y.precise
	return z == *y
}

// stillApart reports whether the current state differs from a kept one in what it did the last
// time, by the laxest rule. Without any identities mapped yet, that can only be more alike than
// with them.
func (v *verifier) stillApart(e *explored) bool {
	old, cur := e.state, v.cur
	if len(old.frames) != len(cur.frames) {
		return true
	}
	in, a, b := &v.insns[e.insn], e.top, cur.cur()
	v.idMap.reset(v.ids)
	if r := e.apart; r < apartSlot {
		return in.live>>r&1 != 0 && !v.regSafe(&a.regs[r], &b.regs[r], includes)
	}
	i := int(e.apart - apartSlot)
	return i < len(a.slots) && in.slots>>i&1 != 0 && !v.slotOf(a, b, i, includes)
}

// same is statesEqual with a kept state.
func (v *verifier) same(e *explored, mode exactness) bool {
	v.apart = -1
	equal := v.statesEqual(e.state, v.cur, mode)
	if !equal && v.apart >= 0 {
		e.apart = v.apart
	}
	return equal
}

// statesEqual is states_equal: every frame of cur is included in the same one of old.
func (v *verifier) statesEqual(old, cur *state, mode exactness) bool {
	if len(old.frames) != len(cur.frames) || old.spec && !cur.spec || old.sleeps != cur.sleeps {
		return false
	}
	v.idMap.reset(v.ids)
	if !v.refsEqual(old, cur) {
		return false
	}
	for i := len(old.frames) - 1; i >= 0; i-- {
		a, b := old.frames[i], cur.frames[i]
		if a.callsite != b.callsite || a.callbackDepth > b.callbackDepth {
			return false
		}
		in := &v.insns[v.siteOf(old, cur, i)]
		for live, r := in.live&0x3ff, 0; live != 0; live, r = live>>1, r+1 {
			if live&1 != 0 && !v.regSafe(&a.regs[r], &b.regs[r], mode) {
				if i == len(old.frames)-1 {
					v.apart = int8(r)
				}
				return false
			}
		}
	}
	for i := len(old.frames) - 1; i >= 0; i-- {
		live := v.insns[v.siteOf(old, cur, i)].slots
		if mode != includes { // as Linux has it; without CAP_PERFMON what is dead may spoil a store
			live = allSlots
		}
		if n := v.stackApart(old.frames[i], cur.frames[i], live, mode); n >= 0 {
			if i == len(old.frames)-1 {
				v.apart = int8(apartSlot + n)
			}
			return false
		}
	}
	return true
}

func (v *verifier) siteOf(old, cur *state, i int) int {
	if i == len(cur.frames)-1 {
		return int(old.insn)
	}
	return int(cur.frames[i+1].callsite)
}

// regSafe is regsafe: whether a path that is fine with old in a register is with cur.
func (v *verifier) regSafe(old, cur *reg, mode exactness) bool {
	if mode == exact {
		return v.regExact(old, cur)
	}
	if old.kind == notInit {
		return mode == includes || cur.kind == notInit
	}
	if old.kind != cur.kind || old.flags != cur.flags {
		return false
	}
	switch old.kind {
	case scalar:
		if v.limitsMatter {
			return old.Scalar == cur.Scalar && old.link == cur.link && old.off == cur.off && v.idMap.sameScalar(old.id, cur.id)
		}
		if !old.precise && mode == includes {
			return true
		}
		return v.scalarSafe(old, cur)
	case ptrMapValue, ptrMapKey, ptrMem, ptrBuf, ptrTPBuffer:
		return old.off == cur.off && old.m == cur.m && old.size == cur.size && old.aux == cur.aux && old.dynptr == cur.dynptr && old.frame == cur.frame &&
			old.Includes(&cur.Scalar) && v.idMap.same(old.id, cur.id) && v.idMap.same(old.ref, cur.ref)
	case ptrPacket, ptrPacketMeta:
		return rangeSafe(old.size, cur.size) && old.off == cur.off && old.aux == cur.aux && v.idMap.same(old.id, cur.id) && old.Includes(&cur.Scalar)
	case ptrStack:
		return v.regExact(old, cur) && old.frame == cur.frame
	case ptrArena:
		return true
	}
	return v.regExact(old, cur)
}

// rangeSafe reports whether as many bytes of the packet may be accessed as before. What lies at or beyond
// the end is like itself only: comparisons with the end are decided by that.
func rangeSafe(old, cur int32) bool { return old == cur || 0 <= old && old <= cur }

func (v *verifier) scalarSafe(old, cur *reg) bool {
	if old.id != 0 {
		if old.link != cur.link || old.link != 0 && old.off != cur.off {
			return false
		}
		if !v.idMap.sameScalar(old.id, cur.id) {
			return false
		}
	}
	return old.Includes(&cur.Scalar)
}

// regExact reports whether two registers are the same but for names and precision.
func (v *verifier) regExact(old, cur *reg) bool {
	if old.kind != cur.kind || old.link != cur.link || old.flags != cur.flags || old.frame != cur.frame || old.m != cur.m ||
		old.off != cur.off || old.size != cur.size || old.aux != cur.aux || old.dynptr != cur.dynptr || old.Scalar != cur.Scalar {
		return false
	}
	return v.idMap.same(old.id, cur.id) && v.idMap.same(old.ref, cur.ref)
}

// stackApart is stacksafe for the live slots of a frame. It returns the first that is not alike,
// -1 if there is none.
func (v *verifier) stackApart(old, cur *frame, live uint64, mode exactness) int {
	for i := range old.slots {
		if live>>i&1 != 0 && !v.slotOf(old, cur, i, mode) {
			return i
		}
	}
	return -1
}

// slotOf compares a slot of two frames.
func (v *verifier) slotOf(old, cur *frame, i int, mode exactness) bool {
	if i < len(cur.slots) {
		return v.slotSafe(&old.slots[i], &cur.slots[i], true, mode)
	}
	return v.slotSafe(&old.slots[i], &emptySlot, false, mode)
}

var emptySlot slot

// slotSafe compares two slots; has says that the current frame has come down to it.
func (v *verifier) slotSafe(old, cur *slot, has bool, mode exactness) bool {
	if mode != includes {
		if !has && old.bytes != allInvalid || old.bytes != cur.bytes {
			return false
		}
	}
	if old.bytes == allInvalid {
		return true
	}
	if x, ok := v.scalarLike(old, mode); ok {
		if y, ok := v.scalarLike(cur, mode); ok && has {
			return v.regSafe(x, y, mode)
		}
	}
	for i := 7; i >= 0; i-- { // from the highest address down
		a, b := old.bytes[i], cur.bytes[i]
		switch {
		case a == byteInvalid, a == byteMisc && v.leaks:
			continue
		case !has:
			return false
		case a == byteMisc && b == byteZero:
			continue
		case a != b:
			return false
		case i > 0:
			continue
		}
		return v.slotRegSafe(old, cur, a, mode)
	}
	return true
}

// slotRegSafe compares what two slots of a kind hold.
func (v *verifier) slotRegSafe(old, cur *slot, kind slotKind, mode exactness) bool {
	a, b := &old.reg, &cur.reg
	switch kind {
	case byteSpill:
		return v.regSafe(a, b, mode)
	case byteDynptr:
		return a.aux == b.aux && a.frame == b.frame && v.idMap.same(a.ref, b.ref)
	case byteIter: // Linux does not compare whether its RCU read section is over
		return a.aux == b.aux && a.frame == b.frame && a.flags == b.flags && v.idMap.same(a.ref, b.ref)
	case byteIRQ:
		return a.aux == b.aux && v.idMap.same(a.ref, b.ref)
	}
	return true
}

// scalarLike returns the number that a slot holds as a whole, unknown if its bytes are
// just data.
func (v *verifier) scalarLike(s *slot, mode exactness) (*reg, bool) {
	switch s.bytes {
	case allSpill:
		return &s.reg, s.reg.kind == scalar
	case allMisc:
		return &anyScalar, true
	}
	for _, b := range s.bytes {
		if b != byteMisc && !(b == byteInvalid && v.leaks) {
			return nil, false
		}
	}
	return &anyScalar, true
}

// refsEqual is refsafe.
func (v *verifier) refsEqual(old, cur *state) bool {
	if len(old.refs) != len(cur.refs) || old.locks != cur.locks || old.preempt != cur.preempt || old.rcu != cur.rcu {
		return false
	}
	if !v.idMap.same(old.irqID, cur.irqID) || !v.idMap.same(old.lockID, cur.lockID) {
		return false
	}
	for i := range old.refs {
		a, b := &old.refs[i], &cur.refs[i]
		if a.kind != b.kind || !v.idMap.same(a.id, b.id) || a.owner.m != b.owner.m || a.owner.ty != b.owner.ty ||
			a.kind != refPointer && !v.idMap.same(a.owner.id, b.owner.id) {
			return false
		}
	}
	return true
}

// idMap says which identity of the current state stands for which one of the old state.
type idMap struct {
	pairs []idPair
	fresh uint32 // names for what has none
}

type idPair struct{ old, cur uint32 }

func (m *idMap) reset(ids uint32) { m.pairs, m.fresh = m.pairs[:0], ids }

// same is check_ids.
func (m *idMap) same(old, cur uint32) bool {
	if old == 0 || cur == 0 {
		return old == cur
	}
	for i := range m.pairs {
		switch p := m.pairs[i]; {
		case p.old == old:
			return p.cur == cur
		case p.cur == cur:
			return false
		}
	}
	m.pairs = append(m.pairs, idPair{old, cur})
	return true
}

// sameScalar is check_scalar_ids, for an old number that is linked: the current one may be
// linked to nothing.
func (m *idMap) sameScalar(old, cur uint32) bool {
	if old == 0 {
		return true
	}
	if cur == 0 {
		m.fresh++
		cur = m.fresh
	}
	return m.same(old, cur)
}
