package verifier

import (
	"encoding/binary"
	"slices"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

// mapInfo is a map and what the verifier has found out about it.
type mapInfo struct {
	*Map
	innerIndex int16 // of the template of inner maps, -1 if there is none
	fields     []field
	hasLock    bool
}

// addMaps adds the program's maps, and behind them the templates of their inner maps.
func (v *verifier) addMaps(list []*Map) {
	for _, m := range list {
		v.maps = append(v.maps, newMapInfo(m))
	}
	v.numMaps = len(v.maps)
	for i := 0; i < len(v.maps); i++ {
		if m := v.maps[i]; m.Inner != nil && m.Type.MapInMap() {
			m.innerIndex = int16(len(v.maps))
			v.maps = append(v.maps, newMapInfo(m.Inner))
		}
	}
}

func newMapInfo(m *Map) *mapInfo {
	info := &mapInfo{Map: m, innerIndex: -1, fields: fieldsOf(m.Value)}
	info.hasLock = slices.ContainsFunc(info.fields, func(f field) bool { return f.kind == fieldSpinLock || f.kind == fieldResLock })
	return info
}

// writable and readable say what programs may do with the values.
func (m *mapInfo) writable() bool {
	return m.Flags&maps.FlagRdonlyProg == 0 && m.Type != maps.DevMap && m.Type != maps.DevMapHash
}

func (m *mapInfo) readable() bool { return m.Flags&maps.FlagWronlyProg == 0 }

// leastEntries is how many elements a map has at least. Inner arrays with BPF_F_INNER_MAP may have fewer
// than their template, which Linux does not think of.
func (v *verifier) leastEntries(m int16) uint32 {
	if int(m) >= v.numMaps && v.maps[m].Flags&maps.FlagInnerMap != 0 {
		return 1
	}
	return v.maps[m].MaxEntries
}

func (m *mapInfo) isXSK() bool     { return m.Type == maps.XSKMap }
func (m *mapInfo) isSockMap() bool { return m.Type == maps.SockMap || m.Type == maps.SockHash }

// hasAsync reports whether values hold what calls back later.
func (m *mapInfo) hasAsync() bool {
	return slices.ContainsFunc(m.fields, func(f field) bool {
		return f.kind == fieldTimer || f.kind == fieldWorkqueue || f.kind == fieldTaskWork
	})
}

// constant returns what a load from a map gives that nobody changes any more. The map has one value: of
// several, a pointer does not tell which one it points to. (Linux refuses loads from those.)
func (m *mapInfo) constant(r *reg, a *access, off int) (uint64, bool) {
	if !m.Frozen || m.Flags&maps.FlagRdonlyProg == 0 || m.Read == nil || m.Type != maps.Array || m.MaxEntries != 1 || !r.Tnum.IsConst() {
		return 0, false
	}
	var b [8]byte
	if !m.Read(uint32(off)+uint32(r.Tnum.Value), b[:a.size]) {
		return 0, false
	}
	x := binary.LittleEndian.Uint64(b[:])
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		x = binary.BigEndian.Uint64(b[:]) >> (64 - 8*a.size)
	}
	if a.signed {
		n := 64 - 8*a.size
		x = uint64(int64(x<<n) >> n)
	}
	return x, true
}

// tracingType reports whether programs of a type run at any point of the kernel
// (is_tracing_prog_type).
func tracingType(t prog.Type) bool {
	switch t {
	case prog.Kprobe, prog.Tracepoint, prog.PerfEvent, prog.RawTracepoint, prog.RawTracepointWritable:
		return true
	}
	return false
}

