package hooks

import (
	"reflect"

	"github.com/sandbpf/sandbpf/internal/prog"
)

// LayoutOf returns where the fields of a context are, pairs of pointers counted once,
// and how long it is.
func LayoutOf(t reflect.Type) (offs []int, size int, err error) {
	l, err := newLayout("test", t)
	if err != nil {
		return nil, 0, err
	}
	for _, f := range l.ctx.Fields {
		if f.Kind != prog.PacketEnd {
			offs = append(offs, f.Off)
		}
	}
	return offs, l.ctx.Size, nil
}
