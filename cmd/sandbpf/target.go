package main

import (
	"context"
	"fmt"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/hooks"
)

// outcome is what a run has done.
type outcome struct {
	Verdict string // "XDP_DROP", "keep 64 bytes"
	Value   uint64 // r0
	Packet  []byte // after the run, good until the next
	Notes   []string
}

// target is where a program gets its packets.
type target interface {
	fire(packet []byte) (outcome, error)
	// unit is the word for an input: "packet", "run".
	unit() string
	close() error
}

// targetOf attaches a program to a hook of its type.
func targetOf(p *sandbpf.Program) (target, error) {
	const name = "capture"
	switch p.Hook() {
	case hooks.XDP:
		point := hooks.NewXDP(name)
		link, err := point.Attach(p)
		return &xdpTarget{attached: attached{link}, point: point}, err
	case hooks.SchedCLS:
		point := hooks.NewTC(name)
		link, err := point.Attach(p)
		return &tcTarget{attached: attached{link}, point: point}, err
	case hooks.SocketFilter:
		point := hooks.NewSocketFilter(name)
		link, err := point.Attach(p)
		return &socketTarget{attached: attached{link}, point: point}, err
	case hooks.Memory:
		return &memoryTarget{prog: p}, nil
	}
	return nil, unsupportedf("programs for hook %s cannot run here", p.Hook())
}

// attached is a target that is a hook for packets.
type attached struct{ link *hooks.Link }

func (attached) unit() string   { return "packet" }
func (a attached) close() error { return a.link.Detach() }

type xdpTarget struct {
	attached
	point *hooks.XDPPoint
	res   hooks.XDPResult
}

func (t *xdpTarget) fire(packet []byte) (outcome, error) {
	if err := t.point.Fire(&hooks.XDPEvent{Packet: packet}, &t.res); err != nil {
		return outcome{}, err
	}
	o := outcome{Verdict: t.res.Action.String(), Value: uint64(t.res.Action), Packet: t.res.Packet}
	if len(t.res.Meta) > 0 {
		o.note("metadata % x", t.res.Meta)
	}
	o.redirect(t.res.Redirect)
	return o, nil
}

type tcTarget struct {
	attached
	point *hooks.TCPoint
	res   hooks.SKBResult
}

func (t *tcTarget) fire(packet []byte) (outcome, error) {
	if err := t.point.Fire(&hooks.SKBEvent{Packet: packet, Ingress: true}, &t.res); err != nil {
		return outcome{}, err
	}
	o := outcome{Verdict: t.res.Action().String(), Value: uint64(uint32(t.res.Ret)), Packet: t.res.Packet}
	if t.res.Ctx.Mark != 0 {
		o.note("mark %#x", t.res.Ctx.Mark)
	}
	o.redirect(t.res.Redirect)
	for _, c := range t.res.Clones {
		o.note("clone to ifindex %d", c.Ifindex)
	}
	return o, nil
}

type socketTarget struct {
	attached
	point *hooks.SocketPoint
	res   hooks.SKBResult
}

// fire lets a filter judge a packet. A filter cannot change it.
func (t *socketTarget) fire(packet []byte) (outcome, error) {
	if err := t.point.Fire(&hooks.SKBEvent{Packet: packet, Ingress: true}, &t.res); err != nil {
		return outcome{}, err
	}
	o := outcome{Verdict: "keep", Value: uint64(uint32(t.res.Ret)), Packet: packet}
	switch n := uint32(t.res.Ret); {
	case n == 0:
		o.Verdict = "drop"
	case int(n) < len(t.res.Packet):
		o.note("the first %s", plural(n, "byte"))
	}
	return o, nil
}

// memoryTarget runs a program without a type.
type memoryTarget struct {
	prog *sandbpf.Program
	run  hooks.TestRun
}

func (t *memoryTarget) unit() string { return "run" }
func (t *memoryTarget) close() error { return nil }

func (t *memoryTarget) fire(memory []byte) (outcome, error) {
	t.run.Data = memory
	if err := t.prog.Run(context.Background(), &t.run); err != nil {
		return outcome{}, err
	}
	return outcome{Verdict: fmt.Sprintf("r0 = %#x", t.run.Ret), Value: t.run.Ret, Packet: t.run.DataOut}, nil
}

func (o *outcome) note(format string, args ...any) {
	o.Notes = append(o.Notes, fmt.Sprintf(format, args...))
}

// redirect notes where a packet has been sent.
func (o *outcome) redirect(r hooks.Redirect) {
	switch kind := r.Kind.String(); {
	case kind == "none":
	case r.Map != nil:
		o.note("%s %s[%d]", kind, r.Map.Name(), r.Key)
	default:
		o.note("%s ifindex %d", kind, r.Ifindex)
	}
}
