package verifier

// note adds an access of the instruction at hand to what is known of it.
func (v *verifier) note(m Memory, proved bool, r *reg, off int) {
	a := Access{Memory: m, Proved: proved, Map: -1}
	if r.Tnum.IsConst() {
		a.Const, a.Off = true, int32(off)+int32(r.Tnum.Value)
	}
	if r.kind == ptrMapValue && int(r.m) < v.numMaps {
		a.Map = r.m
	}
	v.join(&a)
}

// noteStack is note for the stack.
func (v *verifier) noteStack(r *reg, off int, constant bool) {
	a := Access{Memory: MemStack, Proved: true, Map: -1, Frame: int8(v.cur.top() - int(r.frame))}
	if constant {
		a.Const, a.Off = true, int32(off)
	}
	v.join(&a)
}

// join makes what is known of an access true of one more.
func (v *verifier) join(a *Access) {
	b := &v.proof.Insns[v.insnIdx].Access
	switch {
	case b.Memory == MemNone:
		*b = *a
		return
	case *b == *a:
		return
	}
	if b.Memory != a.Memory {
		b.Memory = MemMixed
	}
	b.Proved = b.Proved && a.Proved
	if !a.Const || b.Off != a.Off {
		b.Const, b.Off = false, 0
	}
	if b.Frame != a.Frame {
		b.Frame = -1
	}
	if b.Map != a.Map {
		b.Map = -1
	}
}

// noteCall adds what is constant about a call to what is known of it.
func (v *verifier) noteCall(meta *callMeta) {
	p, x := &v.proof.Insns[v.insnIdx], &v.aux[v.insnIdx]
	m := int16(-1)
	if meta.m >= 0 && int(meta.m) < v.numMaps {
		m = meta.m
	}
	if x.mapArg == 0 {
		x.mapArg = 1
		p.Map, p.Key, p.KeyKnown = m, meta.key, meta.keyKnown && m >= 0
		return
	}
	if p.Map != m {
		p.Map = -1
	}
	if p.Map < 0 || !meta.keyKnown || p.Key != meta.key {
		p.Key, p.KeyKnown = 0, false
	}
}

// prove completes the proof.
func (v *verifier) prove() {
	v.proof.Funcs = make([]FuncProof, len(v.funcs))
	for i := range v.funcs {
		f := &v.funcs[i]
		v.proof.Funcs[i] = FuncProof{Reached: v.proof.Insns[f.start].Seen, Stack: f.stack,
			Unread: ^v.insns[f.start].slots}
	}
	for i := range v.proof.Insns {
		if p := &v.proof.Insns[i]; v.aux[i].mapArg == 0 {
			p.Map = -1
		}
	}
}
