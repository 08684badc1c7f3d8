// Package imports holds the rule of which room of the house imports which.
package imports

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	module = "github.com/sandbpf/sandbpf"
	root   = "../.."
)

// inside says what each room may import of ours, by paths below the module; "." is
// the façade, and a path stands for the folders below it too. Tests may import what
// they like. A room that is not here yet has its place already.
var inside = map[string][]string{
	"asm":              {},
	"asm/cbpf":         {"asm"},
	"internal/mem":     {},
	"internal/isa":     {"asm"},
	"internal/prog":    {"asm"},
	"internal/btftype": {"internal/prog"},
	"internal/vm":      {"asm", "internal/mem", "internal/prog"},
	"maps":             {"internal/mem"},
	"internal/leaf":    {"maps"},
	"internal/helper":  {"asm", "internal/mem", "internal/prog", "internal/vm", "maps"},
	"internal/linux":   {"asm", "internal/prog", "internal/helper"},
	"verifier":         {"asm", "internal/prog", "internal/isa", "internal/helper", "internal/linux", "maps"},
	"internal/lower":   {"asm", "internal/isa", "internal/mem", "internal/prog", "internal/helper", "verifier"},
	"interp":           {"asm", "internal/isa", "internal/lower", "internal/mem", "internal/prog", "internal/vm"},
	"jit":              {"asm", "internal/leaf", "internal/lower", "internal/mem", "internal/prog", "internal/vm", "jit/amd64", "maps", "verifier"},
	"jit/amd64":        {},
	"hooks":            {"asm", "internal/helper", "internal/mem", "internal/prog", "internal/vm"},
	".": {"asm", "internal/isa", "internal/prog", "internal/mem", "internal/vm", "maps", "internal/helper",
		"verifier", "internal/lower", "interp", "jit", "hooks"},
	"loader":      {".", "asm", "internal/btftype", "internal/linux", "internal/prog", "maps"},
	"bpftest":     {".", "hooks", "loader", "maps", "verifier"},
	"cmd/sandbpf": append(slices.Clip(public), "internal/listing", "internal/prog"), // types, which the façade does not name
	"examples":    public,

	"internal/difftest":   {"asm", "internal/btftype", "internal/prog", "internal/linux", "verifier", "maps"},
	"internal/enginetest": {"asm", "internal/mem", "internal/prog", "internal/vm", "verifier"},
	"internal/kernel":     {}, // an oracle for tests
	"internal/helper/gen": {},
	"internal/linux/gen":  {"internal/helper"},
	"internal/listing":    {".", "asm"},
	"internal/bench":      {},
	"internal/imports":    {},
	"internal/pcapgen":    {},
	"internal/recorded":   {},
	"interp/gen":          {"asm", "internal/isa"},
}

// public is what anyone may import.
var public = []string{".", "asm", "maps", "hooks", "loader", "bpftest", "verifier", "interp", "jit"}

// outside says where modules of others may be imported, tests aside. What has no
// entry is for tests only.
var outside = map[string][]string{
	"github.com/cilium/ebpf":       {"loader", "internal/kernel", "internal/btftype", "internal/difftest"},
	"golang.org/x/sys":             {"internal/mem", "internal/kernel", "jit"},
	"github.com/gopacket/gopacket": {"cmd/sandbpf", "examples"},
	"golang.org/x/net":             {"cmd/sandbpf", "examples"},
	"golang.org/x/arch":            {"internal/listing"},
}

// forTests are the modules of others that tests may import on top of those.
var forTests = []string{
	"github.com/stretchr/testify/require",
	"golang.org/x/tools/txtar",
}

// unsafeRooms says who may use package unsafe, tests aside, and what for.
var unsafeRooms = map[string]string{
	"internal/mem":    "turns addresses of arenas into pointers",
	"internal/isa":    "asks the host for its byte order",
	"internal/vm":     "the bytes of a window: an arena's base and an offset within its bounds",
	"internal/helper": "bytes that vm.CPU or maps have found to be a program's to use",
	"internal/kernel": "arguments of bpf(2)",
	"maps":            "headers and elements in arenas",
	"internal/leaf":   "offsets of fields of maps, for assembly",
	"interp":          "the loop: windows of arenas, slots and operations",
	"jit":             "entry and exit of compiled code",
	"hooks":           "reads the fields of an event's struct by offset",
}

