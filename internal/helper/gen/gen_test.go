package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The committed table is what protos.txt says.
func TestFresh(t *testing.T) {
	text, err := os.ReadFile("../protos.txt")
	require.NoError(t, err)
	want, err := generate(string(text))
	require.NoError(t, err)
	have, err := os.ReadFile("../zz_protos.go")
	require.NoError(t, err)
	require.Equal(t, string(want), string(have), "run go generate in internal/helper")
}

func TestRefused(t *testing.T) {
	for name, text := range map[string]string{
		"nonsense":         "hello",
		"unknown set":      "a = b",
		"id":               "2 x() int | | none",
		"argument kind":    "1 x(foo) int | | none",
		"argument flag":    "1 x(mem foo) int | | none",
		"six arguments":    "1 x(any, any, any, any, any, any) int | | none",
		"result":           "1 x() foo | | none",
		"result flag":      "1 x() int foo | | none",
		"flag":             "1 x() int | foo | none",
		"type":             "1 x() int | | foo",
		"alternative type": "1 x(any alt foo : any) int | | none",
		"alternative":      "1 x(any alt none : foo) int | | none",
		"variant":          "variant x",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := generate(text)
			require.ErrorContains(t, err, "line 1: ")
		})
	}
}
