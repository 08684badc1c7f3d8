// Package peers times the programs of the benchmark suite, calls and operations on maps in other
// runtimes, in one run with ours. It is a module of its own, so that those who use sandbpf
// never download them.
package peers
