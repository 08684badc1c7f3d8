package leaf

import "github.com/sandbpf/sandbpf/maps"

// The leaves are in tables of their files, by index.

func hashLookupEntry(i int) uintptr
func hashUpdateEntry(i int) uintptr
func lpmLookupEntry(i int) uintptr
func ringEntry(i int) uintptr

func entryFor(m *maps.Map, op Op) (uintptr, bool) {
	switch m.Type() {
	case maps.Hash, maps.LRUHash, maps.PerCPUHash, maps.LRUCPUHash:
		return hashEntry(m, op)
	case maps.LPMTrie:
		return lpmEntry(m, op)
	case maps.RingBuf:
		if op >= Reserve && op <= Discard {
			return ringEntry(int(op - Reserve)), true
		}
	}
	return 0, false
}

// hashEntry is entryFor for hashes.
func hashEntry(m *maps.Map, op Op) (uintptr, bool) {
	if op == Lookup {
		return hashLookupEntry(lookupIndex(m)), true
	}
	if m.Flags()&maps.FlagRdonlyProg != 0 { // EPERM
		return 0, false
	}
	switch {
	case op == Delete:
		return hashUpdateEntry(2), true
	case op != Update || m.ValueSize() > maxCopy:
		return 0, false
	case m.Type().PerCPU():
		return hashUpdateEntry(1), true
	}
	return hashUpdateEntry(0), true
}

// lookupIndex returns the place of a lookup in hashLookups.
func lookupIndex(m *maps.Map) int {
	i := 0
	switch m.Type() {
	case maps.LRUHash:
		i = 4
	case maps.PerCPUHash:
		i = 8
	case maps.LRUCPUHash:
		i = 12
	}
	switch m.KeySize() {
	case 4:
		return i + 1
	case 8:
		return i + 2
	case 16:
		return i + 3
	}
	return i
}

// lpmEntry is entryFor for LPM tries. Updates are rare, and left to Go.
func lpmEntry(m *maps.Map, op Op) (uintptr, bool) {
	const header = 4 // bytes of the key before its data
	switch size := m.KeySize() - header; {
	case op != Lookup:
		return 0, false
	case size == 4:
		return lpmLookupEntry(0), true
	case size < 8:
		return lpmLookupEntry(1), true
	}
	return lpmLookupEntry(2), true
}
