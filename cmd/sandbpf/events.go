package main

import (
	"errors"
	"strings"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/maps"
)

// event is what a program has sent to user space during a run: a record of a ring
// buffer, a sample of a perf event array, or a line of bpf_trace_printk.
type event struct {
	Packet int      `json:"packet"` // from 1
	Map    string   `json:"map,omitempty"`
	Data   rawBytes `json:"data,omitempty"`
	Lost   uint64   `json:"lost,omitempty"` // samples that found the buffer full
	Trace  string   `json:"trace,omitempty"`
}

// eventSource reads what programs send.
type eventSource struct {
	rings []namedRing
	perfs []namedPerf
	trace []string
}

type namedRing struct {
	name string
	*maps.RingConsumer
}

type namedPerf struct {
	name string
	*maps.PerfConsumer
}

// perfBuffer is the size in bytes of the buffer for perf events.
const perfBuffer = 1 << 18

// open starts to read the maps of coll.
func (s *eventSource) open(coll *sandbpf.Collection) error {
	for _, name := range coll.Maps() {
		m := coll.Map(name)
		switch m.Type() {
		case maps.RingBuf:
			r, err := maps.NewRingConsumer(m)
			if err != nil {
				return err
			}
			s.rings = append(s.rings, namedRing{name, r})
		case maps.PerfEventArray:
			p, err := maps.NewPerfConsumer(m, maps.PerfBuffers{Bytes: perfBuffer})
			if err != nil {
				return err
			}
			s.perfs = append(s.perfs, namedPerf{name, p})
		}
	}
	return nil
}

func (s *eventSource) close() error {
	var errs []error
	for _, r := range s.rings {
		errs = append(errs, r.Close())
	}
	for _, p := range s.perfs {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// Write implements [io.Writer] for lines of bpf_trace_printk.
func (s *eventSource) Write(line []byte) (int, error) {
	s.trace = append(s.trace, strings.TrimRight(string(line), "\n"))
	return len(line), nil
}

// drain calls each for what has been sent since the last call.
func (s *eventSource) drain(each func(event)) {
	for _, line := range s.trace {
		each(event{Trace: line})
	}
	s.trace = s.trace[:0]
	for _, r := range s.rings {
		for data, ok := r.Next(nil); ok; data, ok = r.Next(nil) {
			each(event{Map: r.name, Data: data})
		}
	}
	for _, p := range s.perfs {
		for rec, ok := p.Next(nil); ok; rec, ok = p.Next(nil) {
			each(event{Map: p.name, Data: rec.Sample, Lost: rec.Lost})
		}
	}
}
