package verifier

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sandbpf/sandbpf/verifier/domain"
)

// kindNames are the kinds of value as the kernel's log has them (reg_type_str).
var kindNames = [...]string{
	notInit: "?", scalar: "scalar", ptrCtx: "ctx", ptrMap: "map_ptr", ptrMapValue: "map_value", ptrMapKey: "map_key", ptrStack: "fp",
	ptrPacketMeta: "pkt_meta", ptrPacket: "pkt", ptrPacketEnd: "pkt_end", ptrFlowKeys: "flow_keys", ptrSocket: "sock",
	ptrSockCommon: "sock_common", ptrTCPSock: "tcp_sock", ptrTPBuffer: "tp_buffer", ptrXDPSock: "xdp_sock", ptrBTF: "ptr_", ptrMem: "mem",
	ptrArena: "arena", ptrBuf: "buf", ptrFunc: "func", ptrDynptr: "dynptr_ptr", slotDynptr: "dynptr", slotIter: "iter", slotIRQ: "irq_flag",
}

// kindName returns a kind with its flags: "rdonly_mem_or_null".
func kindName(r *reg) string {
	var b strings.Builder
	for _, p := range [...]struct {
		f    flag
		name string
	}{{rdonly, "rdonly_"}, {ringbufMem, "ringbuf_"}, {user, "user_"}, {percpu, "percpu_"}, {inRCU, "rcu_"}, {untrusted, "untrusted_"}, {trusted, "trusted_"}} {
		if r.has(p.f) && r.isPointer() {
			b.WriteString(p.name)
		}
	}
	b.WriteString(kindNames[r.kind])
	if r.has(orNull) && r.isPointer() {
		if r.kind == ptrBTF {
			b.WriteString("or_null_")
		} else {
			b.WriteString("_or_null")
		}
	}
	return b.String()
}

// describe returns what is known of a register in the notation of the kernel's log.
func (v *verifier) describe(r *reg) string {
	var b strings.Builder
	if r.kind == scalar && r.Tnum.IsConst() && r.link == 0 {
		b.WriteString(number(int64(r.Tnum.Value)))
		return b.String()
	}
	if r.kind == notInit {
		return "?"
	}
	b.WriteString(kindName(r))
	if r.kind == ptrBTF && int(r.aux) < len(v.types) {
		b.WriteString(v.types[r.aux].Name)
	}
	if r.kind == ptrStack && r.Tnum.IsConst() {
		if v.cur != nil && int(r.frame) != v.cur.top() {
			fmt.Fprintf(&b, "[%d]", r.frame)
		}
		if off := int64(r.off) + int64(r.Tnum.Value); off != 0 {
			fmt.Fprintf(&b, "%+d", off)
		} else {
			b.WriteByte('0')
		}
		return b.String()
	}
	fields := v.fields(r)
	b.WriteByte('(')
	b.WriteString(strings.Join(fields, ","))
	b.WriteByte(')')
	return b.String()
}

// fields returns the parts of a register's description, in the kernel's order.
func (v *verifier) fields(r *reg) (list []string) {
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if r.id != 0 {
		id := strconv.Itoa(int(r.id))
		if r.kind == scalar && r.link != 0 {
			id += fmt.Sprintf("%+d", r.off)
		}
		add("id=%s", id)
	}
	if r.ref != 0 {
		add("ref_obj_id=%d", r.ref)
	}
	if r.has(nonOwn) && r.isPointer() {
		add("non_own_ref")
	}
	switch r.kind {
	case ptrMap, ptrMapValue, ptrMapKey:
		m := v.maps[r.m]
		add("map=%s", m.Name)
		add("ks=%d", m.KeySize)
		add("vs=%d", m.ValueSize)
	}
	if r.kind != scalar && r.off != 0 {
		add("off=%d", r.off)
	}
	if r.isPacket() {
		if r.size < 0 {
			add("r=%#x", uint64(int64(r.size)))
		} else {
			add("r=%d", r.size)
		}
	}
	if r.kind == ptrMem {
		add("sz=%d", r.size)
	}
	if r.Tnum.IsConst() {
		if r.Tnum.Value != 0 || r.kind == scalar {
			add("imm=%s", number(int64(r.Tnum.Value)))
		}
		return list
	}
	list = append(list, ranges(&r.Scalar)...)
	if !r.Tnum.IsUnknown() {
		add("var_off=%v", r.Tnum)
	}
	return list
}

// number prints as the kernel does: small numbers in decimal, others in hexadecimal.
func number(x int64) string {
	if x >= -32768 && x <= 65535 {
		return strconv.FormatInt(x, 10)
	}
	return "0x" + strconv.FormatUint(uint64(x), 16)
}

