package sandbpf

// Link is linkChecked, for tests that need a loader, which imports this package.
var Link = linkChecked
