//go:build !linux

package difftest

import "github.com/sandbpf/sandbpf/internal/kernel"

// askKernel says that there is no kernel to ask.
func askKernel(*Case) (*Case, error) { return nil, kernel.Available() }
