package helper

import (
	"unsafe"

	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// keyArg returns the map and the key of a call (map, key, ...).
func keyArg(c *vm.CPU, args *[5]uint64) (*maps.Map, []byte, error) {
	m, err := mapArg(c, args[0])
	if err != nil {
		return nil, nil, err
	}
	key, err := c.Bytes(args[1], int(m.KeySize()), mem.Read)
	return m, key, err
}

// valueArg returns the map and the value of a call (map, value, ...).
func valueArg(c *vm.CPU, args *[5]uint64, perm mem.Perm) (*maps.Map, []byte, error) {
	m, err := mapArg(c, args[0])
	if err != nil {
		return nil, nil, err
	}
	value, err := c.Bytes(args[1], int(m.ValueSize()), perm)
	return m, value, err
}

func mapLookup(c *vm.CPU, args *[5]uint64) (uint64, error) {
	m, key, err := keyArg(c, args)
	if err != nil {
		return 0, err
	}
	addr := uint64(m.LookupProg(c.ID, key))
	if m.Type().MapInMap() && addr != 0 {
		return grantInner(c, addr), nil
	}
	return addr, nil
}

// grantInner lets the run use the inner map at addr, unless it was closed meanwhile.
func grantInner(c *vm.CPU, addr uint64) uint64 {
	inner, ok := maps.FromAddr(addr)
	if !ok {
		return 0
	}
	c.Grant(inner)
	return addr
}

func mapUpdate(c *vm.CPU, args *[5]uint64) (uint64, error) {
	m, key, err := keyArg(c, args)
	if err != nil {
		return 0, err
	}
	value, err := c.Bytes(args[2], int(m.ValueSize()), mem.Read)
	if err != nil {
		return 0, err
	}
	return errno(m.UpdateProg(c.ID, key, value, args[3])), nil
}

func mapDelete(c *vm.CPU, args *[5]uint64) (uint64, error) {
	m, key, err := keyArg(c, args)
	if err != nil {
		return 0, err
	}
	return errno(m.DeleteProg(key)), nil
}

func mapPush(c *vm.CPU, args *[5]uint64) (uint64, error) {
	m, value, err := valueArg(c, args, mem.Read)
	if err != nil {
		return 0, err
	}
	return errno(m.PushProg(value, args[2])), nil
}

func mapPop(c *vm.CPU, args *[5]uint64) (uint64, error) {
	m, value, err := valueArg(c, args, mem.Write)
	if err != nil {
		return 0, err
	}
	return errno(m.PopProg(value)), nil
}

func mapPeek(c *vm.CPU, args *[5]uint64) (uint64, error) {
	m, value, err := valueArg(c, args, mem.Write)
	if err != nil {
		return 0, err
	}
	return errno(m.PeekProg(value)), nil
}

func mapLookupPercpu(c *vm.CPU, args *[5]uint64) (uint64, error) {
	m, key, err := keyArg(c, args)
	if err != nil {
		return 0, err
	}
	return uint64(m.LookupPercpu(int(uint32(args[2])), key)), nil
}

// keySlab is where callbacks see the key of an element. Most keys are short;
// longer ones get an arena of their own.
var keySlab = mem.NewSlab(keyBlock)

const keyBlock = 512

// borrowKey returns n bytes outside the Go heap, and how to give them back.
func borrowKey(n int) ([]byte, func(), error) {
	if n <= keyBlock {
		p, err := keySlab.Get()
		if err != nil {
			return nil, nil, err
		}
		return unsafe.Slice((*byte)(p), n), func() { keySlab.Put(p) }, nil
	}
	a, err := mem.New(n)
	if err != nil {
		return nil, nil, err
	}
	return a.Bytes(), func() { _ = a.Close() }, nil
}

// forEachMapElem calls fn(map, key, value, ctx) for each element until it
// returns something other than 0.
func forEachMapElem(c *vm.CPU, args *[5]uint64) (uint64, error) {
	m, err := mapArg(c, args[0])
	if err != nil {
		return 0, err
	}
	if args[3] != 0 {
		return errno(maps.EINVAL), nil
	}
	key, giveBack, err := borrowKey(int(m.KeySize()))
	if err != nil {
		return 0, refuse("no memory for a key: %v", err)
	}
	defer giveBack()
	var keyAddr uintptr
	if len(key) > 0 {
		keyAddr = uintptr(unsafe.Pointer(&key[0]))
		c.AddBuffer(mem.Region{Addr: keyAddr, Len: uintptr(len(key)), Kind: mem.KindBuffer, Perm: mem.Read, Name: "map key"})
		defer c.RemoveBuffer(keyAddr)
	}
	var failed error
	fn, ctx := args[1], args[2]
	n, e := m.ForEachProg(c.ID, key, func(value uintptr) bool {
		call := [5]uint64{m.Addr(), uint64(keyAddr), uint64(value), ctx}
		ret, err := c.Call(fn, &call)
		failed = err
		return err == nil && ret == 0
	})
	if failed != nil || e != 0 {
		return errno(e), failed
	}
	return uint64(n), nil
}

// maxLoops is how often bpf_loop calls its callback at most (BPF_MAX_LOOPS).
const maxLoops = 8 << 20

// loop calls fn(i, ctx) for i from 0 up, until it returns something other than 0.
func loop(c *vm.CPU, args *[5]uint64) (uint64, error) {
	n, fn, ctx, flags := uint32(args[0]), args[1], args[2], args[3]
	switch {
	case flags != 0:
		return errno(maps.EINVAL), nil
	case n > maxLoops:
		return errno(maps.E2BIG), nil
	}
	for i := range uint64(n) {
		*args = [5]uint64{i, ctx}
		ret, err := c.Call(fn, args)
		if err != nil {
			return 0, err
		}
		if ret != 0 {
			return i + 1, nil
		}
	}
	return uint64(n), nil
}
