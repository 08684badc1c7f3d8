package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/sandbpf/sandbpf"
)

// runReport is what the command run has found out.
type runReport struct {
	Program      programInfo    `json:"program"`
	Runs         int            `json:"runs"`
	Stopped      int            `json:"stopped"` // by an error
	Instructions uint64         `json:"instructions"`
	Time         time.Duration  `json:"time_ns,omitempty"` // of all runs, with --repeat
	Truncated    int            `json:"truncated_packets,omitempty"`
	Verdicts     []verdictCount `json:"verdicts"`
	Packets      []packetRow    `json:"packets,omitempty"`
	Events       []event        `json:"events,omitempty"`
	Maps         []mapDump      `json:"maps"`
	Variables    []variableDump `json:"variables,omitempty"`
	Notes        []string       `json:"notes,omitempty"`
}

type programInfo struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Section string `json:"section,omitempty"`
}

type verdictCount struct {
	Verdict string  `json:"verdict"`
	Value   *uint64 `json:"value,omitempty"`
	Packets int     `json:"packets"`
	Bytes   int     `json:"bytes"`
}

type packetRow struct {
	Number       int      `json:"number"`
	Time         float64  `json:"time"` // seconds since the first
	Bytes        int      `json:"bytes"`
	Verdict      string   `json:"verdict"`
	Value        uint64   `json:"value"`
	Instructions uint64   `json:"instructions"`
	Summary      string   `json:"summary,omitempty"`
	Notes        []string `json:"notes,omitempty"`
	After        rawBytes `json:"after,omitempty"`
}

// count adds a run to the table of verdicts.
func (r *runReport) count(o outcome, size int, stopped bool) {
	i := slices.IndexFunc(r.Verdicts, func(v verdictCount) bool { return v.Verdict == o.Verdict })
	if i < 0 {
		i = len(r.Verdicts)
		v := verdictCount{Verdict: o.Verdict}
		if !stopped && o.Verdict != "keep" { // which has many values
			v.Value = &o.Value
		}
		r.Verdicts = append(r.Verdicts, v)
	}
	r.Verdicts[i].Packets++
	r.Verdicts[i].Bytes += size
}

// maxStopped is how many runs that were stopped are told of, unless each packet is shown.
const maxStopped = 5

// verbose reports whether each run is shown: with -v, and if there is only one.
func (r *runner) verbose() bool { return *r.flags.verbose || r.single && *r.flags.repeat == 1 }

// show shows a run.
func (r *runner) show(row packetRow, err error) {
	out := r.env.stdout
	switch {
	case *r.flags.json:
		r.report.Packets = append(r.report.Packets, row)
		return
	case !r.verbose():
		fmt.Fprintf(out, "%s %d: stopped: %v\n", r.target.unit(), row.Number, err)
		return
	case r.report.Runs == 1:
		fmt.Fprintf(out, "%6s  %10s  %6s  %6s  %-15s  %s\n", "#", "time", "bytes", "insns", "verdict", r.target.unit())
	}
	line := fmt.Sprintf("%6d  %10.6f  %6d  %6d  %-15s  %s", row.Number, row.Time, row.Bytes, row.Instructions, row.Verdict, rowText(row))
	fmt.Fprintln(out, strings.TrimRight(line, " "))
	if r.single && row.After != nil {
		fmt.Fprintf(out, "%s after: %s\n", r.report.inputWord(), bytesText(row.After))
	}
}

func rowText(row packetRow) string {
	parts := row.Notes
	if row.Summary != "" {
		parts = append([]string{row.Summary}, parts...)
	}
	return strings.Join(parts, "; ")
}

// inputWord returns what the program has been given.
func (r *runReport) inputWord() string {
	if r.Program.Type == "memory" {
		return "memory"
	}
	return "packet"
}

func (r *runner) showEvent(ev event) {
	out := r.env.stdout
	switch {
	case *r.flags.json:
		r.report.Events = append(r.report.Events, ev)
	case ev.Trace != "":
		fmt.Fprintf(out, "%s %d: trace: %s\n", r.target.unit(), ev.Packet, printable(ev.Trace))
	case ev.Lost != 0:
		fmt.Fprintf(out, "%s %d: %s: %s lost\n", r.target.unit(), ev.Packet, ev.Map, plural(ev.Lost, "sample"))
	default:
		fmt.Fprintf(out, "%s %d: %s: %s\n", r.target.unit(), ev.Packet, ev.Map, bytesText(ev.Data))
	}
}

// printable returns a line without what would move a terminal's cursor.
func printable(line string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, line)
}

// finish writes the report.
func (r *runner) finish(coll *sandbpf.Collection) error {
	rep := &r.report
	d := newDumper(coll, r.spec)
	rep.Maps, rep.Notes, rep.Time = d.maps(), r.spec.Notes, r.prog.Stats().Time
	variables, err := d.variables()
	if err != nil {
		return err
	}
	rep.Variables = variables
	slices.SortFunc(rep.Verdicts, func(a, b verdictCount) int {
		return cmp.Or(cmp.Compare(b.Packets, a.Packets), cmp.Compare(a.Verdict, b.Verdict))
	})
	if *r.flags.json {
		return r.env.writeJSON(rep)
	}
	r.write()
	return nil
}

// write writes the report for people.
func (r *runner) write() {
	out, rep := r.env.stdout, &r.report
	if r.verbose() {
		fmt.Fprintln(out)
	}
	if rep.Stopped > maxStopped && !r.verbose() {
		fmt.Fprintf(out, "and %d more were stopped: -v shows each\n", rep.Stopped-maxStopped)
	}
	fmt.Fprintf(out, "%s (%s): %s, %s", rep.Program.Name, rep.Program.Type, plural(rep.Runs, r.target.unit()), plural(rep.Instructions, "instruction"))
	if rep.Time > 0 && rep.Runs > 0 {
		fmt.Fprintf(out, ", %.1f ns a run", float64(rep.Time.Nanoseconds())/float64(rep.Runs))
	}
	fmt.Fprintln(out)
	if rep.Truncated > 0 {
		fmt.Fprintf(out, "cut short in the capture: %s\n", plural(rep.Truncated, "packet"))
	}
	fmt.Fprintln(out)
	rows := [][]string{{"verdict", "\t" + r.target.unit() + "s", "\tbytes", "\tshare"}}
	for _, v := range rep.Verdicts {
		rows = append(rows, []string{v.Verdict, fmt.Sprintf("\t%d", v.Packets), fmt.Sprintf("\t%d", v.Bytes),
			fmt.Sprintf("\t%.1f %%", 100*float64(v.Packets)/float64(rep.Runs))})
	}
	writeTable(out, "", rows)
	for i := range rep.Maps {
		fmt.Fprintln(out)
		rep.Maps[i].write(out, "")
	}
	if len(rep.Variables) > 0 {
		fmt.Fprintln(out, "\nvariables")
		rows = nil
		for _, v := range rep.Variables {
			rows = append(rows, []string{v.Name, valueText(v.Value)})
		}
		writeTable(out, "  ", rows)
	}
	if len(rep.Notes) > 0 {
		fmt.Fprintln(out)
	}
	for _, note := range rep.Notes {
		fmt.Fprintf(out, "note: %s\n", note)
	}
}
