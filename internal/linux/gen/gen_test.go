package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The committed tables are what the text files say.
func TestFresh(t *testing.T) {
	for i, table := range tables {
		want, err := generate(i, "..")
		require.NoError(t, err)
		have, err := os.ReadFile("../" + table.out)
		require.NoError(t, err)
		require.Equal(t, string(want), string(have), "run go generate in internal/linux")
	}
}

func TestRefused(t *testing.T) {
	for i, texts := range [][]string{
		{
			"  read 4  0..4", "xdp\n  read", "xdp\n  look 4  0..4", "xdp\n  read 3  0..4", "xdp\n  read 4  0", "xdp\n  read 4  4..4",
			"xdp\n  read 4  0..70000", "xdp\n  read 4  0..4:what", "xdp\n  read 4  0..4:trusted_what", "nothing\n  read 4  0..4",
			"nothing@3\n  read 4  0..4", "xdp@x\n  read 4  0..4", "struct what\n  read 4  0..4",
		},
		{"f 1", "f x scalar", "f 1 what", "f 100 scalar"},
		{"nothing", "all\n  f", "all\n  f x/1", "all\n  f 1", "all\n  f 1/x", "all\n  f 1/1 what"},
	} {
		for _, text := range texts {
			require.Error(t, tables[i].print(new(bytes.Buffer), text), text)
		}
	}
}

func TestField(t *testing.T) {
	for text, want := range map[string]string{
		"scalar":                     "{Kind: Number}",
		"pkt_end":                    "{Kind: PacketEnd}",
		"sock_common_or_null":        "{Kind: SockCommon, OrNull: true}",
		"ptr_file":                   `{Kind: BTF, Struct: "file"}`,
		"trusted_ptr_or_null_sock":   `{Kind: BTF, Trusted: true, OrNull: true, Struct: "sock"}`,
		"ptr_or_null_or_null_struct": `{Kind: BTF, OrNull: true, Struct: "or_null_struct"}`,
		"rdonly_buf_or_null":         "{Kind: Buffer, Rdonly: true, OrNull: true}",
	} {
		got, err := field(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
}
