package domain

// A width is a word size written as a type, an array of that many nothings: its
// length is a constant in every instantiation, so that the code for 64 bits has no
// trace of the other widths. The small ones are there for the tests, which try
// every abstract value of a width. A word of width W has a low half of W/2 bits,
// as a register has its 32-bit part.
type width interface {
	~[64]struct{} | ~[8]struct{} | ~[4]struct{}
}

// w64 is the width of a register.
type w64 = [64]struct{}

// bitsOf returns W as a number.
func bitsOf[W width]() uint {
	var w W
	return uint(len(w))
}

// trunc returns the low n bits of x, for n from 1 to 64.
func trunc(x uint64, n uint) uint64 {
	unused := (64 - n) & 63
	return x << unused >> unused
}

// sext returns the low n bits of x as a signed number, for n from 1 to 64.
func sext(x uint64, n uint) int64 {
	unused := (64 - n) & 63
	return int64(x<<unused) >> unused
}

// signBit returns the highest of n bits. As a number it is the bias between the
// orders: x is below y as a signed number if x^signBit is below y^signBit as an
// unsigned one.
func signBit(n uint) uint64 { return 1 << ((n - 1) & 63) }

// umax, smin and smax return the ends of the numbers of n bits.
func umax(n uint) uint64 { return ^uint64(0) >> ((64 - n) & 63) }
func smin(n uint) int64  { return -1 << ((n - 1) & 63) }
func smax(n uint) int64  { return ^smin(n) }
