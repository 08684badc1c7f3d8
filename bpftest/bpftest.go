// Package bpftest is for unit tests of BPF programs with go test: no root, no
// kernel, any system, and the same result each time.
//
//	func TestDenyList(t *testing.T) {
//		obj := bpftest.Load(t, "firewall.o")
//		obj.Map("deny").Put(netip.MustParsePrefix("10.0.0.0/8"), uint32(1))
//
//		got := obj.XDP("firewall").Run(packet)
//		require.Equal(t, hooks.XDPDrop, got.Action)
//		require.Equal(t, uint64(1), bpftest.Value[uint64](t, obj.Map("drops"), uint32(0)))
//	}
//
// What goes wrong ends the test: an object that does not load, a program that the
// verifier refuses or that is stopped, a key that is not there. Everything is closed at the end of the test.
// Programs run on one virtual CPU, by a [Clock] that stands still until the
// test moves it, and with a fixed seed. What they print with bpf_printk is in
// the log of the test.
package bpftest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/loader"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

//go:generate clang-19 -O2 -g -Wall -Werror -ffile-compilation-dir=. -I../testdata/include -target bpfel -mcpu=v3 -c testdata/gate.c -o testdata/gate.o
//go:generate clang-19 -O2 -g -Wall -Werror -ffile-compilation-dir=. -I../testdata/include -target bpfel -mcpu=v3 -c testdata/reckless.c -o testdata/reckless.o
//go:generate llvm-strip-19 -g testdata/gate.o testdata/reckless.o

// Object is an object file, loaded for a test.
type Object struct {
	*sandbpf.Collection
	VM    *sandbpf.VM
	Clock *Clock
	t     testing.TB
}

// Option changes how an object is loaded.
type Option func(*config)

type config struct {
	loader    []loader.Option
	vm        []sandbpf.Option
	variables []variable
	only      []string // programs, all if empty
}

type variable struct {
	name  string
	value any
}

// WithLoader hands options to the loader: types of programs, kernel types, Kconfig.
func WithLoader(options ...loader.Option) Option {
	return func(c *config) { c.loader = append(c.loader, options...) }
}

// WithVM hands options to the VM: CPUs, seed, hooks, answers of the host.
func WithVM(options ...sandbpf.Option) Option {
	return func(c *config) { c.vm = append(c.vm, options...) }
}

// WithoutVerifier loads programs that Linux would refuse; see [sandbpf.WithoutVerifier].
func WithoutVerifier() Option { return WithVM(sandbpf.WithoutVerifier()) }

// Only loads these programs and what they reach, not the others of the object: those of a type
// that does not run here, for instance. See [sandbpf.CollectionSpec.Only].
func Only(programs ...string) Option {
	return func(c *config) { c.only = append(c.only, programs...) }
}

// Set gives a global variable, .rodata too, its value before the programs are loaded.
func Set(name string, value any) Option {
	return func(c *config) { c.variables = append(c.variables, variable{name, value}) }
}

// Load loads all programs of an object file, or [Only] some; the path is relative to the
// folder of the test. If one is refused by the verifier, the log of the test tells why: the line in C, what
// is known there and since when, and what usually helps.
func Load(t testing.TB, path string, options ...Option) *Object {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return load(t, path, data, options)
}

// LoadBytes is Load of an object in memory, such as an embedded one.
func LoadBytes(t testing.TB, object []byte, options ...Option) *Object {
	t.Helper()
	return load(t, "object", object, options)
}

