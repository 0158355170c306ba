package stanza

// Limits bounds one stanza; a zero field has its default.
type Limits struct {
	Bytes    int
	Depth    int
	Children int
	Attrs    int
}
