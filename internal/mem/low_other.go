//go:build unix && !((linux || freebsd) && amd64)

package mem

// mapLow is nothing here: there is no such request.
const mapLow = 0