func load(t testing.TB, name string, data []byte, options []Option) *Object {
	t.Helper()
	var c config
	for _, option := range options {
		option(&c)
	}
	spec, err := loader.LoadSpecFromReader(bytes.NewReader(data), c.loader...)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, v := range c.variables {
		target := spec.Variables[v.name]
		if target == nil {
			t.Fatalf("%s: no variable %s", name, v.name)
		}
		if err := target.Set(v.value); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if len(c.only) > 0 {
		if spec, err = spec.Only(c.only...); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	o := &Object{Clock: newClock(), t: t}
	all := append([]sandbpf.Option{sandbpf.WithCPUs(1), sandbpf.WithSeed(1), sandbpf.WithClock(o.Clock.Now),
		sandbpf.WithTrace(testLog{t})}, c.vm...)
	if o.VM, err = sandbpf.New(all...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.VM.Close() })
	if o.Collection, err = o.VM.LoadCollection(spec); err != nil {
		t.Fatalf("%s: %s", name, story(err))
	}
	t.Cleanup(func() { _ = o.Collection.Close() })
	return o
}

// story is all that there is to say about an error: of a refusal, how the program gets there.
func story(err error) string {
	var refused *verifier.Error
	switch {
	case errors.As(err, &refused):
		return strings.TrimRight(fmt.Sprintf("%+v", refused), "\n")
	case errors.Is(err, sandbpf.ErrNotSupported):
		return err.Error() + "; with bpftest.Only, other programs can be loaded without"
	}
	return err.Error()
}

// testLog writes to the log of a test.
type testLog struct{ t testing.TB }

var _ io.Writer = testLog{}

func (l testLog) Write(line []byte) (int, error) {
	l.t.Logf("bpf_printk: %s", bytes.TrimRight(line, "\n\x00"))
	return len(line), nil
}

// Clock is what time it is to programs. It stands still until it is moved.
type Clock struct{ now atomic.Uint64 }

// newClock returns a clock that stands at one second after boot.
func newClock() *Clock {
	c := &Clock{}
	c.now.Store(uint64(time.Second))
	return c
}

// Now returns the nanoseconds since boot.
func (c *Clock) Now() uint64 { return c.now.Load() }

// Advance moves the clock on. It never goes back: a negative d does nothing.
func (c *Clock) Advance(d time.Duration) { c.now.Add(uint64(max(d, 0))) }

// Program returns a program of the object.
func (o *Object) Program(name string) *sandbpf.Program {
	o.t.Helper()
	p := o.Collection.Program(name)
	if p == nil {
		o.t.Fatalf("no program %q, there are %q", name, o.Programs())
	}
	return p
}

// Map returns a map of the object.
func (o *Object) Map(name string) *Map {
	o.t.Helper()
	m := o.Collection.Map(name)
	if m == nil {
		o.t.Fatalf("no map %q, there are %q", name, o.Maps())
	}
	return &Map{m, o.t}
}

// Variable returns a global variable of the object.
func (o *Object) Variable(name string) *sandbpf.Variable {
	o.t.Helper()
	v := o.Collection.Variable(name)
	if v == nil {
		o.t.Fatalf("no variable %q, there are %q", name, o.Variables())
	}
	return v
}

// Map is a map whose changes end the test if they fail.
type Map struct {
	*maps.Map
	t testing.TB
}

// Put stores a value, whether the key exists or not.
func (m *Map) Put(key, value any) {
	m.t.Helper()
	if err := m.Map.Put(key, value); err != nil {
		m.t.Fatal(err)
	}
}

// Delete removes a key, which must exist.
func (m *Map) Delete(key any) {
	m.t.Helper()
	if err := m.Map.Delete(key); err != nil {
		m.t.Fatal(err)
	}
}

// Value returns the value of a key, which must exist. The value of a per-CPU map is a
// slice with an element for each CPU.
func Value[T any](t testing.TB, m *Map, key any) T {
	t.Helper()
	var v T
	if err := m.Lookup(key, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// XDP is an XDP program at a device of its own.
type XDP struct {
	*hooks.XDPPoint
	t testing.TB
}

// XDP attaches an XDP program of the object.
func (o *Object) XDP(name string) *XDP {
	o.t.Helper()
	p := hooks.NewXDP(name)
	o.attach(p, name)
	return &XDP{p, o.t}
}

// attach attaches a program until the end of the test.
func (o *Object) attach(point interface {
	Attach(hooks.Program, ...hooks.AttachOption) (*hooks.Link, error)
}, name string) {
	o.t.Helper()
	l, err := point.Attach(o.Program(name))
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = l.Detach() })
}

// Run gives a frame to the program. It arrives at device 1.
func (x *XDP) Run(frame []byte) *hooks.XDPResult {
	x.t.Helper()
	return x.RunEvent(&hooks.XDPEvent{Packet: frame, IngressIfindex: 1})
}

// RunEvent gives an event to the program.
func (x *XDP) RunEvent(ev *hooks.XDPEvent) *hooks.XDPResult {
	x.t.Helper()
	var res hooks.XDPResult
	if err := x.Fire(ev, &res); err != nil {
		x.t.Fatal(err)
	}
	return &res
}

// SKB is a program for skbs at a point of its own.
type SKB struct {
	fire func(*hooks.SKBEvent, *hooks.SKBResult) error
	t    testing.TB
}

// TC attaches a tc program of the object.
func (o *Object) TC(name string) *SKB {
	o.t.Helper()
	p := hooks.NewTC(name)
	o.attach(p, name)
	return &SKB{p.Fire, o.t}
}

// SocketFilter attaches a socket filter of the object.
func (o *Object) SocketFilter(name string) *SKB {
	o.t.Helper()
	p := hooks.NewSocketFilter(name)
	o.attach(p, name)
	return &SKB{p.Fire, o.t}
}

// Run gives a frame to the program. It is on its way in, at device 1.
func (s *SKB) Run(frame []byte) *hooks.SKBResult {
	s.t.Helper()
	return s.RunEvent(&hooks.SKBEvent{Packet: frame, Ingress: true, Ctx: hooks.SKBuff{Ifindex: 1, IngressIfindex: 1}})
}

// RunEvent gives an event to the program.
func (s *SKB) RunEvent(ev *hooks.SKBEvent) *hooks.SKBResult {
	s.t.Helper()
	var res hooks.SKBResult
	if err := s.fire(ev, &res); err != nil {
		s.t.Fatal(err)
	}
	return &res
}
