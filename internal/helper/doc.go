// Package helper knows the helper functions of Linux 6.18: their prototypes as
// data ([Get], [Proto]), what of them runs here ([Bodies]), and the packet that
// the network helpers work on ([Event], [Packet], [SKB]).
//
// # Prototypes
//
// protos.txt holds all 211, one to a line; "go generate" makes the Go table of
// it. To add or correct one, edit that file.
//
// # Bodies
//
// A body is a [vm.Helper]. It returns what Linux returns, errno included, and an
// error only for a call that the verifier does not let pass: that stops the run.
// It trusts no argument. To add one, write the func, enter it in the table of
// body.go, and add cases to testdata, which "go test -update" has answered by the
// kernel.
//
// Where Linux does more than programs can tell, less happens here: an skb always
// lies in one piece, redirects and clones are recorded and go nowhere, pointers are
// printed as numbers instead of hashes, and the flow hash is another one.
package helper
