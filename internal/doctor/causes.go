package doctor

// Cause names what is wrong, for scripts.
type Cause string

// Advice says what a finding means for the children and what to change.
type Advice struct {
	Means    string `json:"means,omitempty"`
	Do       string `json:"do,omitempty"` // on the laptop, or on any server
	Ejabberd string `json:"ejabberd,omitempty"`
	Prosody  string `json:"prosody,omitempty"`
}

// The causes.
const (
	NoBus          Cause = "no-session-bus"
	NotInstalled   Cause = "not-installed"
	OtherManager   Cause = "other-connection-manager"
	NoManagerFiles Cause = "no-manager-files"
	NoMission      Cause = "no-mission-control"
	MissionAsleep  Cause = "mission-control-not-running"
	NoAccount      Cause = "no-account"
	AccountOff     Cause = "account-disabled"
	AccountFailed  Cause = "account-not-connected"

	NoServer     Cause = "no-server-set"
	NoName       Cause = "name-not-found"
	NoService    Cause = "service-denied"
	NoDirect     Cause = "nothing-listens"
	NoDirectPort Cause = "no-direct-tls-port"
	NoPlainPort  Cause = "no-starttls-port"
	NoStartTLS   Cause = "no-starttls"
	NotXMPP      Cause = "not-xmpp"
	NoTLS        Cause = "no-tls"
	OldTLS       Cause = "old-tls"
	CertExpired  Cause = "certificate-expired"
	CertExpires  Cause = "certificate-expires-soon"
	CertEarly    Cause = "certificate-not-yet-valid"
	CertHost     Cause = "certificate-wrong-name"
	CertWeak     Cause = "certificate-broken"

	Closed        Cause = "registration-closed"
	NeedsForm     Cause = "registration-needs-form"
	Throttled     Cause = "registration-throttled"
	Unregistered  Cause = "registration-failed"
	Refused       Cause = "login-refused"
	LoginLost     Cause = "login-failed"
	WrongHost     Cause = "unknown-domain"
	NoPEP         Cause = "no-pep"
	BrokenPEP     Cause = "pep-refused"
	Alone         Cause = "no-shared-roster"
	MaybeAlone    Cause = "roster-empty"
	ListedOnly    Cause = "roster-by-list"
	NoRooms       Cause = "no-conference"
	RoomRefused   Cause = "room-refused"
	RoomSilent    Cause = "room-silent"
	RoomLocked    Cause = "room-settings"
	RoomMembers   Cause = "room-members-only"
	RoomAnonymous Cause = "room-anonymous"
	RoomListed    Cause = "room-public"
	NoProxy       Cause = "no-proxy"
	DeadProxy     Cause = "proxy-unreachable"
	Slow          Cause = "slow"
	NoAnswer      Cause = "no-answer"
	LeftBehind    Cause = "account-left-behind"
)

type diagnosis struct {
	level Level
	Advice
}

