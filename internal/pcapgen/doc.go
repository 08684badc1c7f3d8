// Package pcapgen makes the capture files of testdata/pcap. It is all tests: they
// check that the files are what the generator makes, and write them with
//
//	go test ./internal/pcapgen -update
package pcapgen
