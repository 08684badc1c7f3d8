package hooks

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandbpf/sandbpf/internal/vm"
)

// point is where programs attach. Events read the list of programs without a
// lock; it is replaced as a whole.
type point struct {
	name string
	hook *Type

	mu     sync.Mutex
	links  atomic.Pointer[chain]
	lastID uint32
}

// chain is the programs of a point at one time. It does not change.
type chain struct {
	hook    *Type
	machine *vm.Machine // of all programs, nil if there are none
	links   []attached
}

type attached struct {
	link *Link
	exec *Executable
}

var noPrograms = &chain{}

func (p *point) chain() *chain {
	if ch := p.links.Load(); ch != nil {
		return ch
	}
	return noPrograms
}

// missing is the error of Fire about an event that is nil, or else a result.
func (p *point) missing(event bool) error {
	if event {
		return fmt.Errorf("%s: nil event", p.name)
	}
	return fmt.Errorf("%s: nil result", p.name)
}

// lease returns the programs and a CPU for them, nil if there are no programs.
func (p *point) lease() (*chain, *vm.CPU, error) {
	for {
		ch := p.chain()
		if ch.machine == nil {
			return ch, nil, nil
		}
		// Only what is found on the lease is safe from being freed.
		c := ch.machine.Acquire()
		if p.chain() == ch {
			if c == nil {
				return nil, nil, fmt.Errorf("%s: VM: %w", p.name, ErrClosed)
			}
			return ch, c, nil
		}
		if c != nil {
			ch.machine.Release(c)
		}
	}
}

// release ends the lease of c, whose run has panicked if it has not ended: the host or the clock may do that.
func release(c *vm.CPU, ended *bool) {
	if !*ended {
		c.Panicked()
	}
	c.M.Release(c)
}

// on returns the programs for an event on a CPU that the caller holds.
func (p *point) on(cpu CPU) (*chain, error) {
	if cpu.c.Awaited() {
		cpu.c.Quiesce()
	}
	ch := p.chain()
	if ch.machine != cpu.c.M && ch.machine != nil {
		return nil, p.otherVM()
	}
	return ch, nil
}

func (p *point) otherVM() error { return fmt.Errorf("%s: the CPU: %w", p.name, ErrOtherVM) }

// run runs the programs until one decides.
func (ch *chain) run(c *vm.CPU) (uint64, error) {
	next := ch.hook.next
	for i := range ch.links {
		ret, err := ch.links[i].exec.run(c)
		if err != nil {
			return 0, err
		}
		if ch.hook.bits32 {
			ret = uint64(uint32(ret))
		} else if !ch.hook.Returns.Contains(int64(ret)) {
			return 0, ch.outOfRange(i, ret)
		}
		if ret != next {
			return ret, nil
		}
	}
	return next, nil
}

// outOfRange is the error of a program that has returned what it may not.
func (ch *chain) outOfRange(i int, ret uint64) error {
	may := &ch.hook.Returns
	return fmt.Errorf("%s: %w: %d, want %d to %d", ch.links[i].exec.Name(), ErrReturn, int64(ret), may.Min, may.Max)
}

// Link is a program's attachment to a hook.
type Link struct {
	point *point
	id    uint32
	prior Stats        // of the programs that this link had before
	base  Stats        // of the program when the link got it
	since atomic.Int64 // when the program was attached, Unix nanoseconds
}

// LinkInfo describes a link.
type LinkInfo struct {
	ID       uint32 // unique at its hook
	Hook     string
	Program  string // "" once detached
	Position int    // from 0, in the order of running; -1 once detached
	Attached time.Time
	Stats    Stats // of the program's runs since it was attached, here or elsewhere
}

// AttachOption says where in the order a program goes. The default is last.
type AttachOption func(links []attached) (int, error)

// Before puts the program before that of link; with nil, first.
func Before(link *Link) AttachOption {
	return func(links []attached) (int, error) {
		if link == nil {
			return 0, nil
		}
		return indexOf(links, link)
	}
}

// After puts the program after that of link; with nil, last.
func After(link *Link) AttachOption {
	return func(links []attached) (int, error) {
		if link == nil {
			return len(links), nil
		}
		i, err := indexOf(links, link)
		return i + 1, err
	}
}

func indexOf(links []attached, link *Link) (int, error) {
	i := slices.IndexFunc(links, func(a attached) bool { return a.link == link })
	if i < 0 {
		return 0, fmt.Errorf("position relative to a link: %w", ErrDetached)
	}
	return i, nil
}

