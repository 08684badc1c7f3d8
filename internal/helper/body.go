package helper

import (
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// Bodies returns the body of a helper of Linux 6.18, nil if there is none: the
// program cannot run here. bpf_tail_call has none either, since it is the
// engine's.
//
// A body takes what it can from anywhere: it finds memory by vm.CPU.Bytes, maps by
// vm.CPU.MapAt and the packet in vm.CPU.Event, which has to be a [*Event] for the
// helpers that take a packet's context. Arguments that the verifier would have
// refused stop the run with a [*vm.Fault]; what Linux answers with an errno at run
// time is that errno, negative, in r0.
func Bodies(id asm.BuiltinFunc) vm.Helper {
	if id < 0 || int(id) >= len(bodies) {
		return nil
	}
	return bodies[id]
}

// Supported returns the helpers that programs can call, by id.
func Supported() []*Proto {
	var list []*Proto
	for i := range protos {
		if p := &protos[i]; bodies[p.ID] != nil || p.ID == asm.FnTailCall {
			list = append(list, p)
		}
	}
	return list
}

var bodies = [...]vm.Helper{
	asm.FnMapLookupElem:       mapLookup,
	asm.FnMapUpdateElem:       mapUpdate,
	asm.FnMapDeleteElem:       mapDelete,
	asm.FnMapPushElem:         mapPush,
	asm.FnMapPopElem:          mapPop,
	asm.FnMapPeekElem:         mapPeek,
	asm.FnMapLookupPercpuElem: mapLookupPercpu,
	asm.FnForEachMapElem:      forEachMapElem,
	asm.FnLoop:                loop,

	asm.FnKtimeGetNs:        ktimeGetNS,
	asm.FnKtimeGetBootNs:    ktimeGetNS,
	asm.FnKtimeGetCoarseNs:  ktimeGetCoarseNS,
	asm.FnKtimeGetTaiNs:     ktimeGetTAINS,
	asm.FnJiffies64:         jiffies64,
	asm.FnGetPrandomU32:     getPrandomU32,
	asm.FnGetSmpProcessorId: getSMPProcessorID,
	asm.FnGetNumaNodeId:     getNUMANodeID,

	asm.FnGetCurrentPidTgid: getCurrentPIDTGID,
	asm.FnGetCurrentUidGid:  getCurrentUIDGID,
	asm.FnGetCurrentComm:    getCurrentComm,

	asm.FnProbeRead:          probeRead,
	asm.FnProbeReadKernel:    probeReadKernel,
	asm.FnProbeReadUser:      probeReadUser,
	asm.FnCopyFromUser:       probeReadUser,
	asm.FnProbeReadStr:       probeReadStr,
	asm.FnProbeReadKernelStr: probeReadKernelStr,
	asm.FnProbeReadUserStr:   probeReadUserStr,

	asm.FnTracePrintk:  tracePrintk,
	asm.FnTraceVprintk: traceVprintk,
	asm.FnSnprintf:     snprintf,
	asm.FnStrtol:       strtol,
	asm.FnStrtoul:      strtoul,
	asm.FnStrncmp:      strncmp,

	asm.FnPerfEventOutput: perfEventOutput,
	asm.FnRingbufOutput:   ringbufOutput,
	asm.FnRingbufReserve:  ringbufReserve,
	asm.FnRingbufSubmit:   ringbufSubmit,
	asm.FnRingbufDiscard:  ringbufDiscard,
	asm.FnRingbufQuery:    ringbufQuery,

	asm.FnCsumDiff:      csumDiff,
	asm.FnCsumUpdate:    csumUpdate,
	asm.FnCsumLevel:     csumLevel,
	asm.FnL3CsumReplace: l3CsumReplace,
	asm.FnL4CsumReplace: l4CsumReplace,

	asm.FnSkbLoadBytes:         skbLoadBytes,
	asm.FnSkbLoadBytesRelative: skbLoadBytesRelative,
	asm.FnSkbStoreBytes:        skbStoreBytes,
	asm.FnSkbPullData:          skbPullData,
	asm.FnSkbChangeHead:        skbChangeHead,
	asm.FnSkbChangeTail:        skbChangeTail,
	asm.FnSkbChangeProto:       skbChangeProto,
	asm.FnSkbChangeType:        skbChangeType,
	asm.FnSkbAdjustRoom:        skbAdjustRoom,
	asm.FnSkbVlanPush:          skbVLANPush,
	asm.FnSkbVlanPop:           skbVLANPop,
	asm.FnSkbEcnSetCe:          skbECNSetCE,
	asm.FnSkbSetTstamp:         skbSetTstamp,
	asm.FnGetHashRecalc:        getHashRecalc,
	asm.FnSetHash:              setHash,
	asm.FnSetHashInvalid:       setHashInvalid,
	asm.FnGetRouteRealm:        getRouteRealm,
	asm.FnGetCgroupClassid:     getCgroupClassid,
	asm.FnSkbCgroupClassid:     getCgroupClassid,
	asm.FnGetSocketCookie:      getSocketCookie,
	asm.FnGetSocketUid:         getSocketUID,

	asm.FnXdpAdjustHead: xdpAdjustHead,
	asm.FnXdpAdjustTail: xdpAdjustTail,
	asm.FnXdpAdjustMeta: xdpAdjustMeta,
	asm.FnXdpGetBuffLen: xdpGetBuffLen,
	asm.FnXdpLoadBytes:  xdpLoadBytes,
	asm.FnXdpStoreBytes: xdpStoreBytes,

	asm.FnRedirect:      redirect,
	asm.FnRedirectMap:   redirectMap,
	asm.FnRedirectPeer:  redirectPeer,
	asm.FnRedirectNeigh: redirectNeigh,
	asm.FnCloneRedirect: cloneRedirect,
	asm.FnFibLookup:     fibLookup,
	asm.FnCheckMtu:      checkMTU,

	numHelpers: nil,
}

// numHelpers is the highest id of a helper of Linux 6.18.
const numHelpers = 211
