package filetransfer

import (
	"math"
	"strings"
	"time"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/filetransfer"
)

// maxSaid bounds what a program says of a file, in bytes: it goes into one
// stanza, and servers refuse long ones.
const maxSaid = 32 << 10

// parseRequest reads what a program says of the file that it wants to send.
func parseRequest(r *channels.Request) (f filetransfer.File, uri string, err error) {
	p := properties{r: r}
	f.Name = p.text(tp.PropertyChannelFileTransferFilename, true)
	f.MIMEType = p.text(tp.PropertyChannelFileTransferContentType, true)
	f.Size, f.HasSize = p.size(), true
	f.Description = p.text(tp.PropertyChannelFileTransferDescription, false)
	f.MD5 = p.hash()
	if seconds := p.integer(tp.PropertyChannelFileTransferDate); seconds != 0 {
		f.Modified = time.Unix(seconds, 0).UTC()
	}
	f.Ranged = true
	f.Service = p.text(tp.PropertyChannelFileTransferMetadataServiceName, false)
	f.Metadata = p.metadata()
	uri = p.text(tp.PropertyChannelFileTransferURI, false)
	if p.said > maxSaid {
		p.refuse("the request", "is too long")
	}
	return f, uri, p.err
}

// properties reads those of a request; the first error is kept.
type properties struct {
	r    *channels.Request
	said int // bytes
	err  error
}

func (p *properties) refuse(name, why string) {
	if p.err == nil {
		p.err = tp.Errorf(tp.ErrorInvalidArgument, "%s %s", name, why)
	}
}

// text reads a string, which the request must have if it is mandatory.
func (p *properties) text(name string, mandatory bool) string {
	v, there := p.r.Properties[name]
	s, is := v.Value().(string)
	switch {
	case there && !is:
		p.refuse(name, "is not a string")
	case mandatory && s == "":
		p.refuse(name, "is missing")
	}
	p.said += len(s)
	return s
}

func (p *properties) size() uint64 {
	const name = tp.PropertyChannelFileTransferSize
	size, is := p.r.Uint(name)
	if !is || size > math.MaxInt64 {
		p.refuse(name, "is missing, or no size of a file")
	}
	return size
}

func (p *properties) integer(name string) int64 {
	v, there := p.r.Properties[name]
	n, is := bus.Int(v.Value())
	if there && !is {
		p.refuse(name, "is not an integer")
	}
	return n
}

// hash reads the file's hash, if it is one that XEP-0096 can tell; others
// count as none (specification, ContentHashType).
func (p *properties) hash() string {
	kind := p.integer(tp.PropertyChannelFileTransferContentHashType)
	hash := strings.ToLower(p.text(tp.PropertyChannelFileTransferContentHash, false))
	switch {
	case kind != int64(tp.FileHashTypeMD5):
		return ""
	case !filetransfer.IsMD5(hash):
		p.refuse(tp.PropertyChannelFileTransferContentHash, "is no MD5")
	}
	return hash
}

func (p *properties) metadata() map[string][]string {
	const name = tp.PropertyChannelFileTransferMetadataMetadata
	v, there := p.r.Properties[name]
	m, is := v.Value().(map[string][]string)
	if there && !is {
		p.refuse(name, "is not a map of strings to lists of strings")
	}
	for key, values := range m {
		if key == "" || key == filetransfer.FormType {
			p.refuse(name, "has a key that can't be sent")
		}
		p.said += len(key)
		for _, value := range values {
			p.said += len(value)
		}
	}
	if m == nil {
		m = map[string][]string{}
	}
	return m
}
