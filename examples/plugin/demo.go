package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandbpf/sandbpf"
)

// tally is what clients saw.
type tally struct{ sent, passed, refused, failed atomic.Uint64 }

// demo starts a server, fires requests at it from several clients, swaps its policy
// under way, and says what became of them.
func demo(out io.Writer) (err error) {
	vm, err := sandbpf.New()
	if err != nil {
		return err
	}
	p := &policy{vm: vm}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := p.load(openPolicy); err != nil {
		return err
	}
	server := httptest.NewServer(guarded(http.HandlerFunc(hello)))
	defer server.Close()

	var open, guard tally
	fmt.Fprintln(out, "policy    requests   passed  refused   failed")
	if err := fire(server, 500, &open, nil); err != nil {
		return err
	}
	open.print(out, "open")
	var swapped error
	if err := fire(server, 500, &guard, func() { swapped = p.load(guardPolicy) }); err != nil {
		return err
	}
	if swapped != nil {
		return swapped
	}
	guard.print(out, "guard")

	seen, err := p.requests()
	if err != nil {
		return err
	}
	sent := open.sent.Load() + guard.sent.Load()
	fmt.Fprintf(out, "\n%d requests sent, %d judged, %d dropped; %d notes from the policies\n",
		sent, seen, sent-seen, noted.Load())
	return printCost(out)
}

// printCost says what the hook costs an event.
func printCost(out io.Writer) error {
	ev := request{Method: []byte("GET"), Path: []byte("/index.html"), Agent: []byte("demo")}
	const n = 100_000
	began := time.Now()
	for range n {
		if _, err := onRequest.Fire(&ev); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "a verdict takes %d ns\n", time.Since(began).Nanoseconds()/n)
	return nil
}

// fire sends n requests from each of four clients. If swap is not nil it is called
// before the first and while they are under way: it brings the policy that they are
// counted for into force, from the first request on.
func fire(server *httptest.Server, n int, t *tally, swap func()) error {
	if swap != nil {
		swap()
	}
	paths := []string{"/", "/index.html", "/admin/users", "/about"}
	errs := make(chan error, 4)
	var wg sync.WaitGroup
	for range cap(errs) {
		wg.Go(func() {
			for i := range n {
				if err := get(server, paths[i%len(paths)], t); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	for swap != nil && t.sent.Load() < uint64(n) { // again and again, under load
		swap()
		time.Sleep(time.Millisecond)
	}
	wg.Wait()
	close(errs)
	return <-errs
}

func get(server *httptest.Server, path string, t *tally) error {
	t.sent.Add(1)
	resp, err := server.Client().Get(server.URL + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		t.passed.Add(1)
	case http.StatusForbidden:
		t.refused.Add(1)
	default:
		t.failed.Add(1)
	}
	return nil
}

func (t *tally) print(out io.Writer, name string) {
	fmt.Fprintf(out, "%-9s %8d %8d %8d %8d\n", name, t.sent.Load(), t.passed.Load(), t.refused.Load(), t.failed.Load())
}
