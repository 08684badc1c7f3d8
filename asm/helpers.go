package asm

import (
	"fmt"
	"strings"
)

// BuiltinFunc is the number of a helper function that programs can call.
type BuiltinFunc int32

// The helpers of Linux 6.18 (enum bpf_func_id in the UAPI; bpf-helpers(7)).
const (
	FnMapLookupElem              BuiltinFunc = 1
	FnMapUpdateElem              BuiltinFunc = 2
	FnMapDeleteElem              BuiltinFunc = 3
	FnProbeRead                  BuiltinFunc = 4
	FnKtimeGetNs                 BuiltinFunc = 5
	FnTracePrintk                BuiltinFunc = 6
	FnGetPrandomU32              BuiltinFunc = 7
	FnGetSmpProcessorId          BuiltinFunc = 8
	FnSkbStoreBytes              BuiltinFunc = 9
	FnL3CsumReplace              BuiltinFunc = 10
	FnL4CsumReplace              BuiltinFunc = 11
	FnTailCall                   BuiltinFunc = 12
	FnCloneRedirect              BuiltinFunc = 13
	FnGetCurrentPidTgid          BuiltinFunc = 14
	FnGetCurrentUidGid           BuiltinFunc = 15
	FnGetCurrentComm             BuiltinFunc = 16
	FnGetCgroupClassid           BuiltinFunc = 17
	FnSkbVlanPush                BuiltinFunc = 18
	FnSkbVlanPop                 BuiltinFunc = 19
	FnSkbGetTunnelKey            BuiltinFunc = 20
	FnSkbSetTunnelKey            BuiltinFunc = 21
	FnPerfEventRead              BuiltinFunc = 22
	FnRedirect                   BuiltinFunc = 23
	FnGetRouteRealm              BuiltinFunc = 24
	FnPerfEventOutput            BuiltinFunc = 25
	FnSkbLoadBytes               BuiltinFunc = 26
	FnGetStackid                 BuiltinFunc = 27
	FnCsumDiff                   BuiltinFunc = 28
	FnSkbGetTunnelOpt            BuiltinFunc = 29
	FnSkbSetTunnelOpt            BuiltinFunc = 30
	FnSkbChangeProto             BuiltinFunc = 31
	FnSkbChangeType              BuiltinFunc = 32
	FnSkbUnderCgroup             BuiltinFunc = 33
	FnGetHashRecalc              BuiltinFunc = 34
	FnGetCurrentTask             BuiltinFunc = 35
	FnProbeWriteUser             BuiltinFunc = 36
	FnCurrentTaskUnderCgroup     BuiltinFunc = 37
	FnSkbChangeTail              BuiltinFunc = 38
	FnSkbPullData                BuiltinFunc = 39
	FnCsumUpdate                 BuiltinFunc = 40
	FnSetHashInvalid             BuiltinFunc = 41
	FnGetNumaNodeId              BuiltinFunc = 42
	FnSkbChangeHead              BuiltinFunc = 43
	FnXdpAdjustHead              BuiltinFunc = 44
	FnProbeReadStr               BuiltinFunc = 45
	FnGetSocketCookie            BuiltinFunc = 46
	FnGetSocketUid               BuiltinFunc = 47
	FnSetHash                    BuiltinFunc = 48
	FnSetsockopt                 BuiltinFunc = 49
	FnSkbAdjustRoom              BuiltinFunc = 50
	FnRedirectMap                BuiltinFunc = 51
	FnSkRedirectMap              BuiltinFunc = 52
	FnSockMapUpdate              BuiltinFunc = 53
	FnXdpAdjustMeta              BuiltinFunc = 54
	FnPerfEventReadValue         BuiltinFunc = 55
	FnPerfProgReadValue          BuiltinFunc = 56
	FnGetsockopt                 BuiltinFunc = 57
	FnOverrideReturn             BuiltinFunc = 58
	FnSockOpsCbFlagsSet          BuiltinFunc = 59
	FnMsgRedirectMap             BuiltinFunc = 60
	FnMsgApplyBytes              BuiltinFunc = 61
	FnMsgCorkBytes               BuiltinFunc = 62
	FnMsgPullData                BuiltinFunc = 63
	FnBind                       BuiltinFunc = 64
	FnXdpAdjustTail              BuiltinFunc = 65
	FnSkbGetXfrmState            BuiltinFunc = 66
	FnGetStack                   BuiltinFunc = 67
	FnSkbLoadBytesRelative       BuiltinFunc = 68
	FnFibLookup                  BuiltinFunc = 69
	FnSockHashUpdate             BuiltinFunc = 70
	FnMsgRedirectHash            BuiltinFunc = 71
	FnSkRedirectHash             BuiltinFunc = 72
	FnLwtPushEncap               BuiltinFunc = 73
	FnLwtSeg6StoreBytes          BuiltinFunc = 74
	FnLwtSeg6AdjustSrh           BuiltinFunc = 75
	FnLwtSeg6Action              BuiltinFunc = 76
	FnRcRepeat                   BuiltinFunc = 77
	FnRcKeydown                  BuiltinFunc = 78
	FnSkbCgroupId                BuiltinFunc = 79
	FnGetCurrentCgroupId         BuiltinFunc = 80
	FnGetLocalStorage            BuiltinFunc = 81
	FnSkSelectReuseport          BuiltinFunc = 82
	FnSkbAncestorCgroupId        BuiltinFunc = 83
	FnSkLookupTcp                BuiltinFunc = 84
	FnSkLookupUdp                BuiltinFunc = 85
	FnSkRelease                  BuiltinFunc = 86
	FnMapPushElem                BuiltinFunc = 87
	FnMapPopElem                 BuiltinFunc = 88
	FnMapPeekElem                BuiltinFunc = 89
	FnMsgPushData                BuiltinFunc = 90
	FnMsgPopData                 BuiltinFunc = 91
	FnRcPointerRel               BuiltinFunc = 92
	FnSpinLock                   BuiltinFunc = 93
	FnSpinUnlock                 BuiltinFunc = 94
	FnSkFullsock                 BuiltinFunc = 95
	FnTcpSock                    BuiltinFunc = 96
	FnSkbEcnSetCe                BuiltinFunc = 97
	FnGetListenerSock            BuiltinFunc = 98
	FnSkcLookupTcp               BuiltinFunc = 99
	FnTcpCheckSyncookie          BuiltinFunc = 100
	FnSysctlGetName              BuiltinFunc = 101
	FnSysctlGetCurrentValue      BuiltinFunc = 102
	FnSysctlGetNewValue          BuiltinFunc = 103
	FnSysctlSetNewValue          BuiltinFunc = 104
	FnStrtol                     BuiltinFunc = 105
	FnStrtoul                    BuiltinFunc = 106
	FnSkStorageGet               BuiltinFunc = 107
	FnSkStorageDelete            BuiltinFunc = 108
	FnSendSignal                 BuiltinFunc = 109
	FnTcpGenSyncookie            BuiltinFunc = 110
	FnSkbOutput                  BuiltinFunc = 111
	FnProbeReadUser              BuiltinFunc = 112
	FnProbeReadKernel            BuiltinFunc = 113
	FnProbeReadUserStr           BuiltinFunc = 114
	FnProbeReadKernelStr         BuiltinFunc = 115
	FnTcpSendAck                 BuiltinFunc = 116
	FnSendSignalThread           BuiltinFunc = 117
	FnJiffies64                  BuiltinFunc = 118
	FnReadBranchRecords          BuiltinFunc = 119
	FnGetNsCurrentPidTgid        BuiltinFunc = 120
	FnXdpOutput                  BuiltinFunc = 121
	FnGetNetnsCookie             BuiltinFunc = 122
	FnGetCurrentAncestorCgroupId BuiltinFunc = 123
	FnSkAssign                   BuiltinFunc = 124
	FnKtimeGetBootNs             BuiltinFunc = 125
	FnSeqPrintf                  BuiltinFunc = 126
	FnSeqWrite                   BuiltinFunc = 127
	FnSkCgroupId                 BuiltinFunc = 128
	FnSkAncestorCgroupId         BuiltinFunc = 129
	FnRingbufOutput              BuiltinFunc = 130
	FnRingbufReserve             BuiltinFunc = 131
	FnRingbufSubmit              BuiltinFunc = 132
	FnRingbufDiscard             BuiltinFunc = 133
	FnRingbufQuery               BuiltinFunc = 134
	FnCsumLevel                  BuiltinFunc = 135
	FnSkcToTcp6Sock              BuiltinFunc = 136
	FnSkcToTcpSock               BuiltinFunc = 137
	FnSkcToTcpTimewaitSock       BuiltinFunc = 138
	FnSkcToTcpRequestSock        BuiltinFunc = 139
	FnSkcToUdp6Sock              BuiltinFunc = 140
	FnGetTaskStack               BuiltinFunc = 141
	FnLoadHdrOpt                 BuiltinFunc = 142
	FnStoreHdrOpt                BuiltinFunc = 143
	FnReserveHdrOpt              BuiltinFunc = 144
	FnInodeStorageGet            BuiltinFunc = 145
	FnInodeStorageDelete         BuiltinFunc = 146
	FnDPath                      BuiltinFunc = 147
	FnCopyFromUser               BuiltinFunc = 148
	FnSnprintfBtf                BuiltinFunc = 149
	FnSeqPrintfBtf               BuiltinFunc = 150
	FnSkbCgroupClassid           BuiltinFunc = 151
	FnRedirectNeigh              BuiltinFunc = 152
	FnPerCpuPtr                  BuiltinFunc = 153
	FnThisCpuPtr                 BuiltinFunc = 154
	FnRedirectPeer               BuiltinFunc = 155
	FnTaskStorageGet             BuiltinFunc = 156
	FnTaskStorageDelete          BuiltinFunc = 157
	FnGetCurrentTaskBtf          BuiltinFunc = 158
	FnBprmOptsSet                BuiltinFunc = 159
	FnKtimeGetCoarseNs           BuiltinFunc = 160
	FnImaInodeHash               BuiltinFunc = 161
	FnSockFromFile               BuiltinFunc = 162
	FnCheckMtu                   BuiltinFunc = 163
	FnForEachMapElem             BuiltinFunc = 164
	FnSnprintf                   BuiltinFunc = 165
	FnSysBpf                     BuiltinFunc = 166
	FnBtfFindByNameKind          BuiltinFunc = 167
	FnSysClose                   BuiltinFunc = 168
	FnTimerInit                  BuiltinFunc = 169
	FnTimerSetCallback           BuiltinFunc = 170
	FnTimerStart                 BuiltinFunc = 171
	FnTimerCancel                BuiltinFunc = 172
	FnGetFuncIp                  BuiltinFunc = 173
	FnGetAttachCookie            BuiltinFunc = 174
	FnTaskPtRegs                 BuiltinFunc = 175
	FnGetBranchSnapshot          BuiltinFunc = 176
	FnTraceVprintk               BuiltinFunc = 177
	FnSkcToUnixSock              BuiltinFunc = 178
	FnKallsymsLookupName         BuiltinFunc = 179
	FnFindVma                    BuiltinFunc = 180
	FnLoop                       BuiltinFunc = 181
	FnStrncmp                    BuiltinFunc = 182
	FnGetFuncArg                 BuiltinFunc = 183
	FnGetFuncRet                 BuiltinFunc = 184
	FnGetFuncArgCnt              BuiltinFunc = 185
	FnGetRetval                  BuiltinFunc = 186
	FnSetRetval                  BuiltinFunc = 187
	FnXdpGetBuffLen              BuiltinFunc = 188
	FnXdpLoadBytes               BuiltinFunc = 189
	FnXdpStoreBytes              BuiltinFunc = 190
	FnCopyFromUserTask           BuiltinFunc = 191
	FnSkbSetTstamp               BuiltinFunc = 192
	FnImaFileHash                BuiltinFunc = 193
	FnKptrXchg                   BuiltinFunc = 194
	FnMapLookupPercpuElem        BuiltinFunc = 195
	FnSkcToMptcpSock             BuiltinFunc = 196
	FnDynptrFromMem              BuiltinFunc = 197
	FnRingbufReserveDynptr       BuiltinFunc = 198
	FnRingbufSubmitDynptr        BuiltinFunc = 199
	FnRingbufDiscardDynptr       BuiltinFunc = 200
	FnDynptrRead                 BuiltinFunc = 201
	FnDynptrWrite                BuiltinFunc = 202
	FnDynptrData                 BuiltinFunc = 203
	FnTcpRawGenSyncookieIpv4     BuiltinFunc = 204
	FnTcpRawGenSyncookieIpv6     BuiltinFunc = 205
	FnTcpRawCheckSyncookieIpv4   BuiltinFunc = 206
	FnTcpRawCheckSyncookieIpv6   BuiltinFunc = 207
	FnKtimeGetTaiNs              BuiltinFunc = 208
	FnUserRingbufDrain           BuiltinFunc = 209
	FnCgrpStorageGet             BuiltinFunc = 210
	FnCgrpStorageDelete          BuiltinFunc = 211
)

