package asm_test

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sandbpf/sandbpf/asm"
)

// A program in the text that clang, bpftool and the kernel write.
func ExampleParse() {
	insns, err := asm.Parse(`
		.equ MIN, 14            ; bytes of an Ethernet header
		r2 = *(u32 *)(r1 + 4)   ; data_end
		r1 = *(u32 *)(r1 + 0)   ; data
		w0 = 1                  ; XDP_DROP
		r1 += MIN
		if r1 > r2 goto out
		call pass
	out:	exit
	pass:	w0 = 2
		exit
	`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%+v", insns)
	// Output:
	// 0: r2 = *(u32 *)(r1 + 0x4)
	// 1: r1 = *(u32 *)(r1 + 0x0)
	// 2: w0 = 0x1
	// 3: r1 += 0xe
	// 4: if r1 > r2 goto out
	// 5: call pass
	// out:
	// 6: exit
	// pass:
	// 7: w0 = 0x2
	// 8: exit
}

// An error says where the text goes wrong and what was expected.
func ExampleParse_error() {
	_, err := asm.Parse("r0 = 0\nr1 = *(u32 *)[r2 + 4]\nexit")
	fmt.Println(err)
	var syntax *asm.SyntaxError
	fmt.Println(errors.As(err, &syntax), syntax.Line, syntax.Column)
	// Output:
	// line 2, column 14: got "[", want "(" or "skb"
	// true 2 14
}

func ExampleParseMnemonic() {
	insns, err := asm.ParseMnemonic("ldxw %r0, [%r1+4]\nbe32 %r0\nexit")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(insns)
	// Output:
	// r0 = *(u32 *)(r1 + 0x4)
	// r0 = be32 r0
	// exit
}

// A program built in Go: count to ten.
func ExampleInstructions() {
	insns := asm.Instructions{
		asm.Mov.Imm(asm.R0, 0),
		asm.Add.Imm(asm.R0, 1).WithSymbol("again"),
		asm.JLT.Imm(asm.R0, 10, "again"),
		asm.Return(),
	}
	code, err := insns.Encode(binary.LittleEndian)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("% x\n", code[:16])
	fmt.Printf("%s", asm.Format{Dialect: asm.Mnemonic}.Append(nil, insns))
	// Output:
	// b7 00 00 00 00 00 00 00 07 00 00 00 01 00 00 00
	// mov %r0, 0
	// again:
	// add %r0, 1
	// jlt %r0, 10, again
	// exit
}

// The same instruction in all dialects.
func ExampleInstruction_Text() {
	ins := asm.AtomicFetchAdd.Mem64(asm.R10, -8, asm.R1)
	for d := asm.Objdump; d <= asm.Mnemonic; d++ {
		fmt.Printf("%-8v %s\n", d, ins.Text(d))
	}
	// Output:
	// objdump  r1 = atomic_fetch_add((u64 *)(r10 - 0x8), r1)
	// kernel   r1 = atomic64_fetch_add((u64 *)(r10 -8), r1)
	// exact    r1 = atomic_fetch_add((u64 *)(r10 - 0x8), r1)
	// mnemonic lock fetch add [%r10-8], %r1
}
