package sandbpf_test

import (
	"fmt"
	"log"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
)

// Request is what a policy sees of a request: struct request in C.
type Request struct {
	Port uint32
	Path []byte // two pointers: path and path_end
}

// onRequest is a hook of this program's own. Policies return 0 or 1.
var onRequest = hooks.Define[Request]("request", hooks.Returns(0, 1))

// A policy would come from an object file, by loader.LoadSpec and [sandbpf.VM.LoadCollection];
// this one refuses what is not for port 443.
const policy = `
	w0 = 0
	r2 = *(u32 *)(r1 + 0)
	if r2 == 443 goto out
	w0 = 1
out:
	exit`

func Example() {
	insns, err := asm.Parse(policy)
	if err != nil {
		log.Fatal(err)
	}
	vm, err := sandbpf.New()
	if err != nil {
		log.Fatal(err)
	}
	defer vm.Close()
	program, err := vm.LoadProgram(&sandbpf.ProgramSpec{Name: "policy", Section: "request", Instructions: insns}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer program.Close()
	link, err := onRequest.Attach(program)
	if err != nil {
		log.Fatal(err)
	}
	defer link.Detach()
	for _, port := range []uint32{443, 80} {
		verdict, err := onRequest.Fire(&Request{Port: port, Path: []byte("/")})
		fmt.Println(port, verdict, err)
	}
	fmt.Println(link.Info().Stats.Runs, "runs")
	// Output:
	// 443 0 <nil>
	// 80 1 <nil>
	// 2 runs
}
