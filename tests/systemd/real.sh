#!/usr/bin/env bash
# The package under a real systemd: installed, set up, upgraded, removed and purged in a container with a PID 1
# of its own, over a copy-on-write view of this machine's root, which is thrown away. Graph is the simulator of
# the packaged program, on this machine's loopback.
#
# usage: real.sh PACKAGE.deb          as root
# Needs Debian or Ubuntu, systemd-nspawn (package systemd-container), dbus, nsenter, overlayfs, curl, jq.
set -euo pipefail
package=$(realpath "${1:?usage: real.sh PACKAGE.deb}")
cd "$(dirname "$0")/../.."

[ "$(id -u)" = 0 ] || { echo "run it as root: it mounts and begins a container" >&2; exit 1; }
for tool in systemd-nspawn nsenter dbus-daemon dpkg-deb deb-systemd-invoke curl jq; do
    command -v "$tool" >/dev/null || {
        echo "$tool is not installed (Debian: apt-get install systemd systemd-container dbus dpkg init-system-helpers curl jq)" >&2
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
rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/meetbridge* "$root"/etc/meetbridge* \
    "$root"/var/lib/meetbridge* "$root"/var/lib/private/meetbridge* "$root"/etc/credstore "$root/usr/local/bin/meetbridge"
# What images of containers have, so that packages begin no service and leave out their documentation.
rm -rf "$root/usr/sbin/policy-rc.d" "$root"/etc/dpkg/dpkg.cfg.d
: >"$root/etc/fstab"
: >"$root/etc/machine-id"

dpkg-deb -x "$package" "$work/of-package"
program=$work/of-package/usr/bin/meetbridge
drop_in=$root/etc/systemd/system/meetbridge.service.d

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

# A version number that is higher makes the next package.
install_package() { # [VERSION]
    cp "$package" "$root/srv/meetbridge.deb"
    if [ $# -gt 0 ]; then
        rm -rf "$work/newer"
        dpkg-deb -R "$package" "$work/newer"
        sed -i "s/^Version: .*/Version: $1/" "$work/newer/DEBIAN/control"
        dpkg-deb --root-owner-group -Znone -b "$work/newer" "$root/srv/meetbridge.deb" >/dev/null
    fi
    dpkg_inside --install /srv/meetbridge.deb
}
dpkg_inside() {
    inside env DEBIAN_FRONTEND=noninteractive dpkg "$@" </dev/null >"$work/dpkg" 2>&1 || { cat "$work/dpkg" >&2; fail "dpkg $*"; }
}
shown() { inside systemctl show "${2:-meetbridge}" -p "$1" --value; }

step install
install_package
[ "$(inside systemctl is-enabled meetbridge)" = disabled ] || fail "it is enabled"
[ "$(shown ActiveState)" = inactive ] || fail "it is begun"

step configure
inside useradd --system --user-group --no-create-home calendars
inside mkdir -p /srv/calendars/team /srv/calendars/more /etc/meetbridge
inside chown -R calendars:calendars /srv/calendars
inside install -D -m 0644 -t /etc/systemd/system/meetbridge.service.d /usr/share/doc/meetbridge/examples/directory.conf
# Shorter times than a service has, so that the test is short.
printf '[Service]\nWatchdogSec=3s\nRestartSec=1s\n' >"$drop_in/short.conf"
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
one_meeting_each() {
    local meetings
    meetings=$(curl -fsS "http://$(sed -n 's|.*listens at \([0-9.:]*\);.*|\1|p' "$work/simulator")/_simulator/state" | grep -o '"made":1' | wc -l)
    [ "$meetings" = "$events" ] || fail "of $events events, $meetings have one meeting"
}
# The command of the README that begins so, as it stands there.
of_readme() {
    local line
    line=$(grep -m 1 -F -- "$1" README.md) || fail "the README has no: $1"
    inside timeout 10 bash -c "$line"
}
needs_person() { of_readme 'journalctl -u meetbridge -p err --since -15min'; }
stands_badly() { [ "$(of_readme 'journalctl -u meetbridge MEETBRIDGE_EVENT=calendar.summary --since -16min' 2>&1)" = true ]; }
is_silent() { of_readme '! journalctl -u meetbridge MEETBRIDGE_EVENT=calendar.summary'; }

write ""
event team first

step check
inside meetbridge check || fail "check"

step start is ready, and an event gets its link
inside systemctl daemon-reload
inside systemctl enable --quiet --now meetbridge || fail "start"
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
[[ $(entry -x MEETBRIDGE_EVENT=link.written) == *"The event shows its link."* ]] || fail "the explanation"
entry -o json MEETBRIDGE_EVENT=link.created |
    jq -es 'length == 1 and all(.[]; .MEETBRIDGE_CALENDAR == "team" and .MEETBRIDGE_UID == "first@example.org" and .PRIORITY == "6"
        and (.MESSAGE_ID | length == 32) and ._SYSTEMD_UNIT == "meetbridge.service")' >/dev/null || fail "the entry as JSON"

step the queries and the alerts of the README, while all is well
# systemd before version 253 tells that it does not know the unit's type.
wrong=$(of_readme 'journalctl -u meetbridge -p warning' | grep -v 'ignoring: notify-reload$') || true
[ -z "$wrong" ] || fail "something is wrong: $wrong"
[ "$(of_readme 'journalctl -u meetbridge -x -p err')" = "-- No entries --" ] || fail "something needs a person"
[ "$(of_readme 'journalctl -u meetbridge MEETBRIDGE_EVENT=link.created')" = 1 ] || fail "the meetings of the day"
grep -q ' link.written ' < <(of_readme 'journalctl -u meetbridge MEETBRIDGE_CALENDAR=team -f') || fail "the calendar as it goes"
! needs_person || fail "nobody is needed"
is_silent || fail "no summary has been written"
# A daemon that was watched for a quarter of an hour writes it; so long is nobody to wait here.
summary() { # FAILING FROZEN
    printf '%s\n' "OBJECT_PID=$(shown MainPID)" MESSAGE=calendar.summary MEETBRIDGE_EVENT=calendar.summary "MEETBRIDGE_FAILING=$1" "MEETBRIDGE_FROZEN=$2" |
        inside logger --journald
}
! stands_badly || fail "no calendar stands badly"
summary 0 false
heard() { ! is_silent; }
until_true "the summary" heard
! stands_badly || fail "no calendar stands badly"
summary 0 true
until_true "a calendar that is frozen" stands_badly

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
until_true "the alert" needs_person
[[ $(of_readme 'journalctl -u meetbridge -x -p err') == *" config.refused "*"Mend what each line names"* ]] || fail "what to do"
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
one_meeting_each

step a faulty configuration is not tried again
inside systemctl stop meetbridge
write 'nonsense = 1'
inside systemctl start meetbridge && fail "it is ready with a faulty configuration"
[ "$(shown ExecMainStatus)" = 78 ] || fail "exit status $(shown ExecMainStatus)"
[ "$(shown ActiveState)" = failed ] || fail "it is $(shown ActiveState)"

step an upgrade leaves at rest what does not run
install_package 98-1
[ "$(shown ActiveState)" = failed ] || fail "it is $(shown ActiveState)"
[ "$(inside systemctl is-enabled meetbridge)" = enabled ] || fail "it is not enabled any more"

step an instance has a user, a state and a socket of its own, and a command gives its secret
write ""
sed 's|/var/lib/meetbridge|&-sales|; s|^path = .*|path = "/srv/calendars/sales"|
    s|^client-secret-credential = .*|client-secret-command = ["/bin/sh", "-c", "cat $CREDENTIALS_DIRECTORY/graph-secret"]|' \
    "$root/etc/meetbridge/config.toml" >"$root/etc/meetbridge/sales.toml"
inside install -d /srv/calendars/sales
event sales fifth
inside chmod 0644 /srv/calendars/sales/fifth.ics
inside systemctl enable --quiet --now meetbridge@sales || { inside journalctl --no-pager -u meetbridge@sales -n 30; fail "the instance"; }
of_sales() { [[ $(inside journalctl --no-pager -u meetbridge@sales) == *" $1 "* ]]; }
until_true "the meeting of the instance's event" of_sales link.created
# Without the drop-in for files, it is let read there, and not write.
until_true "a refusal" of_sales write.refused
inside meetbridge --config /etc/meetbridge/sales.toml status && fail "a refusal is a failure"
inside systemctl start meetbridge || fail "start"
of() { inside stat -c "$1" "/proc/$(shown MainPID "$2")"; }
user=$(of %U meetbridge@sales)
[ "$user" != root ] && [ "$user" != "$(of %U meetbridge)" ] || fail "it runs as $user"
for own in /var/lib/meetbridge-sales/ /var/lib/meetbridge-sales/state.db /run/meetbridge-sales /run/meetbridge-sales/control.sock; do
    [ "$(inside stat -c %U "$own")" = "$user" ] || fail "$own is not its own"
done
[ "$(inside stat -c %a /run/meetbridge-sales)" = 700 ] || fail "others reach its socket"

step an upgrade begins anew what runs, in the midst of its work, and loses nothing
before="$(shown MainPID) $(shown MainPID meetbridge@sales)"
install_package 99-1 &
upgrade=$!
n=0
while kill -0 "$upgrade" 2>/dev/null; do
    n=$((n + 1))
    event team "upgrade$n"
    sleep 0.1
done
wait "$upgrade" || fail "the upgrade"
for unit in meetbridge meetbridge@sales; do
    [ "$(shown ActiveState "$unit")" = active ] || fail "$unit is $(shown ActiveState "$unit")"
    [[ " $before " != *" $(shown MainPID "$unit") "* ]] || fail "$unit is not begun anew"
done
for n in $(seq "$n"); do until_true "the link of event $n" linked team "upgrade$n"; done
one_meeting_each

step removal stops it and leaves configuration, state and links
kept() { # PLACE...
    local place
    for place; do [ -e "$root$place" ] || [ -L "$root$place" ] || fail "$place is gone"; done
}
written="/etc/meetbridge/config.toml /etc/meetbridge/sales.toml /etc/credstore/graph-secret
    /etc/systemd/system/meetbridge.service.d/directory.conf /srv/calendars/team/first.ics"
dpkg_inside --remove meetbridge
for unit in meetbridge meetbridge@sales; do
    [ "$(shown ActiveState "$unit")" = inactive ] || fail "$unit is $(shown ActiveState "$unit")"
done
kept $written /etc/meetbridge/config.toml.example /var/lib/meetbridge/state.db /var/lib/private/meetbridge-sales/state.db
linked team first || fail "the link is gone"

step installed again, it goes on where it was
install_package
inside systemctl start meetbridge meetbridge@sales || fail "start"
event team again
until_true "a link after the removal" linked team again
one_meeting_each

step purge stops it and takes the state, and what the administrator wrote stays
dpkg_inside --purge meetbridge
for unit in meetbridge meetbridge@sales; do
    [ "$(shown ActiveState "$unit")" = inactive ] || fail "$unit is $(shown ActiveState "$unit")"
done
kept $written
linked team first || fail "the link is gone"
left=$(inside find /var/lib /run /etc/systemd /usr/lib/systemd /usr/bin /usr/share -path /var/lib/dpkg -prune -o \
    -name '*meetbridge*' ! -name 'meetbridge*.service.d' -print)
[ -z "$left" ] || fail "it leaves $left"
! inside journalctl --list-catalog | grep -q meetbridge || fail "the explanations are there yet"

step done
