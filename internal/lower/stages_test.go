package lower

import (
	"fmt"
	"testing"
)

// Example shows a program at each stage: a hash of bytes, as clang writes it for BPF, which is added to a
// counter. Behind each block is where it goes on if that is not the next.
func Example() {
	p := build(new(testing.T), "r0 = 0; r5 = 0; next: r3 = r1; r3 += r5; r4 = *(u8 *)(r3 + 0); r0 *= 31; r0 += r4; r5 += 1; if r5 != r2 goto next; r3 = *(u64 *)(r10 - 8); r3 += r0; *(u64 *)(r10 - 8) = r3; exit", Env{})
	for i := range p.Blocks {
		for j := range p.Blocks[i].Ins {
			p.Blocks[i].Ins[j].Check = false // the accesses are proved
		}
	}
	print := func(stage string) {
		fmt.Println(stage)
		for i := range p.Blocks {
			b := &p.Blocks[i]
			fmt.Printf("%3d: %s", i, b.text())
			if b.Next >= 0 && int(b.Next) != i+1 {
				fmt.Printf("; goto %d", b.Next)
			}
			fmt.Println()
		}
	}
	print("built")
	optimiseBlocks(p)
	print("blocks")
	unroll(p)
	print("unrolled")
	optimiseJoined(p)
	print("joined")
	allOperands(p)
	print("operands")
	// Output:
	// built
	//   0: r0 = 0; r5 = 0
	//   1: r3 = r1; r3 = r3 + r5; r4 = u8[r3]; r0 = r0 * 31; r0 = r0 + r4; r5 = r5 + 1; if r5 jne r2 goto 1
	//   2: r3 = u64[r10-8]; r3 = r3 + r0; u64[r10-8] = r3; exit
	// blocks
	//   0: r0 = 0; r5 = 0
	//   1: r4 = u8[r1+r5*1]; r4 = r4 - r0; r0 = r0 << 5; r0 = r4 + r0; r5 = r5 + 1; if r5 jne r2 goto 1
	//   2: r3 = u64[r10-8]; r3 = r3 + r0; u64[r10-8] = r3; exit
	// unrolled
	//   0: r0 = 0; r5 = 0
	//   1: guard 28 goto 4, counter 1
	//   2: r4 = u8[r1+r5*1]; r4 = r4 - r0; r0 = r0 << 5; r0 = r4 + r0; r5 = r5 + 1; hop 2; r4 = u8[r1+r5*1]; r4 = r4 - r0; r0 = r0 << 5; r0 = r4 + r0; r5 = r5 + 1; hop 2; r4 = u8[r1+r5*1]; r4 = r4 - r0; r0 = r0 << 5; r0 = r4 + r0; r5 = r5 + 1; hop 2; r4 = u8[r1+r5*1]; r4 = r4 - r0; r0 = r0 << 5; r0 = r4 + r0; r5 = r5 + 1; if r5 jeq r2 goto 5
	//   3: repeat 28 goto 2
	//   4: r4 = u8[r1+r5*1]; r4 = r4 - r0; r0 = r0 << 5; r0 = r4 + r0; r5 = r5 + 1; if r5 jne r2 goto 1
	//   5: r3 = u64[r10-8]; r3 = r3 + r0; u64[r10-8] = r3; exit
	// joined
	//   0: r0 = 0; r5 = 0
	//   1: guard 28 goto 4, counter 1
	//   2: r4 = u8[r1+r5*1]; hop 2; r3 = u8[r1+r5*1+1]; r3 = r3 - r4; r4 = r4 << 5; r3 = r3 + r4; hop 2; r4 = u8[r1+r5*1+2]; r4 = r4 - r3; r3 = r3 << 5; r4 = r4 + r3; hop 2; r3 = u8[r1+r5*1+3]; r3 = r3 - r4; r4 = r4 << 5; r3 = r3 + r4; r0 = r0 * 923521; r0 = r0 + r3; r5 = r5 + 4; if r5 jeq r2 goto 5
	//   3: repeat 28 goto 2
	//   4: r4 = u8[r1+r5*1]; r4 = r4 - r0; r0 = r0 << 5; r0 = r4 + r0; r5 = r5 + 1; if r5 jne r2 goto 1
	//   5: r3 = u64[r10-8]; r3 = r3 + r0; u64[r10-8] = r3; exit
	// operands
	//   0: r0 = 0; r5 = 0
	//   1: guard 28 goto 4, counter 1
	//   2: r4 = u8[r1+r5*1]; hop 2; r3 = u8[r1+r5*1+1]; r3 = r3 - r4; r4 = r4 << 5; r3 = r3 + r4; hop 2; r4 = u8[r1+r5*1+2]; r4 = r4 - r3; r3 = r3 << 5; r4 = r4 + r3; hop 2; r3 = u8[r1+r5*1+3]; r3 = r3 - r4; r4 = r4 << 5; r3 = r3 + r4; r0 = r0 * 923521; r0 = r0 + r3; r5 = r5 + 4; if r5 jeq r2 goto 5
	//   3: repeat 28 goto 2
	//   4: r4 = u8[r1+r5*1]; r4 = r4 - r0; r0 = r0 << 5; r0 = r4 + r0; r5 = r5 + 1; if r5 jne r2 goto 1
	//   5: nop; nop; u64[r10-8] += r0; exit
}
