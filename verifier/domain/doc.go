// Package domain has what a verifier knows of numbers: the bits of a register that are
// known, and its bounds, read as unsigned and as signed, whole and as a 32-bit part. It
// says what arithmetic makes of that, what a conditional jump adds to it, and which
// jumps are decided by it. README.md teaches the domain.
//
// All types are small values, nothing allocates, and nothing is shared: functions may be
// called by any number of goroutines.
//
// [Rules] chooses between what Linux deduces, limit for limit, and what can be deduced
// at reasonable cost. A few uses:
//
//	length := domain.Tight.Truncate(domain.Unknown(), 16) // a load of two bytes
//	known, taken := r.Decide(asm.JGT, true, &a, &b)       // is the jump decided?
//	possible := r.Refine(asm.JGT, true, true, &a, &b)     // what is known where it is taken
package domain
