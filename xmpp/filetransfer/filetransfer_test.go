package filetransfer

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

const ns = `xmlns='http://jabber.org/protocol/si/profile/file-transfer'`

func offer(file string) string { return `<si xmlns='http://jabber.org/protocol/si'>` + file + `</si>` }

var parse = xmpptest.Element

func TestParse(t *testing.T) {
	plain := func(change func(*File)) File {
		f := File{Name: "a", MIMEType: DefaultMIMEType, Metadata: map[string][]string{}}
		change(&f)
		return f
	}
	form := func(typ, fields string) string {
		return `<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>` + typ + `</value></field>` + fields + `</x>`
	}
	tests := []struct {
		name, file string
		want       File
	}{
		{"XEP-0096 example 1", `<file ` + ns + ` name='test.txt' size='1022' hash='552da749930852c69ae5d2141d3766b1' date='1969-07-21T02:56:15Z'><desc>This is a test. If this were a real file...</desc></file>`,
			File{Name: "test.txt", MIMEType: DefaultMIMEType, Description: "This is a test. If this were a real file...", Size: 1022, HasSize: true,
				MD5: "552da749930852c69ae5d2141d3766b1", Modified: time.Date(1969, 7, 21, 2, 56, 15, 0, time.UTC), Metadata: map[string][]string{}}},
		{"range", `<file ` + ns + ` name='a'><range/></file>`, plain(func(f *File) { f.Ranged = true })},
		{"older date", `<file ` + ns + ` name='a' date='19690721T02:56:15'/>`, plain(func(f *File) { f.Modified = time.Date(1969, 7, 21, 2, 56, 15, 0, time.UTC) })},
		{"bad date and hash", `<file ` + ns + ` name='a' date='yesterday' hash='xyz'/>`, plain(func(*File) {})},
		{"type beside the file", `<file ` + ns + ` name='a' mime-type='text/plain; charset=utf-8'/>`, plain(func(f *File) { f.MIMEType = "text/plain; charset=utf-8" })},
		{"Sugar's type", `<file ` + ns + ` name='a' mime-type='x-sugar/from-activity'/>`, plain(func(f *File) { f.MIMEType = "x-sugar/from-activity" })},
		{"no type", `<file ` + ns + ` name='a' mime-type='rubbish'/>`, plain(func(*File) {})},
		{"title with slashes", `<file ` + ns + ` name='Write 12/5'/>`, plain(func(f *File) { f.Name = "Write 12_5" })},
		{"folders", `<file ` + ns + ` name='../../etc/passwd'/>`, plain(func(f *File) { f.Name = ".._.._etc_passwd" })},
		{"folders of Windows", `<file ` + ns + ` name='C:\autoexec.bat'/>`, plain(func(f *File) { f.Name = "C:_autoexec.bat" })},
		{"only dots", `<file ` + ns + ` name='..'/>`, plain(func(f *File) { f.Name = "file" })},
		{"no name", `<file ` + ns + `/>`, plain(func(f *File) { f.Name = "file" })},
		{"name that shows as another", "<file " + ns + " name='a\u202egnp.exe&#10;'/>", plain(func(f *File) { f.Name = "agnp.exe" })},
		{"long name", `<file ` + ns + ` name='` + strings.Repeat("é", 200) + `'/>`, plain(func(f *File) { f.Name = strings.Repeat("é", 127) })},
		{"service and metadata", `<file ` + ns + ` name='a'>` + form(typeService, `<field var='ServiceName'><value>chess</value></field>`) +
			form(typeMetadata, `<field var='moves'><value>e4</value><value>e5</value></field><field var='none'/>`) + form("other", `<field var='x'/>`) + `</file>`,
			plain(func(f *File) {
				f.Service, f.Metadata = "chess", map[string][]string{"moves": {"e4", "e5"}, "none": {}}
			})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(parse(t, offer(tt.file)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestParse_refused(t *testing.T) {
	for name, file := range map[string]string{
		"no file": "", "another namespace": `<file name='a'/>`, "size is no number": `<file ` + ns + ` size='much'/>`,
		"size is negative": `<file ` + ns + ` size='-1'/>`, "size of no file": `<file ` + ns + ` size='18446744073709551615'/>`,
	} {
		if _, err := Parse(parse(t, offer(file))); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestParse_metadataLimits(t *testing.T) {
	var fields strings.Builder
	for range 200 {
		fields.WriteString(`<field var='` + strings.Repeat("n", fields.Len()%97+1) + `'>` + strings.Repeat("<value>"+strings.Repeat("v", 90)+"</value>", 100) + `</field>`)
	}
	f, err := Parse(parse(t, offer(`<file `+ns+`><x xmlns='jabber:x:data'><field var='FORM_TYPE'><value>`+typeMetadata+`</value></field>`+fields.String()+`</x></file>`)))
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for name, values := range f.Metadata {
		for _, v := range values {
			size += len(name) + len(v)
		}
	}
	if len(f.Metadata) == 0 || size > 2*maxMetadataBytes {
		t.Errorf("%d fields with %d bytes kept", len(f.Metadata), size)
	}
}

func TestParseRange(t *testing.T) {
	for name, tt := range map[string]struct {
		file string
		want Range
	}{
		"all": {`<file ` + ns + `/>`, Range{}}, "nothing said": {"", Range{}}, "empty": {`<file ` + ns + `><range/></file>`, Range{}},
		"part":      {`<file ` + ns + `><range offset='5' length='7'/></file>`, Range{5, 7}},
		"malformed": {`<file ` + ns + `><range offset='-5' length='x'/></file>`, Range{}},
	} {
		got := ParseRange(parse(t, offer(tt.file)))
		if got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
		if again := ParseRange(stanza.New("http://jabber.org/protocol/si", "si", got.Element())); again != got {
			t.Errorf("%s: %v read again is %v", name, got, again)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(offer(`<file ` + ns + ` name='../a' size='7' date='1969-07-21T02:56:15Z' hash='552da749930852c69ae5d2141d3766b1'><desc>d</desc><range/></file>`))
	f.Add(offer(`<file ` + ns + `><x xmlns='jabber:x:data'><field var='FORM_TYPE'><value>` + typeMetadata + `</value></field><field var='a'><value>b</value></field></x></file>`))
	f.Fuzz(func(t *testing.T, s string) {
		e, err := stanza.Parse(s)
		if err != nil {
			return
		}
		file, err := Parse(e)
		if err != nil {
			return
		}
		if file.Name == "" || strings.ContainsAny(file.Name, "/\\\x00") || len(file.Name) > maxName || len(file.Description) > maxText {
			t.Errorf("name %q, description of %d bytes", file.Name, len(file.Description))
		}
		file.HasSize = true // what we write always has one
		again, err := Parse(stanza.New("http://jabber.org/protocol/si", "si", file.Element()))
		if diff := cmp.Diff(file, again); diff != "" || err != nil {
			t.Errorf("read again: %v\n%s", err, diff)
		}
	})
}