// checkMapProgram refuses maps that do not go with the program (check_map_prog_compatibility).
func (v *verifier) checkMapProgram(slot int, m *mapInfo) error {
	bad := func(what string) error {
		return v.failf(slot, CodeMapProgram, errnoEINVAL, "map %s: %s cannot be used by programs of type %v", m.Name, what, v.p.Type)
	}
	tracing := tracingType(v.p.Type)
	for i := range m.fields {
		switch k := m.fields[i].kind; k {
		case fieldList, fieldRoot, fieldTimer, fieldWorkqueue:
			if tracing {
				return bad("a " + k.String())
			}
		case fieldSpinLock, fieldResLock:
			if tracing || v.p.Type == prog.SocketFilter && k == fieldSpinLock {
				return bad("a " + k.String())
			}
		}
	}
	if m.Type == maps.StructOpsMap {
		return bad("a struct_ops map")
	}
	if v.sleepable && !sleepableMap(m.Type) {
		return v.failf(slot, CodeMapProgram, errnoEINVAL, "map %s: sleepable programs cannot use maps of type %v", m.Name, m.Type)
	}
	if m.Type == maps.Arena && !v.leaks {
		return v.failf(slot, CodePrivilege, errnoEPERM, "map %s: an arena needs CAP_PERFMON", m.Name)
	}
	return nil
}

func sleepableMap(t maps.Type) bool {
	switch t {
	case maps.Hash, maps.LRUHash, maps.Array, maps.PerCPUHash, maps.PerCPUArray, maps.LRUCPUHash, maps.ArrayOfMaps, maps.HashOfMaps,
		maps.RingBuf, maps.UserRingbuf, maps.InodeStorage, maps.SkStorage, maps.TaskStorage, maps.CgroupStorage, maps.Queue, maps.Stack,
		maps.Arena:
		return true
	}
	return false
}

// checkMapHelper refuses a helper that does not go with the type of its map
// (check_map_func_compatibility).
func (v *verifier) checkMapHelper(m *mapInfo, fn asm.BuiltinFunc) error {
	ok := true
	if only, special := helpersOfMap[m.Type]; special {
		ok = slices.Contains(only, fn)
	}
	if types, special := mapsOfHelper[fn]; special {
		ok = ok && slices.Contains(types, m.Type)
	}
	if m.isSockMap() && (fn == asm.FnMapUpdateElem || fn == asm.FnMapDeleteElem) {
		ok = v.mayUpdateSockMap(fn)
	}
	if !ok {
		return v.fail(CodeMapHelper, errnoEINVAL, "%s cannot be called for map %s of type %v", fn, m.Name, m.Type)
	}
	return nil
}

func (v *verifier) mayUpdateSockMap(fn asm.BuiltinFunc) bool {
	switch v.p.Type {
	case prog.SocketFilter, prog.SchedCLS, prog.SchedACT, prog.XDP, prog.SkReuseport, prog.FlowDissector, prog.SkLookup:
		return true
	case prog.Tracing:
		return v.p.Attach == attachIter
	case prog.SockOps:
		return fn == asm.FnMapDeleteElem
	}
	return false
}

// helpersOfMap are the helpers of map types that take no others.
var helpersOfMap = map[maps.Type][]asm.BuiltinFunc{
	maps.ProgramArray:        {asm.FnTailCall},
	maps.PerfEventArray:      {asm.FnPerfEventRead, asm.FnPerfEventReadValue, asm.FnPerfEventOutput, asm.FnSkbOutput, asm.FnXdpOutput},
	maps.RingBuf:             {asm.FnRingbufOutput, asm.FnRingbufReserve, asm.FnRingbufQuery, asm.FnRingbufReserveDynptr, asm.FnRingbufSubmitDynptr, asm.FnRingbufDiscardDynptr},
	maps.UserRingbuf:         {asm.FnUserRingbufDrain},
	maps.StackTrace:          {asm.FnGetStackid},
	maps.CGroupArray:         {asm.FnSkbUnderCgroup, asm.FnCurrentTaskUnderCgroup},
	maps.CGroupStorage:       {asm.FnGetLocalStorage},
	maps.PerCPUCGroupStorage: {asm.FnGetLocalStorage},
	maps.DevMap:              {asm.FnRedirectMap, asm.FnMapLookupElem},
	maps.DevMapHash:          {asm.FnRedirectMap, asm.FnMapLookupElem},
	maps.XSKMap:              {asm.FnRedirectMap, asm.FnMapLookupElem},
	maps.CPUMap:              {asm.FnRedirectMap},
	maps.ArrayOfMaps:         {asm.FnMapLookupElem},
	maps.HashOfMaps:          {asm.FnMapLookupElem},
	maps.SockMap:             {asm.FnSkRedirectMap, asm.FnSockMapUpdate, asm.FnMsgRedirectMap, asm.FnSkSelectReuseport, asm.FnMapLookupElem},
	maps.SockHash:            {asm.FnSkRedirectHash, asm.FnSockHashUpdate, asm.FnMsgRedirectHash, asm.FnSkSelectReuseport, asm.FnMapLookupElem},
	maps.ReusePortSockArray:  {asm.FnSkSelectReuseport},
	maps.Queue:               {asm.FnMapPushElem, asm.FnMapPopElem, asm.FnMapPeekElem},
	maps.Stack:               {asm.FnMapPushElem, asm.FnMapPopElem, asm.FnMapPeekElem},
	maps.BloomFilter:         {asm.FnMapPeekElem, asm.FnMapPushElem},
	maps.SkStorage:           {asm.FnSkStorageGet, asm.FnSkStorageDelete, asm.FnKptrXchg},
	maps.InodeStorage:        {asm.FnInodeStorageGet, asm.FnInodeStorageDelete, asm.FnKptrXchg},
	maps.TaskStorage:         {asm.FnTaskStorageGet, asm.FnTaskStorageDelete, asm.FnKptrXchg},
	maps.CgroupStorage:       {asm.FnCgrpStorageGet, asm.FnCgrpStorageDelete, asm.FnKptrXchg},
	maps.Arena:               {},
	maps.StructOpsMap:        {},
}

