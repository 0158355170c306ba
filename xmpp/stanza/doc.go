// Package stanza is the XML of XMPP (RFC 6120 §4, §8 and §11): an element tree
// that is read under limits, never changed afterwards, and written so that
// nothing a program or a person puts into it can break the stream.
//
// Trees are immutable and may be shared between goroutines. A [Reader] belongs
// to one goroutine. Elements are kept as a protocol of data needs them: the
// text of an element is one string however children divide it, and of the
// attributes in foreign namespaces only those of XML itself ("xml:lang") are
// kept.
package stanza
