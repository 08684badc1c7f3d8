package main

import (
	"errors"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/internal/listing"
)

// nativeOf loads a program and returns its machine code.
func nativeOf(spec *sandbpf.CollectionSpec, name string) (lines []listing.Native, err error) {
	vm, err := sandbpf.New(sandbpf.WithCPUs(1))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, vm.Close()) }()
	coll, err := vm.LoadCollection(reachable(spec, name))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, coll.Close()) }()
	code, slots := coll.Program(name).Native()
	if code == nil {
		return nil, unsupportedf("program %s is interpreted here: there is no machine code", name)
	}
	return listing.Disassemble(code, slots), nil
}