// mapsOfHelper are the map types of helpers that take no others.
var mapsOfHelper = map[asm.BuiltinFunc][]maps.Type{
	asm.FnTailCall:               {maps.ProgramArray},
	asm.FnPerfEventRead:          {maps.PerfEventArray},
	asm.FnPerfEventOutput:        {maps.PerfEventArray},
	asm.FnPerfEventReadValue:     {maps.PerfEventArray},
	asm.FnSkbOutput:              {maps.PerfEventArray},
	asm.FnXdpOutput:              {maps.PerfEventArray},
	asm.FnRingbufOutput:          {maps.RingBuf},
	asm.FnRingbufReserve:         {maps.RingBuf},
	asm.FnRingbufQuery:           {maps.RingBuf},
	asm.FnRingbufReserveDynptr:   {maps.RingBuf},
	asm.FnUserRingbufDrain:       {maps.UserRingbuf},
	asm.FnGetStackid:             {maps.StackTrace},
	asm.FnCurrentTaskUnderCgroup: {maps.CGroupArray},
	asm.FnSkbUnderCgroup:         {maps.CGroupArray},
	asm.FnRedirectMap:            {maps.DevMap, maps.DevMapHash, maps.CPUMap, maps.XSKMap},
	asm.FnSkRedirectMap:          {maps.SockMap},
	asm.FnMsgRedirectMap:         {maps.SockMap},
	asm.FnSockMapUpdate:          {maps.SockMap},
	asm.FnSkRedirectHash:         {maps.SockHash},
	asm.FnMsgRedirectHash:        {maps.SockHash},
	asm.FnSockHashUpdate:         {maps.SockHash},
	asm.FnGetLocalStorage:        {maps.CGroupStorage, maps.PerCPUCGroupStorage},
	asm.FnSkSelectReuseport:      {maps.ReusePortSockArray, maps.SockMap, maps.SockHash},
	asm.FnMapPopElem:             {maps.Queue, maps.Stack},
	asm.FnMapPeekElem:            {maps.Queue, maps.Stack, maps.BloomFilter},
	asm.FnMapPushElem:            {maps.Queue, maps.Stack, maps.BloomFilter},
	asm.FnMapLookupPercpuElem:    {maps.PerCPUArray, maps.PerCPUHash, maps.LRUCPUHash},
	asm.FnSkStorageGet:           {maps.SkStorage},
	asm.FnSkStorageDelete:        {maps.SkStorage},
	asm.FnInodeStorageGet:        {maps.InodeStorage},
	asm.FnInodeStorageDelete:     {maps.InodeStorage},
	asm.FnTaskStorageGet:         {maps.TaskStorage},
	asm.FnTaskStorageDelete:      {maps.TaskStorage},
	asm.FnCgrpStorageGet:         {maps.CgroupStorage},
	asm.FnCgrpStorageDelete:      {maps.CgroupStorage},
}

const attachIter prog.AttachType = 28 // BPF_TRACE_ITER
