package caps

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sort"
	"strings"

	"telepathy-olpc/xmpp/disco"
)

// Why no hash can be given for an info.
var (
	ErrUnknownHash = errors.New("unknown hash function")
	ErrIllFormed   = errors.New("ill-formed info")
)

// hashes has the functions by their names in XEP-0300. SHA-1 is the one that
// everybody has, XEP-0115 §9.1.
var hashes = map[string]func() hash.Hash{"sha-1": sha1.New, "sha-256": sha256.New}

// Hash gives the ver of an info, XEP-0115 §5.1. Infos that §5.4 calls
// ill-formed have none, nor have those whose string could also be that of
// another info: with such a one a stranger could make us, and with us the file
// of the next session, believe a wrong thing of everybody with this hash.
func Hash(name string, info *disco.Info) (string, error) {
	newHash := hashes[name]
	if newHash == nil {
		return "", ErrUnknownHash
	}
	s, err := verificationString(info)
	if err != nil {
		return "", err
	}
	h := newHash()
	h.Write([]byte(s))
	return base64.StdEncoding.EncodeToString(h.Sum(nil)), nil
}

// Verify tells whether the info is the one that the hash stands for.
func Verify(c Caps, info *disco.Info) error {
	ver, err := Hash(c.Hash, info)
	if err == nil && ver != c.Ver {
		err = fmt.Errorf("hash is %s, not %s", ver, c.Ver)
	}
	return err
}

// verificationString gives what is hashed.
func verificationString(info *disco.Info) (string, error) {
	identities, err := identityPieces(info.Identities)
	if err != nil {
		return "", err
	}
	features := slices.Sorted(slices.Values(info.Features))
	if hasDuplicates(features) {
		return "", illFormed("feature twice")
	}
	forms, err := formPieces(info.Forms)
	if err != nil {
		return "", err
	}
	all := slices.Concat(identities, features, forms)
	size := len(all)
	for _, piece := range all {
		if strings.Contains(piece, "<") {
			return "", illFormed("separator within a text")
		}
		size += len(piece)
	}
	// Features are in ascending order. Forms that go on in it could be features.
	if rest := all[len(identities):]; len(forms) > 0 && slices.IsSorted(rest) && !hasDuplicates(rest) {
		return "", illFormed("form like features")
	}
	var b strings.Builder
	b.Grow(size)
	for _, piece := range all {
		b.WriteString(piece)
		b.WriteByte('<')
	}
	return b.String(), nil
}

// identityPieces gives category/type/lang/name of each, in order. A feature
// such as http://jabber.org/… must not pass for one, hence category and type
// are there and have no slash.
func identityPieces(identities []disco.Identity) ([]string, error) {
	if len(identities) == 0 {
		return nil, illFormed("no identity") // XEP-0030 §3.1 demands one
	}
	var pieces []string
	for _, i := range identities {
		if i.Category == "" || i.Type == "" || strings.Contains(i.Category+i.Type+i.Lang, "/") {
			return nil, illFormed("identity without category or type, or with a slash")
		}
		pieces = append(pieces, i.Category+"/"+i.Type+"/"+i.Lang+"/"+i.Name)
	}
	slices.Sort(pieces)
	if hasDuplicates(pieces) {
		return nil, illFormed("identity twice")
	}
	return pieces, nil
}

// formPieces gives type, names and values of each form, in order. Forms without
// a type say nothing and are passed over, XEP-0115 §5.4.
func formPieces(forms []disco.Form) ([]string, error) {
	var typed []disco.Form
	for _, f := range forms {
		if f.Type() != "" {
			typed = append(typed, f)
		}
	}
	sort.Slice(typed, func(i, j int) bool { return typed[i].Type() < typed[j].Type() })
	var pieces []string
	for i, f := range typed {
		if i > 0 && typed[i-1].Type() == f.Type() {
			return nil, illFormed("form twice")
		}
		pieces = append(pieces, f.Type())
		fields := slices.Clone(f.Fields)
		sort.Slice(fields, func(i, j int) bool { return fields[i].Var < fields[j].Var })
		for j, l := range fields {
			if j > 0 && fields[j-1].Var == l.Var {
				return nil, illFormed("field twice")
			}
			if !l.IsFormType() {
				pieces = append(append(pieces, l.Var), slices.Sorted(slices.Values(l.Values))...)
			} else if slices.ContainsFunc(l.Values, func(v string) bool { return v != f.Type() }) {
				return nil, illFormed("form of two types")
			}
		}
	}
	return pieces, nil
}

// hasDuplicates tells whether something is twice in a sorted list.
func hasDuplicates(sorted []string) bool {
	for i := 1; i < len(sorted); i++ {
		if sorted[i] == sorted[i-1] {
			return true
		}
	}
	return false
}

func illFormed(why string) error { return fmt.Errorf("%w: %s", ErrIllFormed, why) }
