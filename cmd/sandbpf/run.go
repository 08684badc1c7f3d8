package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/prog"
)

var runCommand = &command{
	name:  "run",
	args:  "OBJECT [PROGRAM] (--pcap FILE | --packet HEX | --mem HEX) [OPTIONS]",
	short: "run a program over packets or memory, show verdicts and maps",
	long: `Loads an object file, attaches one of its programs (the only one, if none is
named), gives it every packet of a capture and shows how often it gave which
verdict, what it sent to user space, and what its maps and variables hold
afterwards. Of a capture that is cut off, it runs the packets in front of the cut,
and then says where that is; the exit code is 3.

Programs can be of type xdp, tc or socket filter. They see packets as they arrive
at a device called lo, all on one CPU. A socket filter sees them without the
Ethernet header. The clock is that of the capture, and random numbers are the
same each time: so are the results.

A program in a section that says no type, or with --type memory, gets the address
of some memory in r1 and its length in r2: the bytes of --mem. It is not verified, since
Linux has no such programs.

Other programs are verified first, as Linux does it; "sandbpf verify" tells more about a
refusal. With --without-verifier a program runs as it is. A run is stopped when it does
what it may not; the message says in which line of the source. The others go on, and
the exit code is 1.

Examples:

  $ sandbpf run firewall.o --pcap traffic.pcap
  $ sandbpf run firewall.o firewall --pcap traffic.pcap -v
  $ sandbpf run firewall.o --packet "$(cat syn.hex)" --json
  $ sandbpf run broken.o --pcap traffic.pcap --without-verifier --sanitize
  $ sandbpf run sum.o --mem '01 02 03 04' --type memory
  $ sandbpf run firewall.o --pcap traffic.pcap --repeat 1000   # how fast?
`,
	setup: setupRun,
}

// runFlags is what the command line of run asks for.
type runFlags struct {
	*objectFlags
	*vmFlags
	pcap, packet, mem       *string
	typ                     *string
	repeat                  *int
	json, verbose, sanitize *bool
	unverified              *bool
}

func setupRun(fs *flag.FlagSet) func(*env, []string) error {
	f := &runFlags{
		objectFlags: newObjectFlags(fs),
		vmFlags:     newVMFlags(fs),

		pcap:       fs.String("pcap", "", "packets of this capture `FILE`, pcap or pcapng"),
		packet:     fs.String("packet", "", "one packet, `HEX` digits from the Ethernet header on"),
		mem:        fs.String("mem", "", "`HEX` digits of the memory of a program without a type"),
		typ:        fs.String("type", "", "the program's type is `NAME` (xdp, tc, socket, memory), whatever its section says"),
		repeat:     fs.Int("repeat", 1, "run over the input `N` times, and measure the time"),
		json:       fs.Bool("json", false, "write JSON"),
		verbose:    fs.Bool("v", false, "show each packet"),
		unverified: fs.Bool("without-verifier", false, "run what Linux would refuse: every access is checked when it is made"),
		sanitize:   fs.Bool("sanitize", false, "also stop at reads of stack never written, packet bytes never checked, released records"),
	}
	given := func(name string) bool {
		found := false
		fs.Visit(func(fl *flag.Flag) { found = found || fl.Name == name })
		return found
	}
	return func(e *env, args []string) error { return f.run(e, args, given) }
}

func (f *runFlags) run(e *env, args []string, given func(string) bool) (err error) {
	switch {
	case len(args) == 0:
		return usageErrorf("give an object; \"-\" is standard input")
	case len(args) > 2:
		return usageErrorf("unexpected argument %q", args[2])
	case *f.repeat < 1:
		return usageErrorf("--repeat %d: at least 1", *f.repeat)
	}
	packets, cut := f.input(e, args[0], given)
	if cut != nil && len(packets) == 0 {
		return cut
	}
	spec, err := f.open(e, args[0])
	if err != nil {
		return err
	}
	p, err := pickProgram(spec, append(args, "")[1])
	if err != nil {
		return err
	}
	if err := f.setType(p, given("mem")); err != nil {
		return err
	}
	options, done, err := f.vmOptions()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	if *f.unverified {
		options = append(options, sandbpf.WithoutVerifier())
	}
	if *f.sanitize {
		options = append(options, sandbpf.WithSanitizer())
	}
	if *f.repeat > 1 {
		options = append(options, sandbpf.WithStats())
	}
	if spec, err = spec.Only(p.Name); err != nil {
		return err
	}
	r := &runner{flags: f, env: e, spec: spec, name: p.Name, packets: packets, single: !given("pcap")}
	r.report.Program = programInfo{p.Name, typeName(p.Type), p.Section}
	if err := r.run(options); err != nil {
		return err
	}
	if cut != nil {
		return cut
	}
	if r.report.Stopped > 0 {
		return errReported
	}
	return nil
}

