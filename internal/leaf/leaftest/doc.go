// Package leaftest calls leaves from Go, for tests and benchmarks: what compiled code
// does with a plain CALL, a trampoline in assembly does here.
package leaftest
