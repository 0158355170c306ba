// Package stanza is the XML of XMPP.
package stanza