// Attach makes events run a program, from now on and after those that are
// attached already. The link keeps the program loaded. Errors: [ErrWrongType], [ErrClosed],
// [ErrOtherVM] (all programs at a point belong to one VM), [ErrOccupied], and
// [ErrDetached] for a link in the options.
func (p *point) Attach(program Program, where ...AttachOption) (*Link, error) {
	x, err := p.take(program)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	links := slices.Clone(p.chain().links)
	at := len(links)
	for _, option := range where {
		if at, err = option(links); err != nil {
			break
		}
	}
	switch {
	case err != nil:
	case p.hook.single && len(links) > 0:
		err = ErrOccupied
	case len(links) > 0 && links[0].exec.Machine != x.Machine:
		err = ErrOtherVM
	}
	if err != nil {
		x.Release()
		return nil, fmt.Errorf("attach %s to %s: %w", x.Name(), p.name, err)
	}
	p.lastID++
	l := &Link{point: p, id: p.lastID}
	l.start(x)
	p.publish(slices.Insert(links, at, attached{l, x}))
	return l, nil
}

// executableOf returns nil for no program, be it a nil interface or a nil pointer in one.
func executableOf(program Program) *Executable {
	if program == nil {
		return nil
	}
	return program.Executable()
}

// take returns the program with a reference, if it is for this point.
func (p *point) take(program Program) (*Executable, error) {
	x := executableOf(program)
	if x == nil {
		return nil, fmt.Errorf("attach to %s: no program", p.name)
	}
	if err := p.hook.check(x); err != nil {
		return nil, fmt.Errorf("attach to %s: %w", p.name, err)
	}
	if !x.Retain() {
		return nil, fmt.Errorf("attach %s to %s: %w", x.Name(), p.name, ErrClosed)
	}
	return x, nil
}

// publish makes links what events run.
func (p *point) publish(links []attached) {
	ch := &chain{hook: p.hook, links: links}
	if len(links) > 0 {
		ch.machine = links[0].exec.Machine
	}
	p.links.Store(ch)
}

// Links returns the links in the order of running.
func (p *point) Links() []*Link {
	var out []*Link
	for _, a := range p.chain().links {
		out = append(out, a.link)
	}
	return out
}

// Name returns the name of the hook.
func (p *point) Name() string { return p.name }

// Type returns the descriptor of the programs that attach here.
func (p *point) Type() *Type { return p.hook }

func (l *Link) start(x *Executable) {
	l.base = x.Stats()
	l.since.Store(time.Now().UnixNano())
}

// Replace makes events run another program in the place of the link's. Every
// event runs one of them, none both; when Replace returns, new events run the new
// one. The errors are those of Attach and [ErrDetached].
func (l *Link) Replace(program Program) error {
	p := l.point
	x, err := p.take(program)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	links := slices.Clone(p.chain().links)
	i := slices.IndexFunc(links, func(a attached) bool { return a.link == l })
	switch {
	case i < 0:
		err = ErrDetached
	case len(links) > 1 && links[i].exec.Machine != x.Machine:
		err = ErrOtherVM
	}
	if err != nil {
		x.Release()
		return fmt.Errorf("replace a program of %s by %s: %w", p.name, x.Name(), err)
	}
	old := links[i].exec
	links[i].exec = x
	p.publish(links)
	l.prior = l.prior.plus(old.Stats().minus(l.base))
	l.start(x)
	old.Release()
	return nil
}

// Detach stops new events from running the program. Detaching twice does nothing.
func (l *Link) Detach() error {
	p := l.point
	p.mu.Lock()
	defer p.mu.Unlock()
	links := slices.Clone(p.chain().links)
	i := slices.IndexFunc(links, func(a attached) bool { return a.link == l })
	if i < 0 {
		return nil
	}
	old := links[i].exec
	p.publish(slices.Delete(links, i, i+1))
	l.prior = l.prior.plus(old.Stats().minus(l.base))
	old.Release()
	return nil
}

// Info returns what there is to know about the link now.
func (l *Link) Info() LinkInfo {
	p := l.point
	p.mu.Lock()
	defer p.mu.Unlock()
	info := LinkInfo{ID: l.id, Hook: p.name, Position: -1, Attached: time.Unix(0, l.since.Load()), Stats: l.prior}
	for i, a := range p.chain().links {
		if a.link == l {
			info.Program, info.Position = a.exec.Name(), i
			info.Stats = l.prior.plus(a.exec.Stats().minus(l.base))
		}
	}
	return info
}

func (s Stats) plus(o Stats) Stats {
	return Stats{s.Runs + o.Runs, s.Instructions + o.Instructions, s.Time + o.Time}
}

func (s Stats) minus(o Stats) Stats {
	return Stats{s.Runs - o.Runs, s.Instructions - o.Instructions, s.Time - o.Time}
}
