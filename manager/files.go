package manager

import (
	"fmt"
	"slices"
	"strings"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/manager/connection"
)

// ManagerFile is the connection manager's .manager file, so that clients know
// it without starting it (Telepathy specification, ConnectionManager). It is
// made from the tables that the objects on the bus answer from.
func (d Definition) ManagerFile() string {
	var b strings.Builder
	b.WriteString("# Made by 'make build' from the tables in manager/; do not edit.\n")
	b.WriteString("[ConnectionManager]\nInterfaces=\n")
	for _, p := range d.Protocols {
		p.writeGroup(&b)
	}
	return b.String()
}

func (p *Protocol) writeGroup(b *strings.Builder) {
	fmt.Fprintf(b, "\n[Protocol %s]\n", p.Name)
	for _, param := range p.Parameters {
		fmt.Fprintf(b, "param-%s=%s\n", param.Name, strings.Join(append([]string{param.Signature}, flagWords(param.Flags)...), " "))
		if param.Default != nil {
			fmt.Fprintf(b, "default-%s=%s\n", param.Name, keyFileValue(param.Default))
		}
	}
	writeNonEmpty(b, "VCardField", p.VCardField)
	writeNonEmpty(b, "EnglishName", p.EnglishName)
	writeNonEmpty(b, "Icon", p.Icon)
	fmt.Fprintf(b, "Interfaces=%s\n", keyFileValue(p.interfaces()))
	fmt.Fprintf(b, "ConnectionInterfaces=%s\n", keyFileValue(p.ConnectionInterfaces))
	b.WriteString("AuthenticationTypes=\n")
	for _, name := range sortedKeys(p.Statuses) {
		fmt.Fprintf(b, "status-%s=%s\n", name, statusWords(p.Statuses[name]))
	}
	p.writeChannelClasses(b)
}

// writeChannelClasses names one group per class and then writes the groups.
func (p *Protocol) writeChannelClasses(b *strings.Builder) {
	groups := make([]string, len(p.Channels))
	for i := range p.Channels {
		groups[i] = fmt.Sprintf("%s-channel-%d", p.Name, i)
	}
	fmt.Fprintf(b, "RequestableChannelClasses=%s\n", keyFileValue(groups))
	for i, class := range p.Channels {
		fmt.Fprintf(b, "\n[%s]\n", groups[i])
		for _, name := range sortedKeys(class.Fixed) {
			fmt.Fprintf(b, "%s %s=%s\n", name, keyFileType(class.Fixed[name]), keyFileValue(class.Fixed[name]))
		}
		fmt.Fprintf(b, "allowed=%s\n", keyFileValue(class.Allowed))
	}
}

// flagWords are the flags of a parameter as a .manager file writes them.
func flagWords(f tp.ConnMgrParamFlags) []string {
	var words []string
	for _, w := range []struct {
		flag tp.ConnMgrParamFlags
		word string
	}{
		{tp.ConnMgrParamFlagsRequired, "required"},
		{tp.ConnMgrParamFlagsRegister, "register"},
		{tp.ConnMgrParamFlagsSecret, "secret"},
		{tp.ConnMgrParamFlagsDBusProperty, "dbus-property"},
	} {
		if f&w.flag != 0 {
			words = append(words, w.word)
		}
	}
	return words
}

// statusWords is a status as a .manager file writes it: the type's number and
// what may be done with it.
func statusWords(s connection.StatusSpec) string {
	words := []string{fmt.Sprint(uint32(s.Type))}
	if s.MaySetOnSelf {
		words = append(words, "settable")
	}
	if s.CanHaveMessage {
		words = append(words, "message")
	}
	return strings.Join(words, " ")
}

func writeNonEmpty(b *strings.Builder, key, value string) {
	if value != "" {
		fmt.Fprintf(b, "%s=%s\n", key, keyFileValue(value))
	}
}

// keyFileType is the D-Bus signature of a value in a key file.
func keyFileType(v any) string {
	switch v.(type) {
	case string:
		return "s"
	case bool:
		return "b"
	}
	return "u"
}

// keyFileValue writes a value as the Desktop Entry Specification has it.
func keyFileValue(v any) string {
	switch v := v.(type) {
	case string:
		return keyFileEscapes.Replace(v)
	case []string:
		var b strings.Builder
		for _, item := range v {
			b.WriteString(strings.ReplaceAll(keyFileEscapes.Replace(item), ";", `\;`) + ";")
		}
		return b.String()
	}
	return fmt.Sprint(v)
}

var keyFileEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\t", `\t`, "\r", `\r`)

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// ServiceFile is the D-Bus activation file that starts executable for the
// connection manager's bus name (D-Bus specification, "Message Bus Starting
// Services").
func (d Definition) ServiceFile(executable string) string {
	return fmt.Sprintf("[D-BUS Service]\nName=%s\nExec=%s\n", d.BusName(), executable)
}
