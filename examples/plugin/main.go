// Command plugin is an HTTP server whose requests pass a hook of its own: a policy,
// written in C and compiled to BPF, decides about each. The policy can be replaced
// while requests run; none is dropped, and none sees two policies.
//
//	go run ./examples/plugin                       a demonstration: fires requests at itself
//	go run ./examples/plugin -listen :8080         serves, with the policy in plugins/open.o
//	go run ./examples/plugin -listen :8080 -policy my.o
//	go run ./examples/plugin -header               prints the header for authors of policies
//
// While it serves, it loads the file of -policy again whenever that changes. A policy that the
// verifier refuses, such as plugins/hasty.o, leaves the one before in force, and the log says in which
// line it goes wrong and what would help.
package main

import (
	"bytes"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/loader"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

//go:generate sh -c "go run . -header > plugins/http_request.h"
//go:generate clang-19 -O2 -g -Wall -Werror -ffile-compilation-dir=. -target bpfel -mcpu=v3 -c plugins/open.c -o plugins/open.o
//go:generate clang-19 -O2 -g -Wall -Werror -ffile-compilation-dir=. -target bpfel -mcpu=v3 -c plugins/guard.c -o plugins/guard.o
//go:generate clang-19 -O2 -g -Wall -Werror -ffile-compilation-dir=. -target bpfel -mcpu=v3 -c plugins/hasty.c -o plugins/hasty.o
//go:generate llvm-strip-19 -g plugins/open.o plugins/guard.o plugins/hasty.o

// request is what a policy sees of an HTTP request.
type request struct {
	Method hooks.Bytes // "GET"
	Path   hooks.Bytes // "/index.html"
	Agent  hooks.Bytes // the User-Agent
	Client [16]byte    // IPv6 address, or IPv4 in IPv6
	Length uint64      // of the body, 0 if not known
	Status uint16      `bpf:"rw"` // of the answer to a request that is refused
}

var (
	//go:embed plugins/open.o
	openPolicy []byte
	//go:embed plugins/guard.o
	guardPolicy []byte
)

// noted counts what policies report by the helper of the hook.
var noted atomic.Uint64

// onRequest is the hook. A policy returns 0 to let a request pass and 1 to refuse it.
var onRequest = hooks.Define[request]("http_request",
	hooks.Returns(0, 1),
	hooks.Helper("note", func(text []byte) { noted.Add(1) }))

// policy is the policy in force. Its programs share maps with those before it.
type policy struct {
	mu   sync.Mutex
	vm   *sandbpf.VM
	coll *sandbpf.Collection
	link *hooks.Link
}

// load puts the policy of an object into force, in place of the one before.
func (p *policy) load(object []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	spec, err := loader.LoadSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return err
	}
	var options []sandbpf.CollectionOption
	if p.coll != nil && spec.Maps["requests"] != nil {
		options = append(options, sandbpf.WithMaps(map[string]*maps.Map{"requests": p.coll.Map("requests")}))
	}
	coll, err := p.vm.LoadCollection(spec, options...)
	if err != nil {
		return err
	}
	program := coll.Program("judge")
	if program == nil {
		return errors.Join(errors.New("the object has no program named judge"), coll.Close())
	}
	if p.link == nil {
		p.link, err = onRequest.Attach(program)
	} else {
		err = p.link.Replace(program)
	}
	if err != nil {
		return errors.Join(err, coll.Close())
	}
	old := p.coll
	p.coll = coll
	if old != nil {
		return old.Close() // what still runs is freed when it is done
	}
	return nil
}

// reason says why a policy does not load: if the verifier refuses it, in which line, and what helps.
func reason(err error) string {
	var refused *verifier.Error
	if !errors.As(err, &refused) {
		return err.Error()
	}
	return strings.TrimSuffix(fmt.Sprintf("%v\n\thint: %s", refused, refused.Hint), "\n\thint: ")
}

// close detaches the policy.
func (p *policy) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	if p.link != nil {
		errs = append(errs, p.link.Detach())
	}
	if p.coll != nil {
		errs = append(errs, p.coll.Close())
	}
	return errors.Join(append(errs, p.vm.Close())...)
}

// requests returns how many requests the policies have seen, all together.
func (p *policy) requests() (n uint64, err error) {
	err = p.coll.Map("requests").Lookup(uint32(0), &n)
	return n, err
}

// guarded lets next answer the requests that pass the hook.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ev := request{
			Method: []byte(r.Method), Path: []byte(r.URL.Path), Agent: []byte(r.UserAgent()),
			Length: uint64(max(r.ContentLength, 0)), Status: http.StatusForbidden,
		}
		if addr, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			ev.Client = addr.Addr().As16()
		}
		verdict, err := onRequest.Fire(&ev)
		switch {
		case err != nil:
			log.Printf("policy: %v", err)
			http.Error(w, "the policy failed", http.StatusInternalServerError)
		case verdict != 0:
			http.Error(w, "refused by the policy", int(ev.Status))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func hello(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello from %s\n", r.URL.Path) }

func main() {
	log.SetFlags(0)
	listen := flag.String("listen", "", "serve at this address instead of demonstrating")
	file := flag.String("policy", "", "object file with the policy (default: let everything pass)")
	header := flag.Bool("header", false, "print the C header for authors of policies")
	flag.Parse()
	var err error
	switch {
	case flag.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q: a policy is given by -policy", flag.Arg(0))
	case *header:
		_, err = io.WriteString(os.Stdout, onRequest.CHeader())
	case *listen != "":
		err = serve(*listen, *file)
	case *file != "":
		err = errors.New("-policy needs -listen: the demonstration has policies of its own")
	default:
		err = demo(os.Stdout)
	}
	if err != nil {
		log.Fatal("plugin: ", err)
	}
}

// serve serves until it fails.
func serve(address, file string) (err error) {
	vm, err := sandbpf.New()
	if err != nil {
		return err
	}
	p := &policy{vm: vm}
	stop := make(chan struct{})
	defer func() { close(stop); err = errors.Join(err, p.close()) }()
	object := openPolicy
	if file != "" {
		if object, err = os.ReadFile(file); err != nil {
			return err
		}
	}
	if err := p.load(object); err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	log.Printf("serving at http://%s", l.Addr())
	if file != "" {
		go p.watch(file, object, time.Second, stop)
	}
	server := &http.Server{Handler: guarded(http.HandlerFunc(hello)), ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(l)
}

// watch loads the policy again whenever its file changes, until stop is closed. What
// does not load leaves the old policy in force.
func (p *policy) watch(file string, object []byte, every time.Duration, stop <-chan struct{}) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		now, err := os.ReadFile(file)
		if err != nil || bytes.Equal(now, object) {
			continue
		}
		object = now
		if err := p.load(now); err != nil {
			log.Printf("%s: the old policy stays: %s", file, reason(err))
			continue
		}
		log.Printf("%s: new policy in force", file)
	}
}
