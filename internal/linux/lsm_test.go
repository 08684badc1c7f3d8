package linux

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every hook in the lists is one of the kernel.
func TestLSM(t *testing.T) {
	for _, name := range slices.Concat(lsmSleepable[:], lsmUntrusted[:], lsmDisabled[:], lsmBool[:]) {
		_, ok := LSM(name)
		require.True(t, ok, name)
	}
	for _, c := range []struct {
		name string
		want LSMHook
	}{
		{"file_open", LSMHook{Sleepable: true, Trusted: true, Min: -maxErrno}},
		{"task_free", LSMHook{Void: true}},
		{"inode_xattr_skipcap", LSMHook{Trusted: true, Max: 1}},
		{"getprocattr", LSMHook{Trusted: true, Disabled: true, Min: -maxErrno}},
		{"sk_free_security", LSMHook{Void: true}},
	} {
		h, ok := LSM(c.name)
		require.True(t, ok, c.name)
		require.Equal(t, c.want, h, c.name)
	}
	for _, name := range []string{"nothing", "", "func_proto", "is_trusted"} {
		_, ok := LSM(name)
		require.False(t, ok, name)
	}
	f, ok := CtxOf(variantOf(t, "lsm"), 27, "task_free").Access(0, 8, false)
	require.True(t, ok)
	require.Equal(t, Field{Kind: BTF, Struct: "task_struct"}, f, "not trusted")
}