var helperNames = [...]string{
	FnMapLookupElem:              "map_lookup_elem",
	FnMapUpdateElem:              "map_update_elem",
	FnMapDeleteElem:              "map_delete_elem",
	FnProbeRead:                  "probe_read",
	FnKtimeGetNs:                 "ktime_get_ns",
	FnTracePrintk:                "trace_printk",
	FnGetPrandomU32:              "get_prandom_u32",
	FnGetSmpProcessorId:          "get_smp_processor_id",
	FnSkbStoreBytes:              "skb_store_bytes",
	FnL3CsumReplace:              "l3_csum_replace",
	FnL4CsumReplace:              "l4_csum_replace",
	FnTailCall:                   "tail_call",
	FnCloneRedirect:              "clone_redirect",
	FnGetCurrentPidTgid:          "get_current_pid_tgid",
	FnGetCurrentUidGid:           "get_current_uid_gid",
	FnGetCurrentComm:             "get_current_comm",
	FnGetCgroupClassid:           "get_cgroup_classid",
	FnSkbVlanPush:                "skb_vlan_push",
	FnSkbVlanPop:                 "skb_vlan_pop",
	FnSkbGetTunnelKey:            "skb_get_tunnel_key",
	FnSkbSetTunnelKey:            "skb_set_tunnel_key",
	FnPerfEventRead:              "perf_event_read",
	FnRedirect:                   "redirect",
	FnGetRouteRealm:              "get_route_realm",
	FnPerfEventOutput:            "perf_event_output",
	FnSkbLoadBytes:               "skb_load_bytes",
	FnGetStackid:                 "get_stackid",
	FnCsumDiff:                   "csum_diff",
	FnSkbGetTunnelOpt:            "skb_get_tunnel_opt",
	FnSkbSetTunnelOpt:            "skb_set_tunnel_opt",
	FnSkbChangeProto:             "skb_change_proto",
	FnSkbChangeType:              "skb_change_type",
	FnSkbUnderCgroup:             "skb_under_cgroup",
	FnGetHashRecalc:              "get_hash_recalc",
	FnGetCurrentTask:             "get_current_task",
	FnProbeWriteUser:             "probe_write_user",
	FnCurrentTaskUnderCgroup:     "current_task_under_cgroup",
	FnSkbChangeTail:              "skb_change_tail",
	FnSkbPullData:                "skb_pull_data",
	FnCsumUpdate:                 "csum_update",
	FnSetHashInvalid:             "set_hash_invalid",
	FnGetNumaNodeId:              "get_numa_node_id",
	FnSkbChangeHead:              "skb_change_head",
	FnXdpAdjustHead:              "xdp_adjust_head",
	FnProbeReadStr:               "probe_read_str",
	FnGetSocketCookie:            "get_socket_cookie",
	FnGetSocketUid:               "get_socket_uid",
	FnSetHash:                    "set_hash",
	FnSetsockopt:                 "setsockopt",
	FnSkbAdjustRoom:              "skb_adjust_room",
	FnRedirectMap:                "redirect_map",
	FnSkRedirectMap:              "sk_redirect_map",
	FnSockMapUpdate:              "sock_map_update",
	FnXdpAdjustMeta:              "xdp_adjust_meta",
	FnPerfEventReadValue:         "perf_event_read_value",
	FnPerfProgReadValue:          "perf_prog_read_value",
	FnGetsockopt:                 "getsockopt",
	FnOverrideReturn:             "override_return",
	FnSockOpsCbFlagsSet:          "sock_ops_cb_flags_set",
	FnMsgRedirectMap:             "msg_redirect_map",
	FnMsgApplyBytes:              "msg_apply_bytes",
	FnMsgCorkBytes:               "msg_cork_bytes",
	FnMsgPullData:                "msg_pull_data",
	FnBind:                       "bind",
	FnXdpAdjustTail:              "xdp_adjust_tail",
	FnSkbGetXfrmState:            "skb_get_xfrm_state",
	FnGetStack:                   "get_stack",
	FnSkbLoadBytesRelative:       "skb_load_bytes_relative",
	FnFibLookup:                  "fib_lookup",
	FnSockHashUpdate:             "sock_hash_update",
	FnMsgRedirectHash:            "msg_redirect_hash",
	FnSkRedirectHash:             "sk_redirect_hash",
	FnLwtPushEncap:               "lwt_push_encap",
	FnLwtSeg6StoreBytes:          "lwt_seg6_store_bytes",
	FnLwtSeg6AdjustSrh:           "lwt_seg6_adjust_srh",
	FnLwtSeg6Action:              "lwt_seg6_action",
	FnRcRepeat:                   "rc_repeat",
	FnRcKeydown:                  "rc_keydown",
	FnSkbCgroupId:                "skb_cgroup_id",
	FnGetCurrentCgroupId:         "get_current_cgroup_id",
	FnGetLocalStorage:            "get_local_storage",
	FnSkSelectReuseport:          "sk_select_reuseport",
	FnSkbAncestorCgroupId:        "skb_ancestor_cgroup_id",
	FnSkLookupTcp:                "sk_lookup_tcp",
	FnSkLookupUdp:                "sk_lookup_udp",
	FnSkRelease:                  "sk_release",
	FnMapPushElem:                "map_push_elem",
	FnMapPopElem:                 "map_pop_elem",
	FnMapPeekElem:                "map_peek_elem",
	FnMsgPushData:                "msg_push_data",
	FnMsgPopData:                 "msg_pop_data",
	FnRcPointerRel:               "rc_pointer_rel",
	FnSpinLock:                   "spin_lock",
	FnSpinUnlock:                 "spin_unlock",
	FnSkFullsock:                 "sk_fullsock",
	FnTcpSock:                    "tcp_sock",
	FnSkbEcnSetCe:                "skb_ecn_set_ce",
	FnGetListenerSock:            "get_listener_sock",
	FnSkcLookupTcp:               "skc_lookup_tcp",
	FnTcpCheckSyncookie:          "tcp_check_syncookie",
	FnSysctlGetName:              "sysctl_get_name",
	FnSysctlGetCurrentValue:      "sysctl_get_current_value",
	FnSysctlGetNewValue:          "sysctl_get_new_value",
	FnSysctlSetNewValue:          "sysctl_set_new_value",
	FnStrtol:                     "strtol",
	FnStrtoul:                    "strtoul",
	FnSkStorageGet:               "sk_storage_get",
	FnSkStorageDelete:            "sk_storage_delete",
	FnSendSignal:                 "send_signal",
	FnTcpGenSyncookie:            "tcp_gen_syncookie",
	FnSkbOutput:                  "skb_output",
	FnProbeReadUser:              "probe_read_user",
	FnProbeReadKernel:            "probe_read_kernel",
	FnProbeReadUserStr:           "probe_read_user_str",
	FnProbeReadKernelStr:         "probe_read_kernel_str",
	FnTcpSendAck:                 "tcp_send_ack",
	FnSendSignalThread:           "send_signal_thread",
	FnJiffies64:                  "jiffies64",
	FnReadBranchRecords:          "read_branch_records",
	FnGetNsCurrentPidTgid:        "get_ns_current_pid_tgid",
	FnXdpOutput:                  "xdp_output",
	FnGetNetnsCookie:             "get_netns_cookie",
	FnGetCurrentAncestorCgroupId: "get_current_ancestor_cgroup_id",
	FnSkAssign:                   "sk_assign",
	FnKtimeGetBootNs:             "ktime_get_boot_ns",
	FnSeqPrintf:                  "seq_printf",
	FnSeqWrite:                   "seq_write",
	FnSkCgroupId:                 "sk_cgroup_id",
	FnSkAncestorCgroupId:         "sk_ancestor_cgroup_id",
	FnRingbufOutput:              "ringbuf_output",
	FnRingbufReserve:             "ringbuf_reserve",
	FnRingbufSubmit:              "ringbuf_submit",
	FnRingbufDiscard:             "ringbuf_discard",
	FnRingbufQuery:               "ringbuf_query",
	FnCsumLevel:                  "csum_level",
	FnSkcToTcp6Sock:              "skc_to_tcp6_sock",
	FnSkcToTcpSock:               "skc_to_tcp_sock",
	FnSkcToTcpTimewaitSock:       "skc_to_tcp_timewait_sock",
	FnSkcToTcpRequestSock:        "skc_to_tcp_request_sock",
	FnSkcToUdp6Sock:              "skc_to_udp6_sock",
	FnGetTaskStack:               "get_task_stack",
	FnLoadHdrOpt:                 "load_hdr_opt",
	FnStoreHdrOpt:                "store_hdr_opt",
	FnReserveHdrOpt:              "reserve_hdr_opt",
	FnInodeStorageGet:            "inode_storage_get",
	FnInodeStorageDelete:         "inode_storage_delete",
	FnDPath:                      "d_path",
	FnCopyFromUser:               "copy_from_user",
	FnSnprintfBtf:                "snprintf_btf",
	FnSeqPrintfBtf:               "seq_printf_btf",
	FnSkbCgroupClassid:           "skb_cgroup_classid",
	FnRedirectNeigh:              "redirect_neigh",
	FnPerCpuPtr:                  "per_cpu_ptr",
	FnThisCpuPtr:                 "this_cpu_ptr",
	FnRedirectPeer:               "redirect_peer",
	FnTaskStorageGet:             "task_storage_get",
	FnTaskStorageDelete:          "task_storage_delete",
	FnGetCurrentTaskBtf:          "get_current_task_btf",
	FnBprmOptsSet:                "bprm_opts_set",
	FnKtimeGetCoarseNs:           "ktime_get_coarse_ns",
	FnImaInodeHash:               "ima_inode_hash",
	FnSockFromFile:               "sock_from_file",
	FnCheckMtu:                   "check_mtu",
	FnForEachMapElem:             "for_each_map_elem",
	FnSnprintf:                   "snprintf",
	FnSysBpf:                     "sys_bpf",
	FnBtfFindByNameKind:          "btf_find_by_name_kind",
	FnSysClose:                   "sys_close",
	FnTimerInit:                  "timer_init",
	FnTimerSetCallback:           "timer_set_callback",
	FnTimerStart:                 "timer_start",
	FnTimerCancel:                "timer_cancel",
	FnGetFuncIp:                  "get_func_ip",
	FnGetAttachCookie:            "get_attach_cookie",
	FnTaskPtRegs:                 "task_pt_regs",
	FnGetBranchSnapshot:          "get_branch_snapshot",
	FnTraceVprintk:               "trace_vprintk",
	FnSkcToUnixSock:              "skc_to_unix_sock",
	FnKallsymsLookupName:         "kallsyms_lookup_name",
	FnFindVma:                    "find_vma",
	FnLoop:                       "loop",
	FnStrncmp:                    "strncmp",
	FnGetFuncArg:                 "get_func_arg",
	FnGetFuncRet:                 "get_func_ret",
	FnGetFuncArgCnt:              "get_func_arg_cnt",
	FnGetRetval:                  "get_retval",
	FnSetRetval:                  "set_retval",
	FnXdpGetBuffLen:              "xdp_get_buff_len",
	FnXdpLoadBytes:               "xdp_load_bytes",
	FnXdpStoreBytes:              "xdp_store_bytes",
	FnCopyFromUserTask:           "copy_from_user_task",
	FnSkbSetTstamp:               "skb_set_tstamp",
	FnImaFileHash:                "ima_file_hash",
	FnKptrXchg:                   "kptr_xchg",
	FnMapLookupPercpuElem:        "map_lookup_percpu_elem",
	FnSkcToMptcpSock:             "skc_to_mptcp_sock",
	FnDynptrFromMem:              "dynptr_from_mem",
	FnRingbufReserveDynptr:       "ringbuf_reserve_dynptr",
	FnRingbufSubmitDynptr:        "ringbuf_submit_dynptr",
	FnRingbufDiscardDynptr:       "ringbuf_discard_dynptr",
	FnDynptrRead:                 "dynptr_read",
	FnDynptrWrite:                "dynptr_write",
	FnDynptrData:                 "dynptr_data",
	FnTcpRawGenSyncookieIpv4:     "tcp_raw_gen_syncookie_ipv4",
	FnTcpRawGenSyncookieIpv6:     "tcp_raw_gen_syncookie_ipv6",
	FnTcpRawCheckSyncookieIpv4:   "tcp_raw_check_syncookie_ipv4",
	FnTcpRawCheckSyncookieIpv6:   "tcp_raw_check_syncookie_ipv6",
	FnKtimeGetTaiNs:              "ktime_get_tai_ns",
	FnUserRingbufDrain:           "user_ringbuf_drain",
	FnCgrpStorageGet:             "cgrp_storage_get",
	FnCgrpStorageDelete:          "cgrp_storage_delete",
}

// String returns the helper's name without "bpf_", "helper#N" for a number that
// is no helper.
func (fn BuiltinFunc) String() string {
	if name := fn.known(); name != "" {
		return name
	}
	return fmt.Sprintf("helper#%d", int32(fn))
}

// known returns the helper's name without "bpf_", "" for a number that is no helper.
func (fn BuiltinFunc) known() string {
	if fn > 0 && int(fn) < len(helperNames) {
		return helperNames[fn]
	}
	return ""
}

// HelperByName returns the helper of that name, with or without "bpf_".
func HelperByName(name string) (BuiltinFunc, bool) {
	fn, ok := helpersByName[strings.TrimPrefix(name, "bpf_")]
	return fn, ok
}

var helpersByName = func() map[string]BuiltinFunc {
	byName := make(map[string]BuiltinFunc, len(helperNames))
	for fn, name := range helperNames {
		if name != "" {
			byName[name] = BuiltinFunc(fn)
		}
	}
	return byName
}()
