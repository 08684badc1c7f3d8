package main

import (
	"bytes"
	"encoding/binary"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
)

func needLittleEndian(t *testing.T) {
	t.Helper()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the compiled policies are for little-endian machines")
	}
}

func TestDemo(t *testing.T) {
	needLittleEndian(t)
	var out strings.Builder
	require.NoError(t, demo(&out))
	got := regexp.MustCompile(`\d+ ns`).ReplaceAllString(out.String(), "N ns")
	require.Equal(t, `policy    requests   passed  refused   failed
open          2000     2000        0        0
guard         2000     1500      500        0

4000 requests sent, 4000 judged, 0 dropped; 500 notes from the policies
a verdict takes N ns
`, got)
}

func TestHeaderIsCurrent(t *testing.T) {
	header, err := os.ReadFile("plugins/http_request.h")
	require.NoError(t, err)
	require.Equal(t, string(header), onRequest.CHeader(), "run go generate")
}

// TestBadPolicy keeps the old policy where the new one does not load.
func TestBadPolicy(t *testing.T) {
	needLittleEndian(t)
	vm, err := sandbpf.New()
	require.NoError(t, err)
	p := &policy{vm: vm}
	require.NoError(t, p.load(guardPolicy))
	server := httptest.NewServer(guarded(http.HandlerFunc(hello)))
	defer server.Close()
	require.Error(t, p.load([]byte("no object")))
	hasty, err := os.ReadFile("plugins/hasty.o")
	require.NoError(t, err)
	require.Equal(t, "program judge: instruction 11: r6 is outside of the slice: offset 1, size 1, of 0 bytes that were compared with its end "+
		"(./plugins/hasty.c:10: return path[1] == 'a';)\n\thint: compare the pointer plus the bytes that you access with data_end before, "+
		"on this path, and use the same pointer afterwards", reason(p.load(hasty)))
	require.Error(t, p.load(bytes.ReplaceAll(openPolicy, []byte("\x00judge\x00"), []byte("\x00other\x00"))))
	var got tally
	require.NoError(t, get(server, "/admin/x", &got))
	require.Equal(t, uint64(1), got.refused.Load())
	require.NoError(t, p.close())
	require.NoError(t, get(server, "/admin/x", &got))
	require.Equal(t, uint64(1), got.passed.Load(), "without a policy all pass")
}

// syncBuffer is what several goroutines write and read.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// TestWatch replaces the file of the policy of a server.
func TestWatch(t *testing.T) {
	needLittleEndian(t)
	vm, err := sandbpf.New()
	require.NoError(t, err)
	p := &policy{vm: vm}
	require.NoError(t, p.load(openPolicy))
	file := filepath.Join(t.TempDir(), "policy.o")
	hasty, err := os.ReadFile("plugins/hasty.o")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, hasty, 0o600))
	var said syncBuffer
	log.SetOutput(&said)
	defer log.SetOutput(os.Stderr)
	server := httptest.NewServer(guarded(http.HandlerFunc(hello)))
	defer server.Close()
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { p.watch(file, openPolicy, 5*time.Millisecond, stop); close(done) }()
	require.Eventually(t, func() bool { return strings.Contains(said.String(), "the old policy stays: program judge") },
		5*time.Second, 10*time.Millisecond)
	var open tally
	require.NoError(t, get(server, "/admin", &open))
	require.Equal(t, uint64(1), open.passed.Load(), "the refused policy is not in force")
	require.NoError(t, os.WriteFile(file, guardPolicy, 0o600))
	require.Eventually(t, func() bool {
		var got tally
		return get(server, "/admin", &got) == nil && got.refused.Load() == 1
	}, 5*time.Second, 10*time.Millisecond)
	close(stop)
	<-done
	require.NoError(t, p.close())
}
