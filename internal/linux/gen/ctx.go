package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sandbpf/sandbpf/internal/helper"
)

// sizes are the sizes of accesses, by their logarithm.
var sizes = []string{"1", "2", "4", "8"}

// context is the table of the sorts of program whose names come before it.
type context struct {
	sorts       []string
	read, write [4][]string // literals of spans
}

// kinds are the types of fields in the notation of the kernel's log, and what they are here.
var kinds = map[string]string{
	"scalar": "Number", "pkt": "Packet", "pkt_end": "PacketEnd", "pkt_meta": "PacketMeta", "sock_common": "SockCommon",
	"sock": "Socket", "tcp_sock": "TCPSock", "xdp_sock": "XDPSock", "flow_keys": "FlowKeys", "tp_buffer": "TPBuffer",
	"buf": "Buffer",
}

// field returns the Go literal of a field, without its type, for "trusted_ptr_or_null_sock".
func field(text string) (string, error) {
	var parts []string
	rest := text
	if ptr, ok := strings.CutPrefix(rest, "trusted_"); ok && strings.HasPrefix(ptr, "ptr_") {
		parts, rest = append(parts, "Trusted: true"), ptr
	}
	if name, ok := strings.CutPrefix(rest, "ptr_"); ok {
		if left, ok := strings.CutPrefix(name, "or_null_"); ok {
			parts, name = append(parts, "OrNull: true"), left
		}
		parts = append([]string{"Kind: BTF"}, parts...)
		return "{" + strings.Join(append(parts, fmt.Sprintf("Struct: %q", name)), ", ") + "}", nil
	}
	if buf, ok := strings.CutPrefix(rest, "rdonly_"); ok {
		parts, rest = append(parts, "Rdonly: true"), buf
	}
	if kind, ok := strings.CutSuffix(rest, "_or_null"); ok {
		parts, rest = append(parts, "OrNull: true"), kind
	}
	kind, ok := kinds[rest]
	if !ok {
		return "", fmt.Errorf("unknown type %q", text)
	}
	return "{" + strings.Join(append([]string{"Kind: " + kind}, parts...), ", ") + "}", nil
}

// span returns the Go literal of a word like "0..72" or "76..80:pkt".
func span(word string) (string, error) {
	bounds, kind, typed := strings.Cut(word, ":")
	low, high, ok := strings.Cut(bounds, "..")
	off, err1 := strconv.ParseUint(low, 10, 16)
	end, err2 := strconv.ParseUint(high, 10, 16)
	if !ok || err1 != nil || err2 != nil || off >= end {
		return "", fmt.Errorf("bad range %q", word)
	}
	if !typed {
		return fmt.Sprintf("{off: %d, end: %d}", off, end), nil
	}
	f, err := field(kind)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("{off: %d, end: %d, field: Field%s}", off, end, f), nil
}

// line adds an indented line.
func (c *context) line(words []string) error {
	if len(words) < 3 || words[0] != "read" && words[0] != "write" {
		return fmt.Errorf("neither read nor write with ranges")
	}
	size := slices.Index(sizes, words[1])
	if size < 0 {
		return fmt.Errorf("bad size %q", words[1])
	}
	into := &c.read[size]
	if words[0] == "write" {
		into = &c.write[size]
	}
	for _, word := range words[2:] {
		s, err := span(word)
		if err != nil {
			return err
		}
		*into = append(*into, s)
	}
	return nil
}

func parseContexts(text string) ([]context, error) {
	var list []context
	lines := false // below the names
	err := eachLine(text, func(indented bool, words []string) error {
		switch {
		case indented && len(list) == 0:
			return fmt.Errorf("no sort of program before this line")
		case indented:
			lines = true
			return list[len(list)-1].line(words)
		case lines || len(list) == 0:
			list = append(list, context{})
			lines = false
		}
		c := &list[len(list)-1]
		c.sorts = append(c.sorts, strings.Join(words, " "))
		return nil
	})
	return list, err
}

func printContexts(b *bytes.Buffer, text string) error {
	list, err := parseContexts(text)
	if err != nil {
		return err
	}
	b.WriteString("// contexts are the tables; which is whose is in the maps below.\nvar contexts = [...]Context{\n")
	byName := map[string]int{}
	for i := range list {
		fmt.Fprintf(b, "{ // %s\n", strings.Join(list[i].sorts, ", "))
		printSpans(b, "read", &list[i].read)
		printSpans(b, "write", &list[i].write)
		b.WriteString("},\n")
		for _, name := range list[i].sorts {
			byName[name] = i
		}
	}
	b.WriteString("}\n\n// variantContexts are indices of contexts by variant, -1 for none.\nvar variantContexts = [...]int8{")
	for _, name := range helper.VariantNames() {
		i, ok := byName[name]
		if !ok {
			i = -1
		}
		delete(byName, name)
		fmt.Fprintf(b, "%d,", i)
	}
	b.WriteString("}\n\n")
	return printOthers(b, byName)
}

func printSpans(b *bytes.Buffer, name string, spans *[4][]string) {
	if slices.IndexFunc(spans[:], func(s []string) bool { return len(s) > 0 }) < 0 {
		return
	}
	fmt.Fprintf(b, "%s: [4][]span{\n", name)
	for i, list := range spans {
		if len(list) > 0 {
			fmt.Fprintf(b, "%d: {%s},\n", i, strings.Join(list, ", "))
		}
	}
	b.WriteString("},\n")
}

// printOthers prints which contexts belong to what is no variant.
func printOthers(b *bytes.Buffer, byName map[string]int) error {
	var attach, iters, socks []string
	for name, i := range byName {
		if variant, at, ok := strings.Cut(name, "@"); ok {
			v := slices.Index(helper.VariantNames(), variant)
			if _, err := strconv.ParseUint(at, 10, 8); v < 0 || err != nil {
				return fmt.Errorf("unknown sort of program %q", name)
			}
			attach = append(attach, fmt.Sprintf("{%d, %s, %d}, // %s", v, at, i, name))
		} else if target, ok := strings.CutPrefix(name, "tracing/iter:"); ok {
			iters = append(iters, fmt.Sprintf("{%q, %d},", target, i))
		} else if kind, ok := kinds[strings.TrimPrefix(name, "struct ")]; ok {
			socks = append(socks, fmt.Sprintf("case %s: return &contexts[%d]", kind, i))
		} else {
			return fmt.Errorf("unknown sort of program %q", name)
		}
	}
	slices.Sort(attach)
	slices.Sort(iters)
	slices.Sort(socks)
	fmt.Fprintf(b, "// attachContexts are those of attach types that differ from their variant's.\nvar attachContexts = [...]attachContext{\n%s\n}\n\n",
		strings.Join(attach, "\n"))
	fmt.Fprintf(b, "// iterContexts are those of iterators that are no variants.\nvar iterContexts = [...]iterContext{\n%s\n}\n\n",
		strings.Join(iters, "\n"))
	fmt.Fprintf(b, "// sockContext is how a socket may be accessed, nil if k is none.\nfunc sockContext(k Kind) *Context {\nswitch k {\n%s\n}\nreturn nil\n}\n",
		strings.Join(socks, "\n"))
	return nil
}
