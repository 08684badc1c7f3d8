// Package hooks is where events meet programs: the catalog of program types,
// the points that programs attach to, and hooks of a Go program's own.
//
// A hook of Linux's is a point of packets: [NewXDP], [NewTC] and
// [NewSocketFilter] make one. A hook of your own takes a Go struct as its
// context: [Define] makes one. Programs attach to either and come into force at
// once; each event runs them in order, on a virtual CPU that it leases.
//
//	var onRequest = hooks.Define[Request]("http_request", hooks.Returns(0, 1))
//
//	link, err := onRequest.Attach(program)
//	verdict, err := onRequest.Fire(&Request{Port: 80})
//	err = link.Replace(another) // no event is lost, none sees both
//
// An event costs less on a CPU that is held across events (FireOn), and less again if its
// packet is written where programs see it, many at a time: see [XDPFrame].
package hooks
