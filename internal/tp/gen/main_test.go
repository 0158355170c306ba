package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The committed files are what the committed facts give.
func TestGenerate_committed(t *testing.T) {
	raw, err := os.ReadFile("../telepathy-facts.json")
	if err != nil {
		t.Fatal(err)
	}
	files, err := generate(raw)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is stale, run go generate ./internal/tp (-want +got):\n%s", name, diff)
		}
	}
}

func TestGenerate_refused(t *testing.T) {
	for _, test := range []struct{ name, facts, want string }{
		{"not JSON", `{`, "read facts"},
		{"two interfaces, one name",
			`{"interfaces":[{"name":"org.freedesktop.Telepathy.Channel.Type.Text"},{"name":"org.freedesktop.Telepathy.Channel.Interface.Text"}]}`,
			"would both be InterfaceChannelText"},
		{"signal twice",
			`{"interfaces":[{"name":"a.B","signals":[{"name":"C"},{"name":"C"}]}]}`,
			"would both be SignalABC"},
		{"unknown access",
			`{"interfaces":[{"name":"a.B","properties":[{"name":"C","type":"s","access":"rw"}]}]}`,
			`unknown word "rw"`},
		{"unknown enum type", `{"enums":{"A":{"kind":"enum","type":"x","values":[]}}}`, `unknown word "x"`},
		{"enum that is none", `{"enums":{"A":3}}`, "enum A"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := generate([]byte(test.facts))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestShortName(t *testing.T) {
	for name, want := range map[string]string{
		"org.freedesktop.Telepathy.Connection":                              "Connection",
		"org.freedesktop.Telepathy.Connection.Interface.Aliasing":           "ConnectionAliasing",
		"org.freedesktop.Telepathy.Channel.Type.Text":                       "ChannelText",
		"org.freedesktop.Telepathy.Channel.Interface.FileTransfer.Metadata": "ChannelFileTransferMetadata",
		"org.laptop.Telepathy.BuddyInfo":                                    "BuddyInfo",
		"org.laptop.Telepathy.Channel.Type.BuddyView":                       "ChannelBuddyView",
	} {
		if got := shortName(name); got != want {
			t.Errorf("shortName(%q) = %q, want %q", name, got, want)
		}
	}
}
