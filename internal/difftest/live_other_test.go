//go:build !linux

package difftest

import (
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/sandbpf/sandbpf/internal/kernel"
)

// askKernel says that there is no kernel to ask.
func askKernel(*Case) (*Case, error) { return nil, kernel.Available() }

func askKernelAt(*Case, uint32) (*Case, error) { return nil, kernel.Available() }

type kernelRuns struct{}

func newKernelRuns(testing.TB, bool) *kernelRuns { return nil }

func (*kernelRuns) ask(*Case, func(kernelProgram) error) (*Case, error) {
	return nil, kernel.Available()
}

func kernelTypes() (*btf.Spec, error) { return nil, kernel.Available() }
