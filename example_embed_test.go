//go:build !(mips || mips64 || ppc64 || s390x)

package sandbpf_test

import (
	"fmt"
	"log"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/loader"
)

// HTTPRequest is what a policy sees of a request: in C, a struct with the same fields,
// and the first and last byte of each string.
type HTTPRequest struct {
	Method, Path, Agent hooks.Bytes
	Client              [16]byte
	Length              uint64
	Status              uint16 `bpf:"rw"` // for the policy to set
}

// onHTTP is a place for policies in this program. They return 0 or 1, and may call note.
var onHTTP = hooks.Define[HTTPRequest]("http_request", hooks.Returns(0, 1),
	hooks.Helper("note", func(text []byte) { fmt.Printf("refused: %s\n", text) }))

// The policy is a C program, compiled by clang. What it refers to, such as maps, is made
// when it is loaded.
func Example_embed() {
	vm, err := sandbpf.New()
	must(err)
	defer vm.Close()
	spec, err := loader.LoadSpec("examples/plugin/plugins/guard.o")
	must(err)
	policy, err := vm.LoadCollection(spec)
	must(err)
	defer policy.Close()
	link, err := onHTTP.Attach(policy.Program("judge"))
	must(err)
	defer link.Detach()

	for _, path := range []string{"/index.html", "/admin/users"} {
		request := HTTPRequest{Path: []byte(path)}
		verdict, err := onHTTP.Fire(&request)
		fmt.Println(verdict, request.Status, err)
	}
	// Output:
	// 0 0 <nil>
	// refused: /admin/users
	// 1 403 <nil>
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
