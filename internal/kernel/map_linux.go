package kernel

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// mapCreateAttr is the part of union bpf_attr that BPF_MAP_CREATE takes.
type mapCreateAttr struct {
	mapType, keySize, valueSize, maxEntries, flags uint32
	innerFd, numaNode                              uint32
	name                                           [16]byte
	ifindex                                        uint32
	btfFd, btfKey, btfValue, btfVmlinuxValue       uint32
	extra                                          uint64
}

// NewMap creates a map. Close it when done with it.
func NewMap(m Map) (*ebpf.Map, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	attr := mapCreateAttr{
		mapType: uint32(m.Type), keySize: m.KeySize, valueSize: m.ValueSize, maxEntries: m.MaxEntries,
		flags: m.Flags, extra: m.Extra,
	}
	if m.Inner != nil {
		attr.innerFd = uint32(m.Inner.FD())
	}
	if len(m.BTF) > 0 {
		btfFd, err := btfs.open(m.BTF, true)
		if err != nil {
			return nil, fmt.Errorf("kernel: load BTF: %w", err)
		}
		defer unix.Close(btfFd)
		attr.btfFd, attr.btfKey, attr.btfValue = uint32(btfFd), m.BTFKey, m.BTFValue
	}
	fd, errno := bpf(unix.BPF_MAP_CREATE, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(m.Inner)
	if errno != 0 {
		return nil, fmt.Errorf("kernel: create %v: %w", m.Type, errno)
	}
	created, err := ebpf.NewMapFromFD(fd)
	if err != nil {
		return nil, fmt.Errorf("kernel: %w", err)
	}
	return created, nil
}

// btfs are the blobs that have been loaded: for the verifier, types of a map and of a
// program are the same only if they are of one object.
var btfs btfCache

type btfCache struct {
	mu  sync.Mutex
	fds map[string]cachedBTF
}

type cachedBTF struct {
	fd     int
	ofMaps bool // there may be maps for as long as the process lives
}

// maxBTFs is how many objects the cache keeps, beside those of maps.
const maxBTFs = 128

// open returns a descriptor, which the caller closes.
func (c *btfCache) open(raw []byte, forMap bool) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.fds[string(raw)]
	if !ok {
		fd, err := loadBTF(raw)
		if err != nil {
			return -1, err
		}
		b.fd = fd
		if len(c.fds) >= maxBTFs {
			c.drop()
		}
	}
	b.ofMaps = b.ofMaps || forMap
	if c.fds == nil {
		c.fds = make(map[string]cachedBTF)
	}
	c.fds[string(raw)] = b
	return unix.FcntlInt(uintptr(b.fd), unix.F_DUPFD_CLOEXEC, 0)
}

// drop closes what no map has.
func (c *btfCache) drop() {
	for raw, b := range c.fds {
		if !b.ofMaps {
			unix.Close(b.fd)
			delete(c.fds, raw)
		}
	}
}
