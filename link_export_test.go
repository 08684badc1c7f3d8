package sandbpf

// Link is link, for tests that need a loader, which imports this package.
var Link = link