// diagnoses says what each cause means. docs/troubleshooting.md has the same by
// symptom.
var diagnoses = map[Cause]diagnosis{
	NoBus: {Problem, Advice{
		Means: "Sugar and its connection manager cannot speak to each other: the Neighborhood stays empty.",
		Do:    "Run the doctor inside the child's Sugar session (its Terminal activity), as the child. On a server: --server alone is enough."}},
	NotInstalled: {Problem, Advice{
		Means: "Nothing connects this laptop to other children.",
		Do:    "Install telepathy-olpc (apt install ./telepathy-olpc_*.deb, or make install), then log in to Sugar again."}},
	OtherManager: {Warning, Advice{
		Means: "Another connection manager answers to the name that Sugar asks for, and what follows does not speak of that one.",
		Do:    "Remove the other one (telepathy-gabble, telepathy-salut), or its file in ~/.local/share/dbus-1/services."}},
	NoManagerFiles: {Problem, Advice{
		Means: "Without both files mission-control refuses the accounts that Sugar makes, and no child is shown.",
		Do:    "Install telepathy-olpc whole: gabble.manager and salut.manager belong into share/telepathy/managers."}},
	NoMission: {Problem, Advice{
		Means: "Nobody keeps Sugar's accounts and logs in: the Neighborhood stays empty.",
		Do:    "Install mission-control: apt install telepathy-mission-control-5."}},
	MissionAsleep: {Warning, Advice{
		Means: "Sugar starts it when it comes up. If this is a Sugar session, Sugar has not got that far.",
		Do:    "Log in to Sugar and look again."}},
	NoAccount: {Problem, Advice{
		Means: "Sugar has not made the account with which it logs in, so nobody sees this child.",
		Do:    "Set the server in My Settings › Network. If it is set, look whether ~/.sugar/default/owner.key exists: OpenSSH 10 makes no DSA keys any more, and without the key Sugar makes no account."}},
	AccountOff: {Problem, Advice{
		Means: "The child's account is switched off: nobody sees this child.",
		Do:    "Log out of Sugar and in again; it switches the account on."}},
	AccountFailed: {Warning, Advice{
		Means: "The child is not on-line at the moment.",
		Do:    "The lines below say why. When they are all right, log out of Sugar and in again."}},

	NoServer: {Problem, Advice{
		Means: "Sugar does not know whom to connect to.",
		Do:    "Set the server in My Settings › Network, or give --server."}},
	NoName: {Problem, Advice{
		Means: "The laptop cannot find the server: no child gets on-line.",
		Do:    "Give the name an address (A or AAAA record) in the DNS that the laptops use, or correct the server in My Settings › Network."}},
	NoService: {Warning, Advice{
		Means: "DNS says that there is no such service here. Sugar does not ask for that, other chat programs do.",
		Do:    "Remove the SRV record with the target “.”, or let it name the server."}},
	NoDirect: {Problem, Advice{
		Means:    "No child gets on-line: nothing answers at this address.",
		Do:       "Start the server, and open ports 5223 and 5222 in its firewall for the laptops.",
		Ejabberd: "systemctl status ejabberd; listen: {port: 5223, module: ejabberd_c2s, tls: true}",
		Prosody:  "systemctl status prosody; c2s_direct_tls_ports = { 5223 }"}},
	NoDirectPort: {Problem, Advice{
		Means:    "Sugar connects to port 5223 and no other: no child gets on-line.",
		Do:       "Let the server listen there with TLS from the first byte, and open the port in the firewall.",
		Ejabberd: "listen: a second ejabberd_c2s with port: 5223 and tls: true",
		Prosody:  "c2s_direct_tls_ports = { 5223 } (before Prosody 0.12: legacy_ssl_ports)"}},
	NoPlainPort: {Warning, Advice{
		Means:    "Sugar does not need this port; other chat programs do.",
		Ejabberd: "listen: ejabberd_c2s with port: 5222 and starttls: true",
		Prosody:  "c2s_ports = { 5222 }"}},
	NoStartTLS: {Warning, Advice{
		Means:    "On this port everything can be read on the way. Sugar does not use it, other chat programs do.",
		Ejabberd: "starttls_required: true at the listener, and certfiles",
		Prosody:  "modules_enabled has \"tls\"; c2s_require_encryption = true; a certificate"}},
	NotXMPP: {Warning, Advice{
		Means: "Something else than a chat server answers on this port.",
		Do:    "Look at what listens there."}},
	NoTLS: {Problem, Advice{
		Means:    "Sugar sends nothing without encryption: no child gets on-line.",
		Do:       "The port has to speak TLS from the first byte, with a certificate; a self-signed one will do.",
		Ejabberd: "tls: true at the listener on 5223 (not starttls), and certfiles",
		Prosody:  "c2s_direct_tls_ports = { 5223 }, c2s_direct_tls_ssl with key and certificate that prosody may read"}},
	OldTLS: {Warning, Advice{
		Means: "Children get on-line, but this encryption can be broken, and newer programs refuse it.",
		Do:    "Update the server, or its TLS library."}},
	CertExpired: {Warning, Advice{
		Means:    "Sugar connects all the same; accounts that check certificates do not.",
		Do:       "Renew the certificate and let the server read it again.",
		Ejabberd: "certfiles; ejabberdctl reload_config",
		Prosody:  "prosodyctl --root cert import /etc/letsencrypt/live; prosodyctl reload"}},
	CertExpires: {Warning, Advice{
		Means:    "Sugar goes on connecting; accounts that check certificates stop to.",
		Do:       "Renew the certificate, and see to it that this happens by itself.",
		Ejabberd: "acme: {auto: true}, or certfiles and ejabberdctl reload_config",
		Prosody:  "prosodyctl --root cert import /etc/letsencrypt/live, as a renewal hook"}},
	CertEarly: {Warning, Advice{
		Means: "Sugar connects all the same; accounts that check certificates do not.",
		Do:    "Look at the clock of this laptop first (an XO with an empty battery is in 1970), then at that of the server."}},
	CertHost: {Warning, Advice{
		Means:    "Sugar connects all the same; accounts that check certificates do not.",
		Do:       "Make the certificate for the name that is in the children's settings.",
		Ejabberd: "certfiles: one with the name of the host in its subjectAltName",
		Prosody:  "certificates/<name>.crt with that name; prosodyctl check certs"}},

	CertWeak: {Warning, Advice{
		Means: "Sugar connects all the same; accounts that check certificates do not.",
		Do:    "Make a new certificate: an ECDSA key, or RSA of 2048 bits and more, SHA-256, for servers."}},

	Closed: {Problem, Advice{
		Means:    "A laptop cannot make its own account: a new child never gets on-line.",
		Do:       "Open in-band registration, for the school's network at least.",
		Ejabberd: "modules: mod_register with access: register, ip_access; access_rules: register: allow; not at a listener with access: none",
		Prosody:  "modules_enabled has \"register\"; allow_registration = true"}},
	NeedsForm: {Problem, Advice{
		Means:    "The server wants more than name and password of a new account, which no laptop can answer.",
		Do:       "Ask for name and password only.",
		Ejabberd: "mod_register: captcha_protected: false",
		Prosody:  "remove \"register_web\" forms, invitations and additional_registration_fields"}},
	Throttled: {Problem, Advice{
		Means:    "Of laptops behind one address, all but the first have to wait: in a class of thirty most do not get on-line on the first day.",
		Do:       "Lift the limit on new accounts for the school's network.",
		Ejabberd: "registration_timeout: infinity",
		Prosody:  "remove min_seconds_between_registrations and registration_throttle_max, or registration_allowlist = the school's addresses"}},
	Unregistered: {Problem, Advice{
		Means: "A laptop cannot make its own account: a new child never gets on-line.",
		Do:    "The server's log says more about it; see docs/school-server.md."}},
	Refused: {Problem, Advice{
		Means:    "The server does not let the child in.",
		Do:       "With --account: name or password is wrong. Otherwise the server forgets or forbids what it has just registered.",
		Ejabberd: "auth_method and auth_password_format; access_rules: c2s: allow: all",
		Prosody:  "authentication = \"internal_hashed\"; data_path must be writable"}},
	LoginLost: {Problem, Advice{
		Means: "The connection breaks while the child logs in.",
		Do:    "The server's log says more about it."}},
	WrongHost: {Problem, Advice{
		Means:    "There is a server, but not for this name: no child gets on-line.",
		Do:       "The name in My Settings › Network and the server's own have to be the same.",
		Ejabberd: "hosts: [\"<name>\"]",
		Prosody:  "VirtualHost \"<name>\""}},
	NoPEP: {Problem, Advice{
		Means:    "Children get on-line and stay invisible: nick, colours and activities have no way to others.",
		Ejabberd: "modules: mod_pubsub: plugins: [flat, pep]; mod_caps",
		Prosody:  "modules_enabled has \"pep\""}},
	BrokenPEP: {Problem, Advice{
		Means:    "The server promises personal events and refuses them: children stay invisible.",
		Ejabberd: "mod_pubsub: access_createnode: local (or all), plugins: [flat, pep]",
		Prosody:  "look at the log; data_path must be writable"}},
	Alone: {Problem, Advice{
		Means:    "Children get on-line and do not see each other: the Neighborhood stays empty.",
		Do:       "Show everybody to everybody by a shared roster, or run olpc-gadget.",
		Ejabberd: "mod_shared_roster; ejabberdctl srg_create Online <host> Online Online Online; ejabberdctl srg_user_add @online@ <host> Online <host>",
		Prosody:  "modules_enabled has \"groups\"; groups_file with the names under [+Online]"}},
	MaybeAlone: {Warning, Advice{
		Means:    "This account sees nobody. That is right if nobody else is there; otherwise there is no shared roster.",
		Do:       "Run the doctor without --account, which looks with two laptops, or while somebody else is on-line.",
		Ejabberd: "mod_shared_roster; ejabberdctl srg_get_info Online <host>",
		Prosody:  "modules_enabled has \"groups\"; groups_file"}},
	ListedOnly: {Warning, Advice{
		Means:    "Only children whose names stand in a list are seen by others; a new laptop is not.",
		Do:       "Add the names of new laptops to the group, or show everybody who is on-line.",
		Ejabberd: "ejabberdctl srg_user_add @online@ <host> Online <host>",
		Prosody:  "add the names to the groups_file and reload mod_groups; Prosody has no group of all who are on-line"}},
	NoRooms: {Problem, Advice{
		Means:    "Children see each other and cannot share an activity: each one takes place in a room of the server.",
		Ejabberd: "modules: mod_muc: host: conference.@HOST@",
		Prosody:  "Component \"conference.<host>\" \"muc\""}},
	RoomRefused: {Problem, Advice{
		Means:    "Children cannot share: the server lets them make no rooms.",
		Ejabberd: "mod_muc: access: all, access_create: all",
		Prosody:  "restrict_room_creation = false in the muc component"}},
	RoomSilent: {Problem, Advice{
		Means: "Children cannot share: the server does not answer when one makes a room.",
		Do:    "The server's log says more about it."}},
	RoomLocked: {Problem, Advice{
		Means:    "A shared activity cannot be set up as Sugar needs it: others would not come in or not be recognised.",
		Do:       "Owners have to be able to set whois, membersonly, persistentroom and publicroom.",
		Ejabberd: "mod_muc as shipped does; look for access_admin and for modules that change rooms",
		Prosody:  "remove modules such as muc_config_restrict"}},
	RoomMembers: {Problem, Advice{
		Means:    "Whoever joins a shared activity is refused: rooms stay for members only.",
		Ejabberd: "mod_muc: default_room_options: {members_only: false}",
		Prosody:  "muc_room_default_members_only = false; no module that forces it"}},
	RoomAnonymous: {Problem, Advice{
		Means:    "Children in a shared activity do not recognise each other: the room hides who they are.",
		Ejabberd: "mod_muc: default_room_options: {anonymous: false}",
		Prosody:  "muc_room_default_public_jids = true"}},
	RoomListed: {Warning, Advice{
		Means:    "Sharing works, but rooms differ from what Sugar asks for.",
		Ejabberd: "mod_muc: access_persistent, default_room_options",
		Prosody:  "muc_room_default_persistent = false; muc_room_default_public = false"}},
	NoProxy: {Warning, Advice{
		Means:    "What goes from laptop to laptop goes through the chat itself where they cannot reach each other directly: slow.",
		Ejabberd: "modules: mod_proxy65",
		Prosody:  "Component \"proxy.<host>\" \"proxy65\"; proxy65_acl for the school's domain"}},
	DeadProxy: {Warning, Advice{
		Means:    "The server names a relay that cannot be reached: sending takes long to begin, then goes through the chat.",
		Do:       "Let it name an address that the laptops reach, and open its port (7777 with ejabberd, 5000 with Prosody).",
		Ejabberd: "mod_proxy65: hostname, ip, port",
		Prosody:  "proxy65_address, proxy65_ports"}},
	Slow: {Warning, Advice{
		Means: "What children do is seen late by others; typing together feels slow.",
		Do:    "Look at the wireless network, at the server's load, and at limits of speed (ejabberd: shaper; Prosody: limits)."}},
	NoAnswer: {Problem, Advice{
		Means: "The server does not answer: children wait for everything.",
		Do:    "Look at the wireless network, at the server's load and at its log."}},
	LeftBehind: {Warning, Advice{
		Means:    "A throwaway account of the doctor's is still on the server. It does no harm.",
		Ejabberd: "ejabberdctl unregister <name> <host>; mod_register: allow_modules and access_remove: all let clients do it",
		Prosody:  "prosodyctl deluser <name>@<host>"}},
}
