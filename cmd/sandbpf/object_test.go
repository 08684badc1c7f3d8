package main

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/maps"
)

// TestInspectUnsupported inspects what no object of the repository has.
func TestInspectUnsupported(t *testing.T) {
	program := func(name string, typ sandbpf.ProgramType, insns ...asm.Instruction) *sandbpf.ProgramSpec {
		return &sandbpf.ProgramSpec{Name: name, Type: typ, Section: name, License: "none", Instructions: insns}
	}
	in, err := inspectObject(&sandbpf.CollectionSpec{
		Programs: map[string]*sandbpf.ProgramSpec{
			"gpl":    program("gpl", sandbpf.XDP, asm.FnKtimeGetNs.Call(), asm.FnTracePrintk.Call(), asm.Return()),
			"kfunc":  program("kfunc", sandbpf.XDP, asm.CallKfunc("bpf_rcu_read_lock"), asm.Return()),
			"broken": program("broken", sandbpf.XDP, asm.Mov.Imm(asm.R0, 0)),
			"maps":   program("maps", sandbpf.XDP, asm.LoadMapPtr(asm.R1, "socks"), asm.Return()),
		},
		Maps: map[string]*maps.Spec{
			"socks": {Name: "socks", Type: maps.SockMap, KeySize: 4, ValueSize: 4, MaxEntries: 1},
			"odd":   {Name: "odd", Type: maps.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1, Flags: maps.FlagNoPrealloc | 1<<30},
		},
	})
	require.NoError(t, err)
	reasons := make(map[string]string)
	for _, p := range in.Programs {
		reasons[p.Name] = p.Unsupported
	}
	require.Contains(t, reasons["gpl"], "GPL")
	require.Contains(t, reasons["kfunc"], "bpf_rcu_read_lock")
	require.Contains(t, reasons["broken"], "exit")
	require.Equal(t, "map socks cannot be made: map type SockMap has no implementation", reasons["maps"])
	for _, m := range in.Maps {
		require.NotEmpty(t, m.Unsupported, m.Name)
	}
	var out bytes.Buffer
	in.write(&out)
	require.Contains(t, out.String(), "flags      BPF_F_NO_PREALLOC, 0x40000000")
	require.Regexp(t, `map socks\n  type       SockMap of 1 element\n(.*\n)*?  runs here  no: `, out.String())
}

// TestVerifyNoProgram has the place of what is refused before it is verified.
func TestVerifyNoProgram(t *testing.T) {
	spec := &sandbpf.CollectionSpec{Programs: map[string]*sandbpf.ProgramSpec{"p": {Name: "p", Type: sandbpf.XDP,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), {Op: 0x05, Off: 9}, asm.Return()},
		Lines:        []sandbpf.Line{{Slot: 1, File: "p.c", Number: 7, Text: "goto out;"}}}}}
	unprivileged, log := false, false
	v := (&verifyFlags{unprivileged: &unprivileged, log: &log}).verifyProgram(&env{}, "p.o", spec, "p")
	require.Equal(t, "refused", v.Verdict)
	require.Equal(t, 1, *v.Insn)
	require.Equal(t, "p.c:7: goto out;", v.Line)
	require.Equal(t, "jump to 11, outside of function p at [0, 3)", v.Reason)
}

// TestDumpMap dumps a map with more than is shown, and one that cannot be read.
func TestDumpMap(t *testing.T) {
	d := &dumper{}
	m, err := maps.NewWithOptions(&maps.Spec{Name: "m", Type: maps.Hash, KeySize: 4, ValueSize: 2, MaxEntries: 200}, maps.Options{NumCPU: 1})
	require.NoError(t, err)
	defer m.Close()
	for i := range uint32(maxShown + 3) {
		require.NoError(t, m.Put([]byte{byte(i), 0, 0, 1}, []byte{byte(i), 0xff}))
	}
	dump := d.dump("m", m, nil)
	require.Len(t, dump.Entries, maxShown+3)
	var out bytes.Buffer
	dump.write(&out, "")
	require.Contains(t, out.String(), fmt.Sprintf("map m: Hash, %d of 200 elements\n  00 00 00 01: 00 ff\n  01 00 00 01: 01 ff\n", maxShown+3))
	require.Contains(t, out.String(), "\n  and 3 more: --json shows all\n")

	secret, err := maps.New(&maps.Spec{Name: "secret", Type: maps.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1, Flags: maps.FlagWronly})
	require.NoError(t, err)
	defer secret.Close()
	dump = d.dump("secret", secret, nil)
	require.NotEmpty(t, dump.Error)
	out.Reset()
	dump.write(&out, "")
	require.Contains(t, out.String(), "not all is shown: "+dump.Error)

	large, err := maps.New(&maps.Spec{Name: "large", Type: maps.Array, KeySize: 4, ValueSize: 1 << 20, MaxEntries: 1 << 12})
	require.NoError(t, err)
	defer large.Close()
	dump = d.dump("large", large, nil)
	require.Equal(t, "it has more than 65 elements", dump.Error, "of 4 GiB, that much is read")
}