// input returns the packets, or the memory as one; with an error, those that could be read.
func (f *runFlags) input(e *env, object string, given func(string) bool) ([]packet, error) {
	n := 0
	for _, name := range []string{"pcap", "packet", "mem"} {
		if given(name) {
			n++
		}
	}
	switch {
	case n != 1:
		return nil, usageErrorf("give one of --pcap, --packet and --mem")
	case given("pcap"):
		if *f.pcap == "-" && object == "-" {
			return nil, usageErrorf("object and capture cannot both be standard input")
		}
		data, name, err := e.read(*f.pcap)
		if err != nil {
			return nil, err
		}
		return readCapture(data, name)
	}
	name, text := "--packet", *f.packet
	if given("mem") {
		name, text = "--mem", *f.mem
	}
	data, err := parseHex(text)
	if err != nil {
		return nil, inputErrorf("%s: %w", name, err)
	}
	return []packet{{data: data}}, nil
}

// setType makes the program what --type says, and one of no known type a program over
// memory if there is memory to give it.
func (f *runFlags) setType(p *sandbpf.ProgramSpec, mem bool) error {
	switch {
	case *f.typ != "":
		t, err := typeByName(*f.typ)
		if err != nil {
			return err
		}
		p.Type = t
	case p.Type == sandbpf.Unspec && !mem:
		return usageErrorf("section %q of program %s says no type%s: give --type or --mem", p.Section, p.Name, prog.NearSection(p.Section))
	}
	switch {
	case p.Type == sandbpf.Unspec:
		p.Section, p.AttachTo = "", "" // not the name of a hook
	case mem && hooks.ByType(p.Type) != nil:
		return usageErrorf("program %s has type %s: give --packet or --pcap, or --type memory", p.Name, typeName(p.Type))
	}
	return nil
}

// runner is the state of the command.
type runner struct {
	flags   *runFlags
	env     *env
	spec    *sandbpf.CollectionSpec
	name    string
	packets []packet
	single  bool          // there is one packet, shown as a whole
	now     time.Duration // in the capture
	events  eventSource
	target  target
	prog    *sandbpf.Program
	report  runReport
}

func (r *runner) run(options []sandbpf.Option) (err error) {
	options = append(options, sandbpf.WithSeed(1), sandbpf.WithTrace(&r.events), sandbpf.WithClock(r.clock))
	vm, err := sandbpf.New(options...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, vm.Close()) }()
	coll, err := vm.LoadCollection(r.spec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, coll.Close()) }()
	r.prog = coll.Program(r.name)
	if r.target, err = targetOf(r.prog); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.target.close()) }()
	if err := r.events.open(coll); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.events.close()) }()
	r.replay()
	return r.finish(coll)
}

// clock is what time it is to programs: an hour after boot, so that a zero stands for
// never, and from there on as in the capture.
func (r *runner) clock() uint64 { return uint64(time.Hour) + uint64(r.now) }

// replay runs the program over the input, as often as it is asked for.
func (r *runner) replay() {
	for _, p := range r.packets {
		if p.cut {
			r.report.Truncated++
		}
	}
	start := time.Duration(0)
	number := 0
	for range *r.flags.repeat {
		for _, p := range r.packets {
			r.now = max(r.now, start+p.at) // captures can be out of order, clocks not
			number++
			r.one(number, p)
		}
		start = r.now
	}
}

// one runs the program over a packet.
func (r *runner) one(number int, p packet) {
	before := r.prog.Stats().Instructions
	o, err := r.target.fire(p.data)
	executed := r.prog.Stats().Instructions - before
	r.report.Runs++
	r.report.Instructions += executed
	if err != nil {
		r.report.Stopped++
		o = outcome{Verdict: "stopped", Notes: []string{err.Error()}, Packet: p.data}
	}
	r.report.count(o, len(p.data), err != nil)
	if r.verbose() || err != nil && r.report.Stopped <= maxStopped {
		r.show(r.row(number, p, o, executed), err)
	}
	r.events.drain(func(ev event) {
		ev.Packet = number
		r.showEvent(ev)
	})
}

// row returns what there is to say about a run.
func (r *runner) row(number int, p packet, o outcome, executed uint64) packetRow {
	row := packetRow{Number: number, Time: p.at.Seconds(), Bytes: len(p.data), Verdict: o.Verdict, Value: o.Value,
		Instructions: executed, Notes: o.Notes}
	if r.target.unit() == "packet" {
		row.Summary = summary(p.data)
	}
	if !bytes.Equal(o.Packet, p.data) {
		row.After = bytes.Clone(o.Packet)
		row.Notes = append(row.Notes, changeNote(p.data, o.Packet))
	}
	return row
}

func changeNote(before, after []byte) string {
	if len(before) == len(after) {
		return "rewritten"
	}
	return fmt.Sprintf("now %s", plural(len(after), "byte"))
}
