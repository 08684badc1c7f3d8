package linux

import (
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// The kernel tells the flags of kfuncs by what it says of calls that break their rules.

// A kfunc that may sleep is refused to programs that may not.
func TestKfuncSleepableKernel(t *testing.T) {
	spec := needKernel(t)
	sorts := variantSorts(t, spec)
	for _, k := range Kfuncs() {
		for _, name := range []string{"tracing/tp_btf:sys_enter", "sched_cls", "xdp", "cgroup_skb/egress", "struct_ops"} {
			v := variantOf(t, name)
			if s, ok := sorts[v]; ok && k.Allowed.Has(v) {
				log, _ := s.ask(t, callKfunc(t, &k))
				require.Equal(t, k.Flags&KfSleepable != 0, strings.Contains(log, "must be sleepable"), "%s: %s", k.Name, log)
				break
			}
		}
	}
}

// A kfunc that takes trusted pointers, or such that RCU protects, or gives up a reference,
// refuses null.
func TestKfuncNullKernel(t *testing.T) {
	spec := needKernel(t)
	needTables(t)
	sorts := variantSorts(t, spec)
	var zeros [][]byte
	for r := range byte(5) {
		zeros = append(zeros, insn(0xb7, r+1, 0, 0, 0))
	}
	asked := 0
	for _, k := range Kfuncs() {
		first := slices.IndexFunc(k.Proto.Params, func(p prog.BTFParam) bool { return p.Type.Kind == prog.BTFPointer })
		if first < 0 || strings.Contains(k.Proto.Params[first].Name, "__") {
			continue // what a suffix says of the argument comes before
		}
		for v, s := range sorts {
			if !k.Allowed.Has(v) {
				continue
			}
			if s.flags = flagSleepable; s.typ != prog.Syscall && k.Flags&KfSleepable == 0 {
				s.flags = 0
			}
			log, _ := s.ask(t, append(zeros, callKfunc(t, &k))...)
			if strings.Contains(log, "device-bound") || strings.Contains(log, "sleepable") {
				continue // refused before it looks at arguments
			}
			want := k.Flags&(KfTrustedArgs|KfRCU|KfRelease) != 0
			require.Equal(t, want, strings.Contains(log, "Possibly NULL pointer passed to trusted arg"), "%s: %s", k.Name, log)
			asked++
			break
		}
	}
	require.Greater(t, asked, 100)
}

// caller makes a program around a call.
type caller struct {
	sort    sort
	before  [][]byte
	args    [][]byte
	after   [][]byte
	scratch int // bytes of the stack in use
}

// newCaller makes a program of the first of some sorts that may call k, nil if none may: r6
// is the context, r7 a task if it has one.
func newCaller(t testing.TB, k *Kfunc, names ...string) *caller {
	spec := needKernel(t)
	sorts := variantSorts(t, spec)
	for _, name := range names {
		v := variantOf(t, name)
		s, ok := sorts[v]
		if !ok || !k.Allowed.Has(v) || k.Flags&KfSleepable != 0 && s.typ != prog.Syscall ||
			takes(k, "xdp_md") && s.typ != prog.XDP || takes(k, "__sk_buff") && s.typ != prog.SchedCLS {
			continue
		}
		c := &caller{sort: s, before: [][]byte{insn(0xbf, 6, 1, 0, 0)}}
		if s.typ == prog.Tracing {
			c.before = append(c.before, insn(0x79, 7, 1, 8, 0))
		}
		return c
	}
	return nil
}

// takes reports whether a kfunc has an argument of a struct.
func takes(k *Kfunc, name string) bool {
	return slices.ContainsFunc(k.Proto.Params, func(p prog.BTFParam) bool {
		return p.Type.Kind == prog.BTFPointer && p.Type.Elem.Name == name
	})
}

// acquirers are kfuncs that give an object to call others with, and those that take it back.
var acquirers = map[string][2]string{
	"cgroup":      {"bpf_cgroup_from_id", "bpf_cgroup_release"},
	"bpf_cpumask": {"bpf_cpumask_create", "bpf_cpumask_release"},
	"bpf_key":     {"bpf_lookup_system_key", "bpf_key_put"},
}

// arg sets the register of an argument, and reports whether it knew how to.
func (c *caller) arg(t testing.TB, i int, p prog.BTFParam) bool {
	r := byte(i + 1)
	if p.Type.Kind != prog.BTFPointer {
		value := int32(1)
		if strings.Contains(p.Name, "__sz") {
			value = 12
		}
		c.args = append(c.args, insn(0xb7, r, 0, 0, value))
		return true
	}
	name := p.Type.Elem.Name
	switch name {
	case "task_struct":
		c.args = append(c.args, insn(0xbf, r, 7, 0, 0))
		return c.sort.typ == prog.Tracing
	case "__sk_buff", "xdp_md":
		c.args = append(c.args, insn(0xbf, r, 6, 0, 0))
		return true
	case "bpf_sock_tuple", "bpf_ct_opts", "bpf_xfrm_state_opts":
		c.stack(r)
		return true
	}
	with, ok := acquirers[name]
	if !ok {
		return false
	}
	get, _ := KfuncByName(with[0])
	put, _ := KfuncByName(with[1])
	c.before = append(c.before, insn(0xb7, 1, 0, 0, 1), callKfunc(t, get), insn(0x55, 0, 0, 2, 0), // not null, else exit
		insn(0xb7, 0, 0, 0, 0), insn(0x95, 0, 0, 0, 0), insn(0xbf, 8, 0, 0, 0))
	c.args = append(c.args, insn(0xbf, r, 8, 0, 0))
	c.after = append(c.after, insn(0xbf, 1, 8, 0, 0), callKfunc(t, put))
	return true
}

// allArgs sets the registers of all arguments, and reports whether it knew how to.
func (c *caller) allArgs(t testing.TB, k *Kfunc) bool {
	for i, p := range k.Proto.Params {
		if !c.arg(t, i, p) {
			return false
		}
	}
	return true
}

// stack sets a register to zeroed memory.
func (c *caller) stack(r byte) {
	const size = 40
	c.scratch += size
	for off := range size / 8 {
		c.before = append(c.before, insn(0x7a, 10, 0, int16(8*off-c.scratch), 0))
	}
	c.args = append(c.args, insn(0xbf, r, 10, 0, 0), insn(0x07, r, 0, 0, int32(-c.scratch)))
}

// log returns what the kernel says of the program, with insns between the call and the end.
func (c *caller) log(t testing.TB, k *Kfunc, insns ...[]byte) string {
	code := slices.Concat(c.before, c.args, [][]byte{callKfunc(t, k)}, insns, c.after, [][]byte{insn(0xb7, 0, 0, 0, 0), insn(0x95, 0, 0, 0, 0)})
	l, err := kernel.Load(kernel.Prog{
		Type: ebpf.ProgramType(c.sort.typ), AttachType: ebpf.AttachType(c.sort.attach), AttachBTF: c.sort.btf, Flags: c.sort.flags,
		Insns: concat(code), LogLevel: 1,
	})
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Log
}

// What an acquiring kfunc returns has to be released, and what may be null is to be
// checked before use.
func TestKfuncReturnKernel(t *testing.T) {
	needKernel(t)
	asked := map[string]bool{}
	for i := range Kfuncs() {
		k := &Kfuncs()[i]
		c := newCaller(t, k, "tracing/tp_btf:sched_switch", "sched_cls", "xdp", "syscall")
		if ret := k.Proto.Return; c == nil || ret == nil || ret.Kind != prog.BTFPointer || ret.Elem.Kind != prog.BTFFwd {
			continue
		}
		if !c.allArgs(t, k) {
			continue
		}
		asked[k.Name] = true
		log := c.log(t, k)
		require.Equal(t, k.Flags&KfAcquire != 0, strings.Contains(log, "would lead to reference leak"), "%s: %s", k.Name, log)
		log = c.log(t, k, insn(0x71, 1, 0, 0, 0))
		require.Equal(t, k.Flags&KfRetNull != 0, strings.Contains(log, "R0 invalid mem access 'ptr_or_null_") ||
			strings.Contains(log, "R0 invalid mem access 'trusted_ptr_or_null_"), "%s: %s", k.Name, log)
	}
	for _, name := range []string{"bpf_task_acquire", "bpf_task_from_pid", "bpf_cgroup_ancestor", "bpf_skb_ct_lookup", "bpf_cpumask_acquire"} {
		require.True(t, asked[name], name)
	}
	t.Log(len(asked), "kfuncs asked")
}

// A kfunc takes a pointer that only RCU protects if it has the flag for it.
func TestKfuncRCUKernel(t *testing.T) {
	spec := needKernel(t)
	v := variantOf(t, "tracing/tp_btf:sched_switch")
	s, ok := variantSorts(t, spec)[v]
	if !ok {
		t.Skip("no BTF tracepoints")
	}
	needTables(t)
	load := func(from, name string) []byte {
		return insn(0x79, 1, 1, int16(member(t, Struct(from), name).BitOff/8), 0)
	}
	task := insn(0x79, 1, 1, 8, 0)
	pointers := map[string][][]byte{ // to structs, protected by RCU, in r1
		"task_struct": {task, load("task_struct", "group_leader")},
		"cpumask":     {task, load("task_struct", "cpus_ptr")},
		"cgroup":      {task, load("task_struct", "cgroups"), load("css_set", "dfl_cgrp")},
	}
	asked := 0
	for _, k := range Kfuncs() {
		if len(k.Proto.Params) == 0 || k.Proto.Params[0].Type.Kind != prog.BTFPointer || !k.Allowed.Has(v) || k.Flags&KfSleepable != 0 {
			continue
		}
		code, ok := pointers[k.Proto.Params[0].Type.Elem.Name]
		if !ok {
			continue
		}
		log, _ := s.ask(t, append(code, callKfunc(t, &k))...)
		require.Equal(t, k.Flags&KfRCU == 0, strings.Contains(log, "R1 must be referenced or trusted") ||
			strings.Contains(log, "expects refcounted") || strings.Contains(log, "R1 must be referenced"), "%s: %s", k.Name, log)
		asked++
	}
	require.Greater(t, asked, 20)
	t.Log(asked, "kfuncs asked")
}

// Of the kfuncs that XDP programs may call, those that move the packet make pointers into
// it void.
func TestKfuncMovesPacketKernel(t *testing.T) {
	needKernel(t)
	asked := map[string]bool{}
	for i := range Kfuncs() {
		k := &Kfuncs()[i]
		c := newCaller(t, k, "xdp")
		if c == nil {
			continue
		}
		c.before = append(c.before, insn(0x61, 9, 6, 0, 0), insn(0x61, 3, 6, 4, 0), insn(0xbf, 2, 9, 0, 0), insn(0x07, 2, 0, 0, 14),
			insn(0xbd, 2, 3, 2, 0), insn(0xb7, 0, 0, 0, 0), insn(0x95, 0, 0, 0, 0)) // r9 is 14 bytes, else exit
		if !c.allArgs(t, k) {
			continue
		}
		log := c.log(t, k, insn(0x71, 1, 9, 0, 0))
		require.Equal(t, k.MovesPacket(), strings.Contains(log, "R9 invalid mem access 'scalar'"), "%s: %s", k.Name, log)
		asked[k.Name] = true
	}
	require.True(t, asked["bpf_xdp_pull_data"])
	t.Log(len(asked), "kfuncs asked")
}