func unsignedNumber(x uint64) string {
	if x <= 65535 {
		return strconv.FormatUint(x, 10)
	}
	return "0x" + strconv.FormatUint(x, 16)
}

// signedNumber prints a signed limit of 64 or 32 bits.
func signedNumber(x int64, bits int) string {
	if x >= -32768 && x <= 32767 {
		return strconv.FormatInt(x, 10)
	}
	if bits == 32 {
		return "0x" + strconv.FormatUint(uint64(uint32(x)), 16)
	}
	return "0x" + strconv.FormatUint(uint64(x), 16)
}

// ranges returns the limits that are not at their extremes; those that are equal are folded
// (print_scalar_ranges).
func ranges(s *domain.Scalar) []string {
	u := &domainUnknown
	type limit struct {
		name, text string
		value      int64
		omit       bool
		max, sign  bool
	}
	limits := []limit{
		{"smin", signedNumber(s.S64.Min, 64), s.S64.Min, s.S64.Min == u.S64.Min, false, true},
		{"smax", signedNumber(s.S64.Max, 64), s.S64.Max, s.S64.Max == u.S64.Max, true, true},
		{"umin", unsignedNumber(s.U64.Min), int64(s.U64.Min), s.U64.Min == 0, false, false},
		{"umax", unsignedNumber(s.U64.Max), int64(s.U64.Max), s.U64.Max == u.U64.Max, true, false},
		{"smin32", signedNumber(int64(s.S32.Min), 32), int64(s.S32.Min), s.S32.Min == u.S32.Min, false, true},
		{"smax32", signedNumber(int64(s.S32.Max), 32), int64(s.S32.Max), s.S32.Max == u.S32.Max, true, true},
		{"umin32", unsignedNumber(uint64(s.U32.Min)), int64(s.U32.Min), s.U32.Min == 0, false, false},
		{"umax32", unsignedNumber(uint64(s.U32.Max)), int64(s.U32.Max), s.U32.Max == u.U32.Max, true, false},
	}
	var list []string
	for i := range limits {
		l := &limits[i]
		if l.omit {
			continue
		}
		names := l.name
		for j := i + 1; j < len(limits); j++ {
			o := &limits[j]
			if o.omit || o.max != l.max || o.value != l.value || l.value < 0 && !(l.sign && o.sign) {
				continue
			}
			names += "=" + o.name
			o.omit = true
		}
		list = append(list, names+"="+l.text)
	}
	return list
}

// describeSlot returns what a stack slot holds.
func (v *verifier) describeSlot(s *slot) string {
	const letters = "?rm0dif"
	var b strings.Builder
	switch {
	case s.spilled():
		for i := 7; i >= 0; i-- {
			if s.bytes[i] != byteSpill {
				b.WriteByte(letters[s.bytes[i]])
			}
		}
		b.WriteString(v.describe(&s.reg))
	case s.bytes[0] == byteDynptr:
		fmt.Fprintf(&b, "dynptr_%s(id=%d,ref_id=%d)", dynptrNames[s.reg.aux%6], s.reg.id, s.reg.ref)
	case s.bytes[0] == byteIter:
		state := "active"
		if s.reg.frame == iterDrained {
			state = "drained"
		}
		fmt.Fprintf(&b, "%s(ref_id=%d,state=%s,depth=%d)", strings.TrimPrefix(v.types[s.reg.aux].Name, "bpf_"), s.reg.ref, state, s.reg.size)
	default:
		for i := 7; i >= 0; i-- {
			b.WriteByte(letters[s.bytes[i]])
		}
	}
	return b.String()
}

var dynptrNames = [...]string{"?", "local", "ringbuf", "skb", "xdp", "skb_meta"}

// describeState returns the registers and slots of a frame.
func (v *verifier) describeState(i int) string {
	f := v.cur.frames[i]
	var b strings.Builder
	if i > 0 {
		fmt.Fprintf(&b, " frame%d:", i)
	}
	for r := range f.regs {
		if f.regs[r].kind != notInit {
			fmt.Fprintf(&b, " R%d=%s", r, v.describe(&f.regs[r]))
		}
	}
	for n := range f.slots {
		if f.slots[n].bytes != allInvalid {
			fmt.Fprintf(&b, " fp%d=%s", -8*(n+1), v.describeSlot(&f.slots[n]))
		}
	}
	if refs := v.cur.refs; len(refs) > 0 {
		b.WriteString(" refs=")
		for i, r := range refs {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprint(&b, r.id)
		}
	}
	return b.String()
}
