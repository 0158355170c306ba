package sugar

import (
	"fmt"
	"os"
	"strings"

	"telepathy-olpc/tests/desktop"
)

// needed are the files that must be there, and the Debian packages that they are in.
var needed = []struct{ file, pkg string }{
	{python, "python3"},
	{"/usr/lib/python3/dist-packages/jarabe/main.py", "python3-jarabe"},
	{"/usr/lib/python3/dist-packages/sugar3/presence/activity.py", "python3-sugar3"},
	{"/usr/share/sugar/data/sugar-72.gtkrc", "sugar-session"},
	{"/usr/share/sugar/activities/Calculate.activity/calculate.py", "sugar-calculate-activity"},
	{"/usr/share/sugar/activities/Chat.activity/activity.py", "sugar-chat-activity"},
	{"/usr/share/sugar/activities/Memorize.activity/activity.py", "sugar-memorize-activity"},
	{"/usr/share/sugar/activities/Pippy.activity/activity.py", "sugar-pippy-activity"},
	{"/usr/share/sugar/activities/Read.activity/readactivity.py", "sugar-read-activity"},
	{"/usr/share/sugar/activities/Write.activity/AbiWordActivity.py", "sugar-write-activity"},
	{"/usr/share/dbus-1/services/org.laptop.sugar.DataStore.service", "python3-carquinyol"},
	{desktop.MissionControl, "telepathy-mission-control-5"},
	{"/usr/bin/Xvfb", "xvfb"},
	{"/usr/bin/metacity", "metacity"},
	{"/usr/bin/ssh-keygen", "openssh-client"},
	{"/usr/bin/dbus-daemon", "dbus-daemon"},
}

// Installed says which packages are missing. Nothing is skipped for want of one.
func Installed() error {
	var missing []string
	for _, n := range needed {
		if _, err := os.Stat(n.file); err != nil {
			missing = append(missing, n.pkg)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("please install the Debian packages %s", strings.Join(missing, ", "))
	}
	return nil
}
