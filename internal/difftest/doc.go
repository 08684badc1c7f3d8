// Package difftest compares the verifier with that of Linux: over recorded programs
// ([ReadCorpus]), over programs of its own (testdata), and over generated ones. It is
// for tests only.
//
// A [Case] is a program as it was given to bpf(2), with the maps it uses and what Linux
// said. [Case.Verify] asks our verifier, and a table of messages ([Codes]) says which
// [verifier.Code] a message of Linux's corresponds to.
package difftest
