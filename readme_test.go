package sandbpf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/loader"
	"github.com/sandbpf/sandbpf/maps"
)

var updateREADME = flag.Bool("update", false, "write the generated parts of README.md anew")

// generated is a part of README.md that comes from elsewhere: declarations of a Go file, a file
// as a whole, or what is supported.
var generated = regexp.MustCompile(`(?s)<!-- (code|file|support): ([^>]*) -->\n.*?<!-- end -->`)

// TestREADME makes sure that README.md shows code which is tested, and says what is so.
func TestREADME(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("what is supported shows in objects for little-endian machines")
	}
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	parts := 0
	want := generated.ReplaceAllFunc(text, func(part []byte) []byte {
		parts++
		m := generated.FindSubmatch(part)
		kind, of := string(m[1]), string(m[2])
		return fmt.Appendf(nil, "<!-- %s: %s -->\n%s<!-- end -->", kind, of, sectionOf(t, kind, of))
	})
	require.Equal(t, bytes.Count(text, []byte("<!-- end -->")), parts)
	require.Equal(t, 4+len(supported), parts, "two examples, a refusal, and the tables of what is supported")
	if *updateREADME {
		require.NoError(t, os.WriteFile("README.md", want, 0o644))
		return
	}
	require.Equal(t, string(want), string(text), "README.md is not up to date: go test -run README -update")
}

// TestREADMENames makes sure that README.md and CONTRIBUTING.md link to what is there, and
// that README.md names each module that we depend on.
func TestREADMENames(t *testing.T) {
	for _, name := range []string{"README.md", "CONTRIBUTING.md"} {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, link := range regexp.MustCompile(`\]\(([\w./-]+)\)`).FindAllSubmatch(text, -1) {
			_, err := os.Stat(string(link[1]))
			require.NoError(t, err, name)
		}
	}
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	mod, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	direct := regexp.MustCompile(`(?m)^\t(\S+) v\S+$|^tool (\S+)$`).FindAllSubmatch(mod, -1)
	require.NotEmpty(t, direct)
	for _, m := range direct {
		require.Contains(t, string(readme), "`"+string(m[1])+string(m[2])+"`", "a dependency without a reason")
	}
}

func sectionOf(t *testing.T, kind, of string) string {
	switch kind {
	case "code":
		file, names, _ := strings.Cut(of, " ")
		return "```go\n" + declarations(t, file, strings.Fields(names)) + "```\n"
	case "file":
		text, err := os.ReadFile(of)
		require.NoError(t, err)
		language := strings.TrimPrefix(strings.TrimSuffix(filepath.Ext(of), ".txt"), ".")
		return "```" + language + "\n" + strings.ReplaceAll(string(text), "\r\n", "\n") + "```\n"
	}
	require.Contains(t, supported, of)
	return supported[of](t)
}

// supported has the tables of what is supported, by name.
var supported = map[string]func(*testing.T) string{
	"program types": programTypes,
	"map types":     mapTypes,
	"helpers":       helpers,
	"instructions":  instructions,
	"objects":       objects,
	"platforms":     platforms,
}

// declarations returns the source of declarations of a file, with their comments.
func declarations(t *testing.T, file string, names []string) string {
	src, err := os.ReadFile(file)
	require.NoError(t, err)
	src = bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, file, src, parser.ParseComments)
	require.NoError(t, err)
	var list []string
	for _, d := range syntax.Decls {
		name, doc := declared(d)
		if !slices.Contains(names, name) {
			continue
		}
		from := d.Pos()
		if doc != nil {
			from = doc.Pos()
		}
		list = append(list, string(src[fset.Position(from).Offset:fset.Position(d.End()).Offset])+"\n")
	}
	require.Len(t, list, len(names), "%s in %s", names, file)
	return strings.Join(list, "\n")
}

// declared returns the first name that d declares.
func declared(d ast.Decl) (string, *ast.CommentGroup) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		return d.Name.Name, d.Doc
	case *ast.GenDecl:
		switch s := d.Specs[0].(type) {
		case *ast.TypeSpec:
			return s.Name.Name, d.Doc
		case *ast.ValueSpec:
			return s.Names[0].Name, d.Doc
		}
	}
	return "", nil
}

