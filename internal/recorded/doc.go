// Package recorded holds no code but a test: the programs of testdata/elf, run
// by the engines here, against what Linux did with them.
package recorded
