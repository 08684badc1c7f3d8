package vm

// Slice is how many instructions pass between two looks at a run's context, and at what else
// Go wants of the goroutine.
const Slice = 1 << 16

// Budget is how many instructions a run may execute. Its engine is given one slice of them
// after the other and counts down what is left of that itself.
type Budget struct {
	rest  uint64 // beyond the slice
	given uint64 // in slices so far
}

// Begin starts the budget of a run and returns its first slice.
func (b *Budget) Begin(limit uint64) (left int64) {
	b.given = min(limit, Slice)
	b.rest = limit - b.given
	return int64(b.given)
}

// Resume starts the budget of a run that has executed some instructions already, in other
// programs, and returns what is left of its slice: nothing, or less if it has exceeded the limit.
func (b *Budget) Resume(done, limit uint64) (left int64) {
	b.given = min(done, limit)
	b.rest = limit - b.given
	return int64(b.given - done)
}

// Executed returns how many instructions the run has executed, given what is left of the slice.
func (b *Budget) Executed(left int64) uint64 { return b.given - uint64(left) }

// Next returns what is left once c's run has got as many slices as it needs to go on, and whether
// it can. The error is that of the run's context.
func (b *Budget) Next(c *CPU, left int64) (now int64, more bool, err error) {
	if ctx := c.Context; ctx != nil {
		if err := ctx.Err(); err != nil {
			return left, false, err
		}
	}
	for left < 0 {
		n := min(b.rest, Slice)
		if n == 0 {
			return left, false, nil
		}
		b.rest -= n
		b.given += n
		left += int64(n)
	}
	return left, true, nil
}