func programTypes(*testing.T) string {
	var b strings.Builder
	b.WriteString("| program type | sections | context |\n| --- | --- | --- |\n")
	for _, h := range hooks.Types() {
		name, sections, context := h.Name, "", "some memory in r1, its length in r2"
		if h.Prog != prog.Unspec {
			sections, context = code(h.Sections), "`struct "+h.Layout.Name+"`"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, sections, context)
	}
	b.WriteString("| custom | the name of the hook | a Go struct (`hooks.Define`) |\n")
	var missing []string
	for typ := prog.SocketFilter; typ <= prog.Netfilter; typ++ {
		if hooks.ByType(typ) == nil {
			missing = append(missing, typ.String())
		}
	}
	fmt.Fprintf(&b, "\nNot yet: %s.\n", strings.Join(missing, ", "))
	return b.String()
}

func code(words []string) string { return "`" + strings.Join(words, "`, `") + "`" }

// shapes are sizes of maps; each type can be created with one of them.
var shapes = []maps.Spec{
	{KeySize: 4, ValueSize: 4, MaxEntries: 4},
	{KeySize: 4, ValueSize: 4, MaxEntries: 4, InnerMap: &maps.Spec{Type: maps.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}},
	{KeySize: 8, ValueSize: 4, MaxEntries: 4, Flags: maps.FlagNoPrealloc},
	{ValueSize: 4, MaxEntries: 4},
	{MaxEntries: 4096},
}

func mapTypes(t *testing.T) string {
	var have, missing []string
	for typ := maps.Hash; !strings.HasPrefix(typ.String(), "MapType("); typ++ {
		if canCreate(t, typ) {
			have = append(have, typ.String())
		} else {
			missing = append(missing, typ.String())
		}
	}
	return fmt.Sprintf("Map types: %s.\n\nNot yet: %s.\n", strings.Join(have, ", "), strings.Join(missing, ", "))
}

func canCreate(t *testing.T, typ maps.Type) bool {
	for _, spec := range shapes {
		spec.Type = typ
		m, err := maps.New(&spec)
		if err == nil {
			require.NoError(t, m.Close())
			return true
		}
		if errors.Is(err, maps.ErrNotSupported) {
			return false
		}
	}
	t.Errorf("none of the shapes is one for a map of type %v", typ)
	return false
}

