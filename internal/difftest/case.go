package difftest

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/sandbpf/sandbpf/verifier"
)

// A Case is a program as bpf(2) gets it, and what Linux said of it. Numbers are those of
// the UAPI.
type Case struct {
	ID     string `json:"id"`
	Title  string `json:"title,omitempty"`
	Family string `json:"family,omitempty"` // what cases belong together

	ProgType   uint32 `json:"prog_type"`
	AttachType uint32 `json:"expected_attach_type"`
	Flags      uint32 `json:"prog_flags"`
	License    string `json:"license"`
	AttachBTF  uint32 `json:"attach_btf_id,omitempty"`

	// Insns are eight bytes each, little-endian. A ld_imm64 with src_reg 1 or 2 has an
	// index into Maps in imm, except at the instructions BadMapFDs, whose descriptor is
	// bad on purpose.
	Insns     hexBytes `json:"insns"`
	BadMapFDs []int    `json:"bad_map_fd_insns,omitempty"`
	Maps      []Map    `json:"maps"`

	BTF      []byte   `json:"btf,omitempty"`
	FuncInfo *Records `json:"func_info,omitempty"`
	LineInfo *Records `json:"line_info,omitempty"`

	Verdict string `json:"verdict"` // "accept" or "reject"
	Errno   int    `json:"errno"`
	Stage   string `json:"stage,omitempty"`  // "before" if bpf(2) refused before the verifier ran
	Reason  string `json:"reason,omitempty"` // the last line of the log
	Log     string `json:"log,omitempty"`
	Stats   Stats  `json:"stats"`

	// Kfuncs are names for the kernel functions that instructions call, by imm; those
	// not in it are called by the id of the kernel's BTF.
	Kfuncs    map[int32]string   `json:"kfuncs,omitempty"`
	Privilege verifier.Privilege `json:"privilege,omitempty"`

	structs structs // of the program's own, that its BTF has
}

// Map is a map that a program uses.
type Map struct {
	Type       uint32 `json:"type"`
	KeySize    uint32 `json:"key_size,omitempty"`
	ValueSize  uint32 `json:"value_size,omitempty"`
	MaxEntries uint32 `json:"max_entries,omitempty"`
	Flags      uint32 `json:"flags,omitempty"`
	Extra      uint64 `json:"map_extra,omitempty"`
	Inner      *Map   `json:"inner,omitempty"`

	BTF      []byte `json:"btf,omitempty"`
	BTFKey   uint32 `json:"btf_key,omitempty"`
	BTFValue uint32 `json:"btf_value,omitempty"`

	Frozen bool   `json:"frozen,omitempty"`
	Value  []byte `json:"value,omitempty"` // of the first element
}

// Records are func_info or line_info.
type Records struct {
	Count int      `json:"cnt"`
	Size  int      `json:"rec_size"`
	Hex   hexBytes `json:"hex"`
}

// Stats are the figures that Linux reports of a verification.
type Stats struct {
	Micros      int    `json:"usec"`
	Stack       string `json:"stack,omitempty"`
	Processed   int    `json:"processed"`
	TotalStates int    `json:"total_states,omitempty"`
	PeakStates  int    `json:"peak_states,omitempty"`
}

// hexBytes is bytes written in hex.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// Accepted reports whether Linux accepted the program.
func (c *Case) Accepted() bool { return c.Verdict == "accept" }

// Slots is the number of instruction slots.
func (c *Case) Slots() int { return len(c.Insns) / 8 }

// ReadCorpus reads all files of dir that end in .jsonl, a case a line, in the order of
// their names.
func ReadCorpus(dir string) ([]*Case, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var cases []*Case
	for _, name := range files {
		if cases, err = readFile(name, cases); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return cases, nil
}

func readFile(name string, cases []*Case) ([]*Case, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 256<<20)
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		c := new(Case)
		if err := json.Unmarshal(lines.Bytes(), c); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		cases = append(cases, c)
	}
	return cases, lines.Err()
}
