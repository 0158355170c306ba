// Package bytestream gives two people a stream of bytes between them: it
// negotiates (Stream Initiation, XEP-0095, package si), then tries SOCKS5
// Bytestreams (XEP-0065, package socks5) and In-Band Bytestreams (XEP-0047,
// package ibb) in turn, at both ends.
//
// The [Manager] and its offers belong to the Connection's loop; every callback
// runs there. A [Conn] is for goroutines of its user: the loop never waits for
// it, and each of its bytes passes the loop only when it goes in-band.
//
// The order: [Manager.Open] asks; at the other end the handler of the profile
// gets an [Offer] and accepts or refuses it, at any time. Then the initiator
// makes one method after the other work. Both ends are told of the open stream
// when it is usable; bytes may come at once.
//
// Our addresses are told to nobody before the other side has accepted an offer
// of ours, or we its. Occupants of rooms get no relay.
//
// Limits: see maxPerPeer and the constants beside it, [socks5.Server] and
// [ibb.Stream]. Nothing here asks for what is in the streams, or whether
// somebody may open them: that is for who serves the profile.
package bytestream
