package main

import "bytes"

func printKfuncs(b *bytes.Buffer, text string) error { return nil }
