package main

import (
	"errors"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/internal/listing"
)

// nativeOf loads a program and returns its machine code, without the program's constants if it
// is to be blind.
func nativeOf(spec *sandbpf.CollectionSpec, name string, blind bool) (lines []listing.Native, err error) {
	options := []sandbpf.Option{sandbpf.WithCPUs(1)}
	if blind {
		options = append(options, sandbpf.WithBlinding())
	}
	vm, err := sandbpf.New(options...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, vm.Close()) }()
	if spec, err = spec.Only(name); err != nil {
		return nil, err
	}
	coll, err := vm.LoadCollection(spec)
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
