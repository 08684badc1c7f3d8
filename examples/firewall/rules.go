package main

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sandbpf/sandbpf"
)

// maxRules is MAX_RULES of firewall.c.
const maxRules = 64

var actions = []string{"allow", "deny", "limit"} // by number, as in firewall.c

// rule is a line of a rules file: "deny 10.0.0.0/8" or "limit 2001:db8::/32 5".
type rule struct {
	action uint32
	prefix netip.Prefix
	rate   uint32 // of limit: packets a second from one source
}

func (r rule) String() string {
	if r.rate != 0 {
		return fmt.Sprintf("%s %v %d/s", actions[r.action], r.prefix, r.rate)
	}
	return fmt.Sprintf("%s %v", actions[r.action], r.prefix)
}

const defaultRules = `
deny  10.0.0.0/8
allow 10.1.0.0/16
limit 192.0.2.0/24 3
deny  2001:db8:bad::/48
`

// parseRules reads rules, one a line; what follows # is a comment.
func parseRules(r io.Reader) ([]rule, error) {
	var rules []rule
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		one, err := parseRule(words)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if rules = append(rules, one); len(rules) > maxRules {
			return nil, fmt.Errorf("line %d: more than %d rules", n, maxRules)
		}
	}
	return rules, lines.Err()
}

func parseRule(words []string) (r rule, err error) {
	switch {
	case words[0] == "limit" && len(words) == 3:
		rate, err := strconv.ParseUint(words[2], 10, 31)
		if err != nil || rate == 0 {
			return r, fmt.Errorf("%q is no number of packets a second", words[2])
		}
		r.action, r.rate = 2, uint32(rate)
	case words[0] == "deny" && len(words) == 2:
		r.action = 1
	case words[0] == "allow" && len(words) == 2:
	default:
		return r, fmt.Errorf("%q: want allow PREFIX, deny PREFIX or limit PREFIX RATE", strings.Join(words, " "))
	}
	r.prefix, err = netip.ParsePrefix(words[1])
	return r, err
}

// install stores the rules in the maps of the firewall.
func install(coll *sandbpf.Collection, rules []rule) error {
	for i, r := range rules {
		sources := "sources6"
		if r.prefix.Addr().Is4() {
			sources = "sources4"
		}
		if err := coll.Map(sources).Put(r.prefix.Masked(), uint32(i)); err != nil {
			return err
		}
		if err := coll.Map("rules").Put(uint32(i), [2]uint32{r.action, r.rate}); err != nil {
			return err
		}
	}
	return nil
}
