//go:build !amd64

package jit

// enter is not reached: Compile fails.
func enter(*machine) { panic("jit: no native code on this platform") }

func start(*machine) { enter(nil) }

func enterBatch(*machine, *batch) { enter(nil) }
