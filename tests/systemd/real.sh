#!/usr/bin/env bash
# The unit under a real systemd: in a container with a PID 1 of its own, over a copy-on-write view of this
# machine's root, which is thrown away. Graph is the simulator, on this machine's loopback.
#
# usage: real.sh PROGRAM          PROGRAM: a meetbridge with the simulator; as root
# Needs systemd-nspawn (Debian: systemd-container), dbus, nsenter, overlayfs.
set -euo pipefail
program=$(realpath "${1:?usage: real.sh PROGRAM}")
cd "$(dirname "$0")/../.."

[ "$(id -u)" = 0 ] || { echo "run it as root: it mounts and begins a container" >&2; exit 1; }
for tool in systemd-nspawn nsenter dbus-daemon; do
    command -v "$tool" >/dev/null || {
        echo "$tool is not installed (Debian: apt-get install systemd systemd-container dbus)" >&2
        exit 1
    }
done

work=$(mktemp -d)
root=$work/root
began=()
end() {
    set +e
    for pid in "${began[@]}"; do kill "$pid" 2>/dev/null; done
    [ -z "${container:-}" ] || { kill -s RTMIN+3 "$inside"; wait "$container"; } 2>/dev/null
    umount "$root" && rm -rf "$work"
}
trap end EXIT

mkdir "$root" "$work/upper" "$work/rest"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/rest" "$root"
# Of this machine's own services, none begins.
rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/meetbridge* "$root"/var/lib/meetbridge* "$root"/etc/credstore
: >"$root/etc/fstab"
: >"$root/etc/machine-id"

install "$program" "$root/usr/local/bin/meetbridge"
install -m 0644 systemd/meetbridge.service systemd/meetbridge@.service "$root/etc/systemd/system/"
install -D -m 0644 -t "$root/usr/local/lib/systemd/catalog" systemd/meetbridge.catalog
drop_in=$root/etc/systemd/system/meetbridge.service.d
mkdir -p "$drop_in"
cp systemd/directory.conf "$drop_in/"
version=$(systemd-analyze --version | awk 'NR == 1 { print $2 }')
[ "${version%%[!0-9]*}" -ge 253 ] || cp systemd/before-253.conf "$drop_in/"
# Shorter times than a service has, so that the test is short.
printf '[Service]\nWatchdogSec=3s\nRestartSec=1s\n' >"$drop_in/short.conf"

step() { printf '== %s\n' "$*"; }
fail() {
    echo "failed: $*" >&2
    inside journalctl --no-pager -b -u 'meetbridge*' -n 40 >&2 || true
    exit 1
}
until_true() { # WHAT COMMAND...
    local what=$1 n
    shift
    for ((n = 0; n < 300; n++)); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    fail "$what"
}

step begin the simulator
(cd "$work" && exec "$program" simulator --listen 127.0.0.1:0 >"$work/simulator" 2>&1) &
began+=($!)
until_true "the simulator" grep -q '^\[graph\]' "$work/simulator"
sleep 0.2

step begin systemd
systemd-nspawn --quiet -D "$root" --register=no --keep-unit --boot --console=pipe \
    --kill-signal=SIGRTMIN+3 systemd.unit=multi-user.target </dev/null >"$work/console" 2>&1 &
container=$!
until_true "PID 1" pgrep -P "$container"
inside=$(pgrep -P "$container")
inside() { nsenter -t "$inside" -m -u -i -n -p -C "$@"; }
until_true "the system" inside systemctl is-active multi-user.target

# The container's nodes have the modes of this machine's, which may be closed to others.
inside chmod 0666 /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty

step configure
inside useradd --system --user-group --no-create-home calendars
inside mkdir -p /srv/calendars/team /srv/calendars/more /etc/meetbridge
inside chown -R calendars:calendars /srv/calendars
secret=$(sed -n 's/^client-secret-file = "\(.*\)"/\1/p' "$work/simulator")
install -D -m 0600 "$secret" "$root/etc/credstore/graph-secret"
organizer=$(sed -n '/organizer: one of/{n;s/^# *"\([^"]*\)".*/\1/p}' "$work/simulator")
write() { # MORE
    {
        sed -n '/^\[graph\]/,/^$/p' "$work/simulator" |
            sed 's/^client-secret-file.*/client-secret-credential = "graph-secret"/'
        cat <<TOML
[state]
directory = "/var/lib/meetbridge"
[meeting]
organizer = "$organizer"
select = "all"
settle = "0s"
time-zone = "UTC"
[[calendar.directory]]
name = "team"
path = "/srv/calendars/team"
$1
TOML
    } >"$root/etc/meetbridge/config.toml"
}
events=0
event() { # CALENDAR UID
    local at
    events=$((events + 1))
    at=$(date -u -d tomorrow +%Y%m%dT100000Z)
    printf '%s\r\n' BEGIN:VCALENDAR VERSION:2.0 PRODID:-//example//test//EN BEGIN:VEVENT "UID:$2@example.org" \
        DTSTAMP:20260101T000000Z "DTSTART:$at" DURATION:PT1H SUMMARY:Talk END:VEVENT END:VCALENDAR >"$work/$2.ics"
    install -m 0640 "$work/$2.ics" "$root/srv/calendars/$1/.$2"
    inside chown calendars:calendars "/srv/calendars/$1/.$2"
    inside mv "/srv/calendars/$1/.$2" "/srv/calendars/$1/$2.ics"
}
linked() { inside grep -q X-MICROSOFT-SKYPETEAMSMEETINGURL "/srv/calendars/$1/$2.ics"; }
shown() { inside systemctl show meetbridge -p "$1" --value; }

