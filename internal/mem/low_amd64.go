//go:build (linux || freebsd) && amd64

package mem

import "golang.org/x/sys/unix"

// mapLow asks for addresses below 2^31.
const mapLow = unix.MAP_32BIT
