package linux

// refKptrs are the structs that maps may hold references to.
var refKptrs = [...]struct {
	name, release string
	rcu           bool
}{
	{"bpf_cpumask", "bpf_cpumask_release", true},
	{"bpf_crypto_ctx", "bpf_crypto_ctx_release", true},
	{"cgroup", "bpf_cgroup_release", true},
	{"prog_test_member", "bpf_kfunc_call_memb_release", false},
	{"prog_test_ref_kfunc", "bpf_kfunc_call_test_release", true},
	{"task_struct", "bpf_task_release", true},
}

// RefKptr returns, for a struct of the kernel that a map may hold a reference to (a field
// with the tag kptr), the kfunc that gives one up, and whether RCU keeps the struct, so that
// a pointer that was loaded from the map may be used in an RCU read section.
func RefKptr(name string) (release string, rcu, ok bool) {
	for i := range refKptrs {
		if k := &refKptrs[i]; k.name == name {
			return k.release, k.rcu, true
		}
	}
	return "", false, false
}