write ""
event team first

step check
inside meetbridge check || fail "check"

step start is ready, and an event gets its link
inside systemctl daemon-reload
inside systemctl start meetbridge || fail "start"
[ "$(shown ActiveState)" = active ] || fail "it is not active"
until_true "the first link" linked team first
[ "$(inside stat -c '%U:%G %a' /srv/calendars/team/first.ics)" = "calendars:calendars 640" ] || fail "owner and mode"
until_true "the status" sh -c "nsenter -t $inside -m -p systemctl show meetbridge -p StatusText | grep -q 'linked: 1'"
shown StatusText
inside meetbridge status || fail "status, through the socket"

step the journal has entries with fields, and explains them
entry() { inside journalctl --no-pager -q -u meetbridge "$@"; }
logged() { [ -n "$(entry "$@")" ]; }
until_true "the entry" logged MEETBRIDGE_EVENT=link.written MEETBRIDGE_CALENDAR=team
logged MEETBRIDGE_EVENT=daemon.ready PRIORITY=6 SYSLOG_IDENTIFIER=meetbridge MEETBRIDGE_CALENDARS=1 || fail "the fields"
[[ $(entry -o cat MEETBRIDGE_EVENT=link.written) == *" uid=first@example.org"* ]] || fail "the message"
inside journalctl --update-catalog
[[ $(entry -x MEETBRIDGE_EVENT=link.written) == *"The event shows its link."* ]] || fail "the explanation"

step without its socket, the lines go to stderr
inside mv /run/systemd/journal/socket /run/systemd/journal/aside
event team plain
until_true "the link without the socket" linked team plain
as_text() { [[ $(entry -o cat _TRANSPORT=stdout) == *" INFO  link.written "*" uid=plain@example.org"* ]]; }
until_true "the line as text" as_text
inside mv /run/systemd/journal/aside /run/systemd/journal/socket

step reload takes a calendar more
write '[[calendar.directory]]
name = "more"
path = "/srv/calendars/more"'
event more second
inside systemctl reload meetbridge || fail "reload"
until_true "the link of the new calendar" linked more second

step reload keeps the old configuration where the file is faulty
write 'nonsense = 1'
inside systemctl reload meetbridge || true
[ "$(shown ActiveState)" = active ] || fail "it is not active"
event more third
until_true "a link in what was configured before" linked more third
write ""

step a stopped process is begun anew by the watchdog
before=$(shown NRestarts)
inside systemctl kill --signal=SIGSTOP meetbridge
restarted() { [ "$(shown NRestarts)" -gt "$before" ] && [ "$(shown ActiveState)" = active ]; }
until_true "the restart" restarted
[ -z "$(inside find /var/lib/systemd/coredump -name '*meetbridge*' 2>/dev/null)" ] || fail "a core is left"
event team fourth
until_true "a link after the restart" linked team fourth

step stop in the midst of a pass loses nothing
for n in $(seq 20); do event team "many$n"; done
inside systemctl stop meetbridge || fail "stop"
[ "$(shown Result)" = success ] || fail "the result of the stop: $(shown Result)"
inside systemctl start meetbridge
for n in $(seq 20); do until_true "the link of event $n" linked team "many$n"; done
meetings=$(curl -fsS "http://$(sed -n 's|.*listens at \([0-9.:]*\);.*|\1|p' "$work/simulator")/_simulator/state" | grep -o '"made":1' | wc -l)
[ "$meetings" = "$events" ] || fail "of $events events, $meetings have one meeting"

step a faulty configuration is not tried again
inside systemctl stop meetbridge
write 'nonsense = 1'
inside systemctl start meetbridge && fail "it is ready with a faulty configuration"
[ "$(shown ExecMainStatus)" = 78 ] || fail "exit status $(shown ExecMainStatus)"
[ "$(shown ActiveState)" = failed ] || fail "it is $(shown ActiveState)"

step an instance has a user, a state and a socket of its own, and a command gives its secret
write ""
sed 's|/var/lib/meetbridge|&-sales|; s|^path = .*|path = "/srv/calendars/sales"|
    s|^client-secret-credential = .*|client-secret-command = ["/bin/sh", "-c", "cat $CREDENTIALS_DIRECTORY/graph-secret"]|' \
    "$root/etc/meetbridge/config.toml" >"$root/etc/meetbridge/sales.toml"
inside install -d /srv/calendars/sales
event sales fifth
inside chmod 0644 /srv/calendars/sales/fifth.ics
mkdir -p "$root/etc/systemd/system/meetbridge@.service.d"
cp "$drop_in"/before-253.conf "$root/etc/systemd/system/meetbridge@.service.d/" 2>/dev/null || true
inside systemctl daemon-reload
inside systemctl start meetbridge@sales || { inside journalctl --no-pager -u meetbridge@sales -n 30; fail "the instance"; }
of_sales() { [[ $(inside journalctl --no-pager -u meetbridge@sales) == *" $1 "* ]]; }
until_true "the meeting of the instance's event" of_sales link.created
# Without the drop-in for files, it is let read there, and not write.
until_true "a refusal" of_sales write.refused
inside meetbridge --config /etc/meetbridge/sales.toml status && fail "a refusal is a failure"
inside ls -ld /var/lib/meetbridge-sales/ /run/meetbridge-sales/

step done
