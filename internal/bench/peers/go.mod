module github.com/sandbpf/sandbpf/internal/bench/peers

go 1.25.0

require (
	github.com/sandbpf/sandbpf v0.0.0
	github.com/stretchr/testify v1.12.1
	github.com/tetratelabs/wazero v1.12.0
)

require (
	github.com/cilium/ebpf v0.22.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.45.0 // indirect
)

replace github.com/sandbpf/sandbpf => ../../..
