// Command datafiles writes the files by which D-Bus and Telepathy clients find
// the connection managers.
package main

import (
	"flag"
	"log"
	"os"
	"path/filepath"

	"telepathy-olpc/manager"
)

func main() {
	log.SetFlags(0)
	managers := flag.String("managers", "data", "folder for .manager files")
	services := flag.String("services", "data/dbus-services", "folder for D-Bus service files")
	executable := flag.String("exec", "/usr/bin/telepathy-olpc", "program that the service files start")
	flag.Parse()
	for _, d := range []manager.Definition{manager.Gabble(), manager.Salut()} {
		write(filepath.Join(*managers, d.Name+".manager"), d.ManagerFile())
		write(filepath.Join(*services, d.BusName()+".service"), d.ServiceFile(*executable))
	}
}

func write(path, text string) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		log.Fatal(err)
	}
}
