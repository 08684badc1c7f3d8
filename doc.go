// Package sandbpf runs eBPF programs inside a Go program: on any system, without
// privileges, verified when they are loaded.
//
// A program comes from an object file by package loader, or from a few
// instructions of package asm. It is loaded into a [VM], and runs when an event
// comes to the hook that it is attached to (package hooks), or by a test run:
//
//	spec, err := loader.LoadSpec("policy.o")
//	vm, err := sandbpf.New()
//	coll, err := vm.LoadCollection(spec)
//	ret, out, err := coll.Program("policy").Test(packet)
//	err = coll.Map("counters").Lookup(uint32(0), &n)
//	err = coll.Close()
//	err = vm.Close()
//
// A program that might do what it may not is refused by an error that says where in the
// source that is and why, see package verifier. One that is loaded all the same, by
// [WithoutVerifier], stops with a [Fault] where it does; nothing else happens.
package sandbpf
