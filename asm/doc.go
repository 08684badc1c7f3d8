// Package asm encodes, decodes, prints and parses eBPF instructions.
//
// It knows every instruction of RFC 9669 and of Linux 6.18. One table (see
// [Instruction.Info]) says for each of them which fields it uses and which must
// be zero; the decoder, the printers, the parsers and everything behind this
// package read that table.
//
// There are three ways to a list of [Instructions]: [Decode] reads bytes,
// [Parse] and [ParseMnemonic] read text, and the builder functions
// ([ALUOp.Imm], [LoadMem], [JumpOp.Reg] and so on) write them in Go. And three
// back: [Instructions.Encode], [Instruction.Text] for a line in one of the four
// dialects (see [Dialect]), and [Format] for a listing. README.md has the grammar.
//
// # Security
//
// All of these take hostile input: they return an error, they never panic, and
// what they allocate is linear in the size of their input.
package asm
