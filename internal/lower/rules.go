package lower

// kinds is a set of what a value may be: what an operation of the block computes, by its number, or a
// constant, or what a register held at the beginning.
type kinds uint64

const (
	isConstant kinds = 1 << 63
	isInitial  kinds = 1 << 62
)

// What rules look for in their operands.
const (
	copies    kinds = 1 << Mov
	sums      kinds = 1 << Add
	ors       kinds = 1 << Or
	masks     kinds = 1 << And
	products  kinds = 1 << Mul
	shiftedUp kinds = 1 << LSh
	shifted   kinds = 1 << RSh
	multiples       = products | shiftedUp
	bytes           = 1<<Load | 1<<Swap | ors | shiftedUp
)

// rewrite makes n simpler, with the same result, and reports whether it could. Operands of kinds a and b
// say which rules may apply; few do. Rules without a pass bring operations into the form that the
// others look for.
func (o *optimiser) rewrite(n *node, a, b kinds) bool {
	either := a | b
	if a&isConstant != 0 && o.order(n) || either&copies != 0 && o.does(PassExtensions) && o.strip(n) {
		return true
	}
	if b&(masks|copies) != 0 && n.Op >= LSh && n.Op <= ArSh && o.does(PassExtensions) && o.unmask(n) {
		return true
	}
	switch n.Op {
	case Mov:
		return o.does(PassExtensions) && o.widen(n)
	case Add:
		return o.rewriteAdd(n, a, b)
	case Sub:
		return b&isConstant != 0 && o.identity(n) || either&masks != 0 && o.does(PassLowest) && o.lowest(n)
	case Mul, Div, Mod, SDiv, SMod:
		return o.does(PassStrength) && o.strength(n) || b&isConstant != 0 && o.does(PassLea) && o.product(n)
	case And:
		return b&isConstant != 0 && o.identity(n) || o.widens(n)
	case Or:
		return either&shifted != 0 && o.does(PassRotations) && o.rotation(n) || o.widens(n) || a&bytes != 0 && b&bytes != 0 && o.does(PassMerge) && o.merge(n)
	case Xor:
		return either&shifted != 0 && o.does(PassRotations) && o.rotation(n) || o.widens(n) || either&masks != 0 && o.does(PassLowest) && o.lowest(n) ||
			a&bytes != 0 && b&bytes != 0 && o.does(PassMerge) && o.merge(n) || o.b.Joined && o.does(PassReassociate) && o.reassociate(n)
	case RSh:
		return a&shiftedUp != 0 && o.does(PassExtensions) && o.extension(n) || o.widens(n) || a&products != 0 && o.does(PassPopcount) && o.popcount(n)
	case ArSh:
		return a&shiftedUp != 0 && o.does(PassExtensions) && o.extension(n)
	}
	return false
}

// rewriteAdd is rewrite for additions.
func (o *optimiser) rewriteAdd(n *node, a, b kinds) bool {
	switch either := a | b; {
	case either&^(isConstant|isInitial) == 0: // most
		return false
	case either&shifted != 0 && o.does(PassRotations) && o.rotation(n),
		a&sums != 0 && o.does(PassSums) && o.sum(n),
		o.b.Joined && either&multiples != 0 && o.does(PassReassociate) && o.horner(n),
		either&products != 0 && o.does(PassMulAdd) && o.mulAdd(n),
		a&bytes != 0 && b&bytes != 0 && o.does(PassMerge) && o.merge(n),
		o.b.Joined && o.does(PassReassociate) && o.reassociate(n):
		return true
	}
	return false
}

// widens is widen for an operation on 32 bits.
func (o *optimiser) widens(n *node) bool { return !n.Wide && o.does(PassExtensions) && o.widen(n) }

// does reports whether a pass is not left out.
func (o *optimiser) does(pass Pass) bool { return o.p.does(pass) }
