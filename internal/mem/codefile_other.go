//go:build !linux

package mem

import "errors"

// newCodeFile fails: only Linux has files that are memory, and orders processors to serialize.
func newCodeFile(int) (codeMemory, error) { return nil, errors.ErrUnsupported }
