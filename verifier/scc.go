package verifier

// A state that leads back into a loop is good only if the loop is, whose other turns have not
// been walked yet. Which loop a state is in is told by the outermost call that is in one
// (compute_scc_callchain).

// sccKey is a loop, and the calls that lead to it.
type sccKey struct {
	sites [8]int32
	scc   int32
}

// sccVisit is a walk through a loop.
type sccVisit struct {
	entry     *state   // the first state kept in it, nil if the walk is over
	backedges []*state // copies of states that lead back into it
}

// loopOf returns the loop that a kept state is in.
func (v *verifier) loopOf(s *state) (key sccKey, ok bool) {
	for i := range s.frames {
		slot := s.frameInsn(i)
		if scc := v.insns[slot].scc; scc != 0 {
			key.scc = scc
			return key, true
		}
		key.sites[i] = int32(slot) + 1
	}
	return key, false
}

// enterLoop notes that s is kept, maybe as the first one in a loop.
func (v *verifier) enterLoop(s *state) {
	if v.sccs == 0 {
		return
	}
	key, ok := v.loopOf(s)
	if !ok {
		return
	}
	visit := v.visits[key]
	if visit == nil {
		visit = &sccVisit{}
		v.visits[key] = visit
	}
	if visit.entry == nil {
		visit.entry = s
	}
	s.visit = visit
}

// exitLoop is called when all ways out of s have been walked. If a loop was entered with it, what
// matters at its head is told to the paths that lead back there.
func (v *verifier) exitLoop(s *state) error {
	visit := s.visit
	if visit == nil || visit.entry != s {
		return nil
	}
	visit.entry = nil
	return v.propagateBackedges(visit)
}

// maxBackedgeRounds is how often marks go around a loop before all numbers are marked.
const maxBackedgeRounds = 64

func (v *verifier) propagateBackedges(visit *sccVisit) error {
	for round := 0; ; round++ {
		if round > maxBackedgeRounds {
			for _, b := range visit.backedges {
				v.markAllPrecise(b)
			}
			break
		}
		changed := false
		for _, b := range visit.backedges {
			c, err := v.propagatePrecision(b.equal, b)
			if err != nil {
				return err
			}
			changed = changed || c
		}
		if !changed {
			break
		}
	}
	for _, b := range visit.backedges {
		v.freeState(b)
	}
	visit.backedges = nil
	return nil
}

func (v *verifier) addBackedge(at, b *state) {
	if at.visit == nil {
		v.freeState(b)
		return
	}
	at.visit.backedges = append(at.visit.backedges, b)
}

// incomplete reports whether paths out of s lead back into a loop that is still being walked.
func (s *state) incomplete() bool { return s.visit != nil && len(s.visit.backedges) > 0 }

// iterDepthsDiffer reports whether an iterator that is still giving elements has given a different
// number of them in the two states.
func iterDepthsDiffer(old, cur *state) bool {
	for i, f := range old.frames {
		g := cur.frames[i]
		for n := range f.slots {
			s := &f.slots[n]
			if s.bytes[0] != byteIter || s.reg.frame != iterActive || n >= len(g.slots) {
				continue
			}
			if g.slots[n].reg.size != s.reg.size {
				return true
			}
		}
	}
	return false
}
