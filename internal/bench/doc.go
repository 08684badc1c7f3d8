// Package bench holds no code but tests: benchmarks that compare the engines
// with each other, with Linux and with a yardstick, over programs of many kinds.
package bench
