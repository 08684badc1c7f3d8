package mem

import "golang.org/x/sys/unix"

// mapNoReserve: a sparse map is charged for the pages it touches only.
const mapNoReserve = unix.MAP_NORESERVE
