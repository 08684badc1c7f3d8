package domain

import "math/bits"

// addOverflow returns x + y as n bits and by how much it wraps: -1, 0 or 1 times
// around the word.
func addOverflow(x, y int64, n uint) (sum int64, wraps int) {
	sum = sext(uint64(x)+uint64(y), n)
	switch {
	case y >= 0 && sum < x:
		return sum, 1
	case y < 0 && sum > x:
		return sum, -1
	}
	return sum, 0
}

// subOverflow is addOverflow for x - y.
func subOverflow(x, y int64, n uint) (diff int64, wraps int) {
	diff = sext(uint64(x)-uint64(y), n)
	switch {
	case y >= 0 && diff > x:
		return diff, -1
	case y < 0 && diff < x:
		return diff, 1
	}
	return diff, 0
}

// addSigned returns the bounds of the sums of n bits as they come out of the ends, and
// how often each end wraps. They keep their order if both wrap as often.
func addSigned(a, b signed, n uint) (r signed, atMin, atMax int) {
	r.Min, atMin = addOverflow(a.Min, b.Min, n)
	r.Max, atMax = addOverflow(a.Max, b.Max, n)
	return r, atMin, atMax
}

// subSigned is addSigned for a - b.
func subSigned(a, b signed, n uint) (r signed, atMin, atMax int) {
	r.Min, atMin = subOverflow(a.Min, b.Max, n)
	r.Max, atMax = subOverflow(a.Max, b.Min, n)
	return r, atMin, atMax
}

// mulOverflow returns x * y as n bits, and whether it does not fit.
func mulOverflow(x, y int64, n uint) (product int64, overflow bool) {
	hi, lo := bits.Mul64(uint64(x), uint64(y))
	high := int64(hi) // as a product of signed numbers
	if x < 0 {
		high -= y
	}
	if y < 0 {
		high -= x
	}
	product = sext(lo, n)
	return product, uint64(product) != lo || high != product>>63
}

// mulSigned returns the bounds of the products of n bits, all numbers if one of the
// corners overflows.
func mulSigned(a, b signed, n uint) signed {
	p, o1 := mulOverflow(a.Min, b.Min, n)
	q, o2 := mulOverflow(a.Min, b.Max, n)
	r, o3 := mulOverflow(a.Max, b.Min, n)
	s, o4 := mulOverflow(a.Max, b.Max, n)
	if o1 || o2 || o3 || o4 {
		return fullSigned(n)
	}
	return signed{min(p, q, r, s), max(p, q, r, s)}
}
