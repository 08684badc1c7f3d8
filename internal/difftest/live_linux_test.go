package difftest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/verifier"
)

// askKernel returns the case with what the running kernel says of it.
func askKernel(c *Case) (*Case, error) { return askKernelAt(c, logFigures) }

func askKernelAt(c *Case, logLevel uint32) (*Case, error) {
	return askKernelWith(c, logLevel, &liveMaps, func(*kernel.Loaded, []*ebpf.Map) error { return nil })
}

// askKernelWith asks with maps of a cache, and calls use with the answer while it lasts.
func askKernelWith(c *Case, logLevel uint32, cache *mapCache, use func(*kernel.Loaded, []*ebpf.Map) error) (*Case, error) {
	p := kernel.Prog{
		Type: ebpf.ProgramType(c.ProgType), AttachType: ebpf.AttachType(c.AttachType), License: c.License,
		Flags: c.Flags, AttachBTF: c.AttachBTF, RawMapFDs: c.BadMapFDs, BTF: c.BTF, LogLevel: logLevel,
	}
	var err error
	if name := c.attachFunc(); name != "" {
		id, err := kernelFuncID(name)
		if err != nil {
			return nil, err
		}
		p.AttachBTF = uint32(id)
	}
	if p.Insns, err = withKfuncIDs(c); err != nil {
		return nil, err
	}
	for i := range c.Maps {
		m, err := cache.get(&c.Maps[i])
		if err != nil {
			return nil, fmt.Errorf("map %d: %w", i, err)
		}
		if m.Type() == ebpf.ProgramArray {
			defer m.Close()
		}
		p.Maps = append(p.Maps, m)
	}
	if c.FuncInfo != nil {
		p.FuncInfo = c.FuncInfo.Hex
	}
	if c.LineInfo != nil {
		p.LineInfo = c.LineInfo.Hex
	}
	var l *kernel.Loaded
	if c.Privilege == verifier.CapBPF {
		l, err = withoutPerfmon(func() (*kernel.Loaded, error) { return kernel.Load(p) })
	} else {
		l, err = kernel.Load(p)
	}
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return answered(c, l), use(l, p.Maps)
}

// answered returns the case with an answer of the kernel.
func answered(c *Case, l *kernel.Loaded) *Case {
	out := *c
	out.Verdict, out.Errno, out.Reason, out.Log = "accept", 0, "", ""
	out.Stats = Stats{Micros: int(l.Stats.Time.Microseconds()), Stack: l.Stats.StackDepth, Processed: l.Stats.Insns,
		TotalStates: l.Stats.TotalStates, PeakStates: l.Stats.PeakStates}
	if !l.Accepted() {
		out.Verdict, out.Errno, out.Log, out.Reason = "reject", int(l.Errno), l.Log, lastMessage(l.Log)
	}
	return &out
}

// withKfuncIDs puts the running kernel's ids in place of the case's.
func withKfuncIDs(c *Case) ([]byte, error) {
	insns := slices.Clone(c.Insns)
	for slot := 0; slot < c.Slots(); slot++ {
		at := insns[slot*asm.SlotSize:]
		ins := decodeSlot(at)
		slot += ins.Slots() - 1
		name := c.kfuncName(ins.ImmLo())
		if ins.Kind() != asm.KindCallKfunc || name == "" {
			continue
		}
		id, err := kernelFuncID(name)
		if err != nil {
			return nil, err
		}
		binary.LittleEndian.PutUint32(at[4:], uint32(id))
	}
	return insns, nil
}

var kernelTypes = sync.OnceValues(btf.LoadKernelSpec)

func kernelFuncID(name string) (btf.TypeID, error) {
	spec, err := kernelTypes()
	if err != nil {
		return 0, err
	}
	var fn *btf.Func
	if err := spec.TypeByName(name, &fn); err != nil {
		return 0, fmt.Errorf("kernel function %s: %w", name, err)
	}
	return spec.TypeID(fn)
}

// liveMaps are maps of the kernel by what they were made of. Programs are only loaded, so
// that they never change; except program arrays, which belong to the first program's type.
var liveMaps = mapCache{maps: make(map[string]*ebpf.Map)}

type mapCache struct {
	mu   sync.Mutex
	maps map[string]*ebpf.Map
}

func (c *mapCache) get(m *Map) (*ebpf.Map, error) {
	key, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if live := c.maps[string(key)]; live != nil {
		return live, nil
	}
	live, err := newLiveMap(m)
	if err == nil && live.Type() != ebpf.ProgramArray {
		c.maps[string(key)] = live
	}
	return live, err
}

func newLiveMap(m *Map) (*ebpf.Map, error) {
	spec := kernel.Map{
		Type: ebpf.MapType(m.Type), KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries,
		Flags: m.Flags, Extra: m.Extra, BTF: m.BTF, BTFKey: m.BTFKey, BTFValue: m.BTFValue,
	}
	if m.Inner != nil {
		inner, err := newLiveMap(m.Inner)
		if err != nil {
			return nil, err
		}
		defer inner.Close()
		spec.Inner = inner
	}
	live, err := kernel.NewMap(spec)
	if err != nil {
		return nil, err
	}
	if len(m.Value) > 0 {
		value := make([]byte, m.ValueSize)
		copy(value, m.Value)
		if err := live.Put(uint32(0), value); err != nil {
			return nil, err
		}
	}
	if m.Frozen {
		if err := live.Freeze(); err != nil {
			return nil, err
		}
	}
	return live, nil
}

// withoutPerfmon calls ask with the capabilities BPF and NET_ADMIN only, on a thread that
// ends with it.
func withoutPerfmon(ask func() (*kernel.Loaded, error)) (l *kernel.Loaded, err error) {
	if err := kernel.Available(); err != nil { // asked with all capabilities
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread dies with the goroutine
		const bpf, netAdmin = unix.CAP_BPF, unix.CAP_NET_ADMIN
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var sets [2]unix.CapUserData
		for _, c := range []uint{bpf, netAdmin} {
			sets[c/32].Effective |= 1 << (c % 32)
			sets[c/32].Permitted |= 1 << (c % 32)
		}
		if err = unix.Capset(&header, &sets[0]); err != nil {
			err = errors.Join(errors.New("drop capabilities"), err)
			return
		}
		l, err = ask()
	}()
	<-done
	return l, err
}
