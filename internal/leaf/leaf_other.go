//go:build !amd64

package leaf

import "github.com/sandbpf/sandbpf/maps"

func entryFor(*maps.Map, Op) (uintptr, bool) { return 0, false }