// file is what a source file imports.
type file struct {
	path    string // below the module, with slashes
	room    string // the entry of inside that it belongs to, "" if none
	test    bool
	imports []string
}

func TestRooms(t *testing.T) {
	for _, f := range files(t) {
		require.NotEmpty(t, f.room, "%s is in no room of the table above", f.path)
		for _, imported := range f.imports {
			to, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			to = strings.TrimPrefix(to, "/")
			if to == "" {
				to = "."
			}
			if under(to, "internal/kernel") {
				require.True(t, f.test || f.room == "internal/kernel", "%s imports %s, which is for tests", f.path, to)
			}
			if !f.test {
				require.True(t, roomOf(to) == f.room || anyUnder(to, inside[f.room]), "%s must not import %s", f.path, to)
			}
		}
	}
}

// TestOneWay shows that the table itself has no circle.
func TestOneWay(t *testing.T) {
	done := make(map[string]bool)
	var visit func(room string, way []string)
	visit = func(room string, way []string) {
		require.NotContains(t, way, room, "a circle")
		if done[room] {
			return
		}
		for _, to := range inside[room] {
			require.Contains(t, inside, to, "%s may import %s, which is no room", room, to)
			visit(to, append(slices.Clip(way), room))
		}
		done[room] = true
	}
	for room := range inside {
		visit(room, nil)
	}
}

func TestModulesOfOthers(t *testing.T) {
	for _, f := range files(t) {
		for _, imported := range f.imports {
			first, _, _ := strings.Cut(imported, "/")
			if !strings.Contains(first, ".") || under(imported, module) {
				continue // std and ours
			}
			allowed := f.test && anyUnder(imported, forTests)
			for of, rooms := range outside {
				if under(imported, of) && (f.test || slices.Contains(rooms, f.room)) {
					allowed = true
				}
			}
			require.True(t, allowed, "%s must not import %s", f.path, imported)
		}
	}
}

func TestUnsafe(t *testing.T) {
	for _, f := range files(t) {
		require.NotContains(t, f.imports, "C", "%s uses cgo", f.path)
		if slices.Contains(f.imports, "unsafe") && !f.test {
			require.Contains(t, unsafeRooms, f.room, "%s must not import unsafe", f.path)
		}
	}
}

// files returns all Go files of the module, for all systems.
func files(t *testing.T) []file {
	t.Helper()
	var list []file
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipped(name, d)
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		f, err := read(name)
		list = append(list, f)
		return err
	})
	require.NoError(t, err)
	require.NotEmpty(t, list)
	return list
}

// skipped returns fs.SkipDir for folders that are not of the module.
func skipped(name string, d fs.DirEntry) error {
	if name == root {
		return nil
	}
	if d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func read(name string) (file, error) {
	below, err := filepath.Rel(root, name)
	if err != nil {
		return file{}, err
	}
	f := file{path: filepath.ToSlash(below), test: strings.HasSuffix(name, "_test.go")}
	f.room = roomOf(path.Dir(f.path))
	syntax, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		return file{}, err
	}
	for _, spec := range syntax.Imports {
		f.imports = append(f.imports, pathOf(spec))
	}
	return f, nil
}

// pathOf returns what spec imports. The parser has made sure that it is a string.
func pathOf(spec *ast.ImportSpec) string {
	s, _ := strconv.Unquote(spec.Path.Value)
	return s
}

// roomOf returns the room that a folder belongs to, "" if it is in none: the entry of
// inside with the longest path that it is under.
func roomOf(dir string) string {
	for ; inside[dir] == nil; dir = path.Dir(dir) {
		if !strings.Contains(dir, "/") {
			return ""
		}
	}
	return dir
}

// under reports whether p is folder or below it. Only the façade is under ".".
func under(p, folder string) bool {
	return p == folder || strings.HasPrefix(p, folder+"/")
}

func anyUnder(p string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return under(p, folder) })
}
