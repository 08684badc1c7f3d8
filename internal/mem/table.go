package mem

// Table is the set of memory that one run may touch. Engines ask it on their
// slow path, when an address is not in the region they looked at last. It is
// not safe for concurrent use: each run has its own.
type Table struct {
	regions []Region
	finders []Finder
}

// Add adds a region.
func (t *Table) Add(r Region) { t.regions = append(t.regions, r) }

// AddFinder adds an owner of many regions, such as a map.
func (t *Table) AddFinder(f Finder) { t.finders = append(t.finders, f) }

// Remove takes out the region that starts at addr, as the program gives back a
// record. It reports whether there was one.
func (t *Table) Remove(addr uintptr) bool {
	for i := range t.regions {
		if t.regions[i].Addr == addr {
			last := len(t.regions) - 1
			t.regions[i] = t.regions[last]
			t.regions = t.regions[:last]
			return true
		}
	}
	return false
}

// Len returns the number of regions that were added, and of finders.
func (t *Table) Len() (regions, finders int) { return len(t.regions), len(t.finders) }

// Truncate drops all but the first regions and finders. What Len returned
// before a run brings the table back to what it was, without allocation.
func (t *Table) Truncate(regions, finders int) {
	clear(t.regions[regions:])
	clear(t.finders[finders:])
	t.regions, t.finders = t.regions[:regions], t.finders[:finders]
}

// Find returns the region that holds addr: of the regions first, newest
// first, then of the finders. It does not allocate.
func (t *Table) Find(addr uintptr) (Region, bool) {
	for i := len(t.regions) - 1; i >= 0; i-- {
		if r := &t.regions[i]; addr-r.Addr < r.Len {
			return *r, true
		}
	}
	for _, f := range t.finders {
		if r, ok := f.Find(addr); ok {
			return r, true
		}
	}
	return Region{}, false
}
