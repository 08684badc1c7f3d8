package asm

import (
	"errors"
	"fmt"
	"strings"
)

// Dialect is a way to write instructions as text.
type Dialect uint8

const (
	// Objdump is what llvm-objdump -d prints. It is what [Instruction.String]
	// returns, and loses what llvm-objdump loses: "call 0x7" is a call of a helper,
	// a subprogram or a kernel function, and "ld_pseudo" has half of its number.
	// Three things are written that LLVM 19 cannot show: the constant of an
	// indirect packet load ("skb[r1 + 0x4]"), 32-bit atomic operations without
	// --mcpu=v3, and load_acquire and store_release, as in LLVM 20.
	Objdump Dialect = iota
	// Kernel is what the log of Linux's verifier and bpftool print. A map's
	// descriptor is shown as bpftool shows an id, "map[id:7]".
	Kernel
	// Exact is Objdump without its losses: [Parse] reads back the same bytes.
	Exact
	// Mnemonic is the syntax of the BPF conformance vectors, "ldxw %r0, [%r1+4]",
	// with names of this package for what they lack. [ParseMnemonic] reads back
	// the same bytes.
	Mnemonic

	numDialects
)

// String returns the dialect's name: "objdump", "kernel", "exact" or "mnemonic".
func (d Dialect) String() string {
	if d < numDialects {
		return [numDialects]string{"objdump", "kernel", "exact", "mnemonic"}[d]
	}
	return fmt.Sprintf("dialect(%d)", uint8(d))
}

// syntax returns the grammar that d belongs to.
func (d Dialect) syntax() *syntax {
	if d == Mnemonic {
		return mnemonicSyntax()
	}
	return cSyntax()
}

// ErrSyntax is what every [SyntaxError] is.
var ErrSyntax = errors.New("syntax error")

// SyntaxError says what the text has at a place, and what could stand there.
type SyntaxError struct {
	Line   int    // from 1
	Column int    // in bytes, from 1
	Got    string // quoted source text, or "end of line"
	Want   string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: got %s, want %s", e.Line, e.Column, e.Got, e.Want)
}

// Is reports whether target is [ErrSyntax].
func (e *SyntaxError) Is(target error) bool { return target == ErrSyntax }

// quote shows a piece of the source in an error, a long one by its beginning.
func quote(text string) string {
	const most = 40
	if len(text) > most {
		return fmt.Sprintf("%q...", strings.ToValidUTF8(text[:most], "�"))
	}
	return fmt.Sprintf("%q", text)
}