func helpers(*testing.T) string {
	var names []string
	for _, p := range helper.Supported() {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return fmt.Sprintf("Helpers, %d of Linux's %d (the program types that may call one are those of Linux): %s.\n",
		len(names), len(helper.All()), strings.Join(names, ", "))
}

// example shows that something is supported: it loads. If it is not supported, refusal is
// what the error says; README.md is to change once that does not come any more.
type example struct{ name, source, refusal string }

// groups are the instructions of Linux 6.18 and a program with them each.
var groups = []example{
	{"arithmetic, moves and byte swaps of 32 and 64 bits, signed division, sign extension (`movsx`)",
		"r1 = 7\nr1 s/= -2\nw2 = w1\nr2 = (s8)r2\nr2 = be16 r2\nr2 = bswap32 r2\nr0 = 0", ""},
	{"loads and stores of 8 to 64 bits, with sign extension (`ldsx`)",
		"*(u32 *)(r10 - 4) = -1\nr0 = *(s16 *)(r10 - 4)", ""},
	{"atomic operations, load-acquire, store-release", "r0 = 0\n*(u64 *)(r10 - 8) = r0\nlock *(u64 *)(r10 - 8) += r0\n" +
		"r0 = cmpxchg_64(r10 - 8, r0, r0)\nr1 = load_acquire((u64 *)(r10 - 8))\nstore_release((u64 *)(r10 - 8), r1)", ""},
	{"jumps of 16 and 32 bits (`gotol`), `may_goto`", "r0 = 0\nmay_goto +1\ngotol +0\nif w0 s> 1 goto +0", ""},
	{"packet loads (`LD_ABS`, `LD_IND`)", "r6 = r1\nr0 = *(u8 *)skb[0]", ""},
	{"calls of helpers and of subprograms", "call bpf_ktime_get_ns\ncall sub\nexit\nsub:\nr0 = 0", ""},
	{"casts between address spaces (arenas)", "r0 = 0\nr0 = addr_space_cast(r0, 0, 1)", "arenas are not supported"},
	{"calls through a register (`callx`, which Linux refuses too)", "r1 = 0\ncallx r1", "call through a register is not supported"},
}

func instructions(t *testing.T) string {
	return table(t, "instructions", groups, func(vm *sandbpf.VM, source string) error {
		insns, err := asm.Parse(source + "\nexit")
		require.NoError(t, err)
		p, err := vm.LoadProgram(&sandbpf.ProgramSpec{Name: "p", Type: sandbpf.SchedCLS, License: "GPL", Instructions: insns}, nil)
		if err != nil {
			return err
		}
		_, _, err = p.Test(make([]byte, 64))
		return errors.Join(err, p.Close())
	})
}

// features are what objects have, and an object with it each, or one program of it.
var features = []example{
	{"maps by BTF (`.maps`), with initial values", "loader/testdata/maps.o", ""},
	{"maps of `SEC(\"maps\")`, as before BTF", "testdata/elf/legacy_map.o", ""},
	{"maps in maps", "testdata/elf/map_in_map.o", ""},
	{"global variables: `.rodata`, `.data`, `.bss`", "testdata/elf/globals.o", ""},
	{"subprograms, static and global", "testdata/elf/global_func.o", ""},
	{"callbacks", "testdata/elf/loop.o", ""},
	{"tail calls", "testdata/elf/tail_call.o", ""},
	{"CO-RE relocations, against the program's own types or those of a kernel", "testdata/elf/core.o", ""},
	{"`__kconfig` variables, with values by option", "testdata/elf/kconfig.o", ""},
	{"`__ksym` variables, with addresses by option", "loader/testdata/externs.o ksyms", ""},
	{"calls of kernel functions (`__ksym`)", "loader/testdata/externs.o kfuncs", "kernel functions cannot be called"},
	{"code of the other byte order than the host's", "testdata/elf/globals.be.o", "wrong byte order"},
}

func objects(t *testing.T) string {
	return table(t, "in an object", features, func(vm *sandbpf.VM, source string) error {
		path, only, _ := strings.Cut(source, " ")
		spec, err := loader.LoadSpec(path, loader.WithKconfig(kconfig),
			loader.WithKsyms(map[string]uint64{"typeless": 1, "runqueues": 2}))
		if err != nil {
			return err
		}
		for name := range spec.Programs {
			if only != "" && name != only {
				delete(spec.Programs, name)
			}
		}
		require.NotEmpty(t, spec.Programs)
		coll, err := vm.LoadCollection(spec)
		if err != nil {
			return err
		}
		return coll.Close()
	})
}

// table tries the examples and says what is supported.
func table(t *testing.T, title string, examples []example, try func(*sandbpf.VM, string) error) string {
	vm, err := sandbpf.New()
	require.NoError(t, err)
	defer vm.Close()
	var b strings.Builder
	fmt.Fprintf(&b, "| %s | |\n| --- | --- |\n", title)
	for _, e := range examples {
		err := try(vm, e.source)
		says := "yes"
		if e.refusal != "" {
			require.ErrorContains(t, err, e.refusal, e.name)
			says = "no"
		} else {
			require.NoError(t, err, e.name)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", e.name, says)
	}
	return b.String()
}

// platforms says which systems .ci/run builds and tests for.
func platforms(t *testing.T) string {
	script, err := os.ReadFile(".ci/run")
	require.NoError(t, err)
	words := func(pattern string) []string {
		m := regexp.MustCompile(pattern).FindSubmatch(script)
		require.NotNil(t, m, pattern)
		return strings.Fields(string(m[1]))
	}
	emulated := regexp.MustCompile(`(?m)emulate (\w+) qemu`).FindAllSubmatch(script, -1)
	require.Len(t, emulated, 2)
	return fmt.Sprintf("Built for: %s, each on %s; linux on %s. Tested on linux/amd64 and, emulated, on linux/%s and linux/%s (big-endian). No cgo.\n",
		strings.Join(words(`for os in (.*);`), ", "), strings.Join(words(`for arch in (.*);`), " and "),
		words(`GOOS=linux GOARCH=(\w+)`)[0], emulated[0][1], emulated[1][1])
}
