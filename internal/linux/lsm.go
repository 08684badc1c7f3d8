package linux

import (
	"slices"

	"github.com/sandbpf/sandbpf/internal/prog"
)

// The lists of kernel/bpf/bpf_lsm.c. The kernel at hand did not permit LSM programs: nothing
// but that the hooks exist is confirmed.

// lsmSleepable are the hooks at which programs may sleep.
var lsmSleepable = [...]string{
	"bpf", "bpf_map", "bpf_map_create", "bpf_map_free", "bpf_prog", "bpf_prog_free", "bpf_prog_load",
	"bpf_token_capable", "bpf_token_cmd", "bpf_token_create", "bpf_token_free", "bprm_check_security",
	"bprm_committed_creds", "bprm_committing_creds", "bprm_creds_for_exec", "bprm_creds_from_file", "capget",
	"capset", "cred_prepare", "file_ioctl", "file_lock", "file_open", "file_post_open", "file_receive",
	"inet_conn_established", "inode_create", "inode_free_security", "inode_getattr", "inode_getxattr", "inode_mknod",
	"inode_need_killpriv", "inode_post_setxattr", "inode_readlink", "inode_rename", "inode_rmdir", "inode_setattr",
	"inode_setxattr", "inode_symlink", "inode_unlink", "kernel_module_request", "kernel_read_file",
	"kernfs_init_security", "mmap_file", "netlink_send", "path_chmod", "path_chown", "path_link", "path_mkdir",
	"path_notify", "path_rename", "path_rmdir", "path_symlink", "path_truncate", "path_unlink", "release_secctx",
	"sb_alloc_security", "sb_eat_lsm_opts", "sb_kern_mount", "sb_mount", "sb_remount", "sb_set_mnt_opts",
	"sb_show_options", "sb_statfs", "sb_umount", "settime", "socket_accept", "socket_bind", "socket_connect",
	"socket_create", "socket_getpeername", "socket_getpeersec_dgram", "socket_getsockname", "socket_getsockopt",
	"socket_listen", "socket_post_create", "socket_recvmsg", "socket_sendmsg", "socket_shutdown", "socket_socketpair",
	"syslog", "task_alloc", "task_prctl", "task_setscheduler", "task_to_inode", "userns_create",
}

// lsmUntrusted are the hooks whose arguments are not trusted: the objects are on their way
// in or out.
var lsmUntrusted = [...]string{
	"bpf_map_free", "bpf_prog_free", "file_alloc_security", "file_free_security", "sk_alloc_security",
	"sk_free_security", "task_free",
}

// lsmDisabled are the hooks that no program is attached to.
var lsmDisabled = [...]string{
	"vm_enough_memory", "inode_need_killpriv", "inode_getsecurity", "inode_listsecurity", "inode_copy_up_xattr",
	"getselfattr", "getprocattr", "setprocattr", "key_getsecurity", "audit_rule_match", "ismaclabel",
}

// lsmBool are the hooks that return 0 or 1.
var lsmBool = [...]string{
	"xfrm_state_pol_flow_match", "audit_rule_known", "inode_xattr_skipcap",
}

// maxErrno is the largest number of an error that the kernel returns, negated (MAX_ERRNO).
const maxErrno = 4095

// LSMHook is what Linux knows of an LSM hook.
type LSMHook struct {
	Sleepable bool // programs may sleep
	Trusted   bool // pointers in the context are trusted
	Disabled  bool // no program may be attached
	Void      bool // it returns nothing: programs may return anything
	Min, Max  int32
}

// LSM returns what Linux knows of an LSM hook by its name ("file_open"), false if there is
// no such hook.
func LSM(name string) (LSMHook, bool) {
	proto := Func(lsmPrefix + name)
	if proto == nil || slices.Contains(lsmOthers[:], name) {
		return LSMHook{}, false
	}
	h := LSMHook{
		Sleepable: slices.Contains(lsmSleepable[:], name),
		Trusted:   !slices.Contains(lsmUntrusted[:], name),
		Disabled:  slices.Contains(lsmDisabled[:], name),
		Void:      proto.Return == nil || proto.Return.Kind == prog.BTFVoid,
		Min:       -maxErrno,
	}
	switch {
	case h.Void:
		h.Min = 0
	case slices.Contains(lsmBool[:], name):
		h.Min, h.Max = 0, 1
	}
	return h, true
}

// lsmOthers are functions of bpf_lsm.c that are named like hooks.
var lsmOthers = [...]string{
	"find_cgroup_shim", "func_proto", "get_retval_range", "has_d_inode_locked", "hook_returns_errno", "init",
	"is_sleepable_hook", "is_trusted", "verify_prog",
}
