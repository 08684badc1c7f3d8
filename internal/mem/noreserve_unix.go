//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package mem

// mapNoReserve is nothing here: these systems commit anonymous memory lazily.
const mapNoReserve = 0
