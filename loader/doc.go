// Package loader makes blueprints out of compiled programs: an ELF object, or a
// collection that cilium/ebpf has read, becomes a [sandbpf.CollectionSpec].
//
// It is built on cilium/ebpf, and does without a kernel: externs get their values
// from options, and CO-RE relocations are resolved against the types that the
// program was compiled with, unless an option names others.
//
// What becomes of the parts of an object:
//
//   - A function in a section of its own is a program; its type follows from the
//     name of the section as in libbpf, unless [WithProgramType] says otherwise:
//     "xdp" and "xdp/filter" are xdp, "xdp_filter" is not.
//     Functions of .text are part of the programs that call them.
//   - Maps of .maps and of legacy "maps" sections are maps of the same name. Pinning
//     is noted and ignored.
//   - .data*, .rodata*, .bss and .kconfig are maps of one element, and their global
//     variables are Variables. .rodata* and .kconfig are frozen when loaded.
//   - A __kconfig variable gets its value from [WithKconfig].
//   - A __ksym variable has the address that [WithKsyms] gives, or zero if it is
//     weak. If it is neither, the reference stays for the verifier to judge; it
//     cannot be run. Calls of kernel functions keep their name and prototype.
//
// # Security
//
// Objects may come from anywhere. Their structure is checked before debug/elf and
// cilium/ebpf read them: sections within the file and not on top of each other,
// limits on what a small file can make a reader allocate. What still panics
// behind that becomes an error at the border of this package.
package loader
