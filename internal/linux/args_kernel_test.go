package linux

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/prog"
)

// target is a function whose arguments are a context.
type target struct {
	key   argsKey
	proto *prog.BTFType
	sort  sort
}

// targets are the functions that this kernel lets programs attach to: BTF tracepoints and
// members of structs. (Functions and LSM hooks it may not permit, and has no odd ones.)
func targets(t testing.TB, v *vmlinux) (list []target) {
	for i := 1; i < len(v.raw.at); i++ {
		name, ok := v.nameOf(v.ids[i], kindTypedef, tracePrefix)
		if !ok || v.find(tracePrefix+name, kindTypedef) != uint32(i) {
			continue
		}
		list = append(list, target{
			argsKey{tracePrefix, name}, v.tracepoint(name),
			sort{name: name, typ: prog.Tracing, attach: attachTPBTF, btf: v.ids[i]},
		})
	}
	for _, name := range opsStructs {
		id := v.find(name, kindStruct)
		ops := v.get(id)
		require.NotNil(t, ops, name)
		for i := range ops.Members {
			path := name + "/" + ops.Members[i].Name
			if p := v.member(path); p != nil {
				list = append(list, target{
					argsKey{opsPrefix, path}, p,
					sort{name: path, typ: prog.StructOps, attach: prog.AttachType(i), btf: v.ids[id]},
				})
			}
		}
	}
	return list
}

const refused = "refused"

var stateOfR2 = regexp.MustCompile(`\bR2=([a-z_0-9A-Z]+)`)

// arg is a read of an argument.
type arg struct{ i, size int }

// types asks what reads of arguments give, in the notation of the kernel's log.
func (s sort) types(t testing.TB, args []arg) (types []string) {
	for len(types) < len(args) {
		var code [][]byte
		for _, a := range args[len(types):] {
			code = append(code, insn(0x61|sizeBits(a.size), 2, 1, int16(argSize*a.i), 0))
		}
		log, _ := s.ask(t, code...)
		for i := range code {
			_, after, found := strings.Cut(log, fmt.Sprintf("\n%d: (", i))
			after, _, _ = strings.Cut(after, fmt.Sprintf("\n%d: (", i+1))
			m := stateOfR2.FindStringSubmatch(after)
			if !found || m == nil {
				require.Regexp(t, "invalid bpf_context access|attach to unsupported member", log, "%s %v", s.name, args)
				types = append(types, refused)
				break
			}
			types = append(types, m[1])
		}
	}
	return types
}

// fieldText is text of what argField returns.
func fieldText(f Field, ok bool) string {
	if !ok {
		return refused
	}
	return f.text()
}

const argsHead = `# Arguments of BTF tracepoints and of struct_ops that are not to programs what their types
# say, as a kernel has answered: "go test -update" asks it again, "go generate" makes
# zz_args.go of this file. A line is a function, the number of an argument, and its type in
# the notation of the kernel's log.
`

// TestArgsKernel compares the arguments of tracepoints and struct_ops with what the kernel
// says: of each thirtieth, of all with -long; -update writes args.txt.
func TestArgsKernel(t *testing.T) {
	needKernel(t)
	v := liveTypes(t)
	out := argsHead
	for i, to := range targets(t, v) {
		if !*update && !*long && i%30 != 0 {
			continue
		}
		var wide, narrow []arg
		for i := range to.proto.Params {
			wide = append(wide, arg{i, argSize})
		}
		for i, got := range to.sort.types(t, wide) {
			p := to.proto.Params[i].Type
			if *update {
				if got != fieldText(typeField(to.key, p)) {
					out += fmt.Sprintf("%s%s %d %s\n", to.key.prefix, to.key.name, i, got)
				}
			} else {
				require.Equal(t, fieldText(argField(to.key, i, p)), got, "%v, argument %d", to.key, i)
			}
			if got != refused {
				narrow = append(narrow, arg{i, 4})
			}
		}
		c := newArgContext(to.key, to.proto)
		for i, got := range to.sort.types(t, narrow) {
			f, ok := c.Access(argSize*narrow[i].i, 4, false)
			require.Equal(t, fieldText(f, ok), got, "%v, 4 bytes of argument %d", to.key, narrow[i].i)
		}
	}
	if *update {
		lines := strings.SplitAfter(strings.TrimPrefix(out, argsHead), "\n")
		slices.Sort(lines)
		require.NoError(t, os.WriteFile("args.txt", []byte(argsHead+"\n"+strings.Join(lines, "")), 0o644))
	}
}
