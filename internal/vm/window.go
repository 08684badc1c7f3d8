package vm

import (
	"unsafe"

	"github.com/sandbpf/sandbpf/internal/mem"
)

// Window is a region made quick to check against. An access of 1<<n bytes at
// addr is within it if addr-Base, as an unsigned number, is below the limit n
// for its direction: one subtraction and one comparison, exact at both ends. The
// zero Window admits nothing.
type Window struct {
	Base unsafe.Pointer
	RLim [4]uint32 // reads of 1, 2, 4, 8 bytes
	WLim [4]uint32 // writes of 1, 2, 4, 8 bytes
	kind mem.Kind
	perm mem.Perm
	len  uintptr
	name string
	// Of a window that an instruction keeps for itself: the map of the program that the region is a
	// value of, as the next will often be. Values of a map differ in their addresses only.
	values Map
}

// maxWindow keeps limits within 32 bits; what lies beyond it in a larger region
// is reached by the slow path.
const maxWindow = 1<<32 - 1

// Set makes w admit accesses to r and nothing else.
func (w *Window) Set(r mem.Region) {
	w.Base = mem.Pointer(r.Addr)
	w.kind, w.perm, w.len, w.name = r.Kind, r.Perm, r.Len, r.Name
	w.limits()
}

// set is Set for a region without a name that may be read and written, for every event.
func (w *Window) set(addr, n uintptr, kind mem.Kind) {
	w.Base = mem.Pointer(addr)
	w.kind, w.perm, w.len, w.name = kind, mem.ReadWrite, n, ""
	if n-8 > maxWindow-8 { // shorter than the longest access, or too long for the limits
		w.limits()
		return
	}
	l := uint32(n)
	w.RLim[0], w.RLim[1], w.RLim[2], w.RLim[3] = l, l-1, l-3, l-7
	w.WLim[0], w.WLim[1], w.WLim[2], w.WLim[3] = l, l-1, l-3, l-7
}

// Clear makes w admit nothing.
func (w *Window) Clear() { *w = Window{} }

// resize moves the end of w.
func (w *Window) resize(n uintptr) {
	w.len = n
	w.limits()
}

func (w *Window) limits() {
	n := min(w.len, maxWindow)
	for i := range w.RLim {
		lim := uint32(0)
		if size := uintptr(1) << i; n >= size {
			lim = uint32(min(n-size+1, maxWindow))
		}
		w.RLim[i], w.WLim[i] = 0, 0
		if w.perm&mem.Read != 0 {
			w.RLim[i] = lim
		}
		if w.perm&mem.Write != 0 {
			w.WLim[i] = lim
		}
	}
}

// Region returns the region that w stands for.
func (w *Window) Region() mem.Region {
	return mem.Region{Addr: uintptr(w.Base), Len: w.len, Kind: w.kind, Perm: w.perm, Name: w.name}
}

// admits reports whether size bytes at addr may be accessed so, whatever the size.
func (w *Window) admits(addr, size uintptr, perm mem.Perm) bool {
	return w.perm&perm == perm && w.Region().Contains(addr, size)
}

// WindowLen is where a window has the length of its region, for compiled code that does
// what [CPU.PushFrame] and [CPU.PopFrame] do.
const WindowLen = int32(unsafe.Offsetof(Window{}.len))

// StackLimits returns the limits of a frame, as they lie in RLim and WLim.
func StackLimits() [2]uint64 { return *(*[2]uint64)(unsafe.Pointer(&stackLimits)) }
