//go:build !linux

package kernel

import (
	"errors"

	"github.com/cilium/ebpf"
)

var errOther = unavailable(errors.New("this is not Linux"))

// Available returns nil if programs can be loaded and test-run here, else why
// not.
func Available() error { return errOther }

// Load returns an error that wraps [ErrUnavailable].
func Load(Prog) (*Loaded, error) { return nil, errOther }

// NewMap returns an error that wraps [ErrUnavailable].
func NewMap(Map) (*ebpf.Map, error) { return nil, errOther }

// Run returns an error that wraps [ErrUnavailable].
func (*Loaded) Run(_, _ []byte, _ int) (Result, error) { return Result{}, errOther }

// LoadSpec returns an error that wraps [ErrUnavailable].
func LoadSpec(*ebpf.CollectionSpec) (*Collection, error) { return nil, errOther }

// LoadSpecWithOptions returns an error that wraps [ErrUnavailable].
func LoadSpecWithOptions(*ebpf.CollectionSpec, ebpf.CollectionOptions) (*Collection, error) {
	return nil, errOther
}
