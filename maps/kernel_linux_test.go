package maps

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Commands of bpf(2).
const (
	cmdCreate = 0
	cmdLookup = 1
	cmdUpdate = 2
	cmdDelete = 3
	cmdNext   = 4
	cmdTake   = 21
	cmdFreeze = 22
)

type createAttr struct {
	typ, keySize, valueSize, maxEntries, flags, innerFD, numaNode uint32
	name                                                          [16]byte
	_                                                             [64]byte
}

type elemAttr struct {
	fd    uint32
	_     uint32
	key   uint64
	value uint64
	flags uint64
}

func bpf(cmd uintptr, attr unsafe.Pointer, size uintptr) (int, Errno) {
	fd, _, errno := unix.Syscall(unix.SYS_BPF, cmd, uintptr(attr), size)
	if errno != 0 {
		return -1, Errno(errno)
	}
	return int(fd), 0
}

// kernelMap is a map of the running kernel.
type kernelMap struct {
	fd   int
	spec Spec
	size int // of a value to the user

	inner []*kernelMap
}

// id returns the kernel's number of the map.
func (k *kernelMap) id() uint32 {
	const cmdInfo = 15
	var info struct{ typ, id, keySize, valueSize, maxEntries, flags uint32 }
	attr := struct {
		fd, size uint32
		info     uint64
	}{uint32(k.fd), uint32(unsafe.Sizeof(info)), uint64(uintptr(unsafe.Pointer(&info)))}
	_, e := bpf(cmdInfo, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(&info)
	if e != 0 {
		panic(e)
	}
	return info.id
}

func kernelCreate(s Spec, innerFD int) (int, Errno) {
	attr := createAttr{typ: uint32(s.Type), keySize: s.KeySize, valueSize: s.ValueSize, maxEntries: s.MaxEntries, flags: s.Flags, innerFD: uint32(innerFD)}
	return bpf(cmdCreate, unsafe.Pointer(&attr), 72)
}

// needKernel skips the test if there is no Linux with bpf(2) to ask.
func needKernel(t testing.TB) {
	fd, e := kernelCreate(Spec{Type: Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}, 0)
	if e != 0 {
		t.Skipf("the kernel does not let us create maps: %v", e)
	}
	unix.Close(fd)
	var u unix.Utsname
	require.NoError(t, unix.Uname(&u))
	if release := unix.ByteSliceToString(u.Release[:]); !strings.HasPrefix(release, "6.18.") {
		t.Skipf("kernel is %s, want the 6.18 whose answers ours are", release)
	}
}

func possibleCPUs(t testing.TB) int {
	b, err := os.ReadFile("/sys/devices/system/cpu/possible")
	require.NoError(t, err)
	_, last, ok := strings.Cut(strings.TrimSpace(string(b)), "-")
	if !ok {
		return 1
	}
	n, err := strconv.Atoi(last)
	require.NoError(t, err)
	return n + 1
}

func newKernelMap(t testing.TB, s Spec) *kernelMap {
	k := &kernelMap{spec: s, size: int(s.ValueSize)}
	template := 0
	if s.Type.MapInMap() {
		for _, in := range opInners {
			k.inner = append(k.inner, newKernelMap(t, in))
		}
		template = k.inner[0].fd
	}
	fd, e := kernelCreate(s, template)
	require.Zero(t, e)
	k.fd = fd
	if s.Type.PerCPU() {
		k.size = int(round8(s.ValueSize)) * possibleCPUs(t)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return k
}

func (k *kernelMap) do(o op) (result []byte, e Errno) {
	var pin runtime.Pinner
	defer pin.Unpin()
	ptr := func(b []byte) uint64 {
		if len(b) == 0 {
			return 0
		}
		pin.Pin(&b[0])
		return uint64(uintptr(unsafe.Pointer(&b[0])))
	}
	if k.inner != nil && o.name == "update" {
		fd := ^uint32(0)
		if i := int(o.value[0]); i < len(k.inner) {
			fd = uint32(k.inner[i].fd)
		}
		o.value = key4(fd)
	}
	attr := elemAttr{fd: uint32(k.fd), key: ptr(o.key), flags: o.flags}
	cmd := uintptr(cmdFreeze)
	size := unsafe.Sizeof(attr)
	switch o.name {
	case "lookup":
		cmd, result = cmdLookup, make([]byte, k.size)
		attr.value = ptr(result)
	case "take":
		cmd, result = cmdTake, make([]byte, k.size)
		attr.value = ptr(result)
	case "update":
		cmd, attr.value = cmdUpdate, ptr(o.value)
	case "delete":
		cmd = cmdDelete
	case "next":
		cmd, result = cmdNext, make([]byte, k.spec.KeySize)
		attr.value = ptr(result)
	case "freeze":
		size = 4
	}
	_, e = bpf(cmd, unsafe.Pointer(&attr), size)
	if e != 0 {
		return nil, e
	}
	for i, in := range k.inner {
		if o.name == "lookup" && bytes.Equal(result, key4(in.id())) {
			return []byte{byte(i), 0, 0, 0}, 0
		}
	}
	return result, 0
}

// TestOpsKernel runs random sequences on both.
func TestOpsKernel(t *testing.T) {
	needKernel(t)
	cpus := possibleCPUs(t)
	for _, c := range opCases {
		t.Run(c.name, func(t *testing.T) {
			n := 1500
			if c.spec.Type.MapInMap() {
				n = 200 // the kernel waits for a grace period at each update
			}
			for seed := range uint64(8) {
				our := newOurTarget(t, c.spec, cpus)
				k := newKernelMap(t, c.spec)
				for i, o := range c.gen(seed, n, cpus) {
					require.Equal(t, answer(k, o), answer(our, o), "seed %d, op %d: %v", seed, i, o)
				}
			}
			if *update {
				c.record(t, cpus)
			}
		})
	}
}

// record writes testdata/ops.
func (c opCase) record(t *testing.T, cpus int) {
	k := newKernelMap(t, c.spec)
	var b bytes.Buffer
	fmt.Fprintf(&b, "# cpus %d\n", cpus)
	for _, o := range c.gen(77, 200, cpus) {
		fmt.Fprintf(&b, "%v = %s\n", o, answer(k, o))
	}
	require.NoError(t, os.MkdirAll(filepath.Join("testdata", "ops"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join("testdata", "ops", c.name+".txt"), b.Bytes(), 0o644))
}

// TestCreateKernel asks Linux about each spec.
func TestCreateKernel(t *testing.T) {
	needKernel(t)
	inner := newKernelMap(t, createInner)
	var b bytes.Buffer
	for _, s := range createSpecs() {
		fd, want := kernelCreate(s, inner.fd)
		if fd >= 0 {
			unix.Close(fd)
		}
		if want == ENOMEM || want == ENOSPC {
			t.Errorf("%s: the kernel has no memory", createLine(s))
		}
		fmt.Fprintf(&b, "%s = %d\n", createLine(s), int(want))
		if got := ourCreate(s); got != want {
			t.Errorf("%s: got %d, kernel says %d", createLine(s), int(got), int(want))
		}
	}
	if *update {
		require.NoError(t, os.WriteFile("testdata/create.txt", b.Bytes(), 0o644))
	}
}
