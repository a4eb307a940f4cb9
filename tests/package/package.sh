#!/usr/bin/env bash
# The Debian package in a root of its own, which is thrown away: what is in it, that it can be installed,
# upgraded, removed and purged, and that what it installs works.
#
# usage: package.sh PACKAGE.deb
# Needs man, systemd-analyze and, unless it is run as root, fakeroot. No systemd need run, and this machine's own
# packages are not touched.
set -euo pipefail
package=$(realpath "${1:?usage: package.sh PACKAGE.deb}")
cd "$(dirname "$0")/../.."

for tool in dpkg-deb man systemd-analyze; do
    command -v "$tool" >/dev/null || {
        echo "$tool is not installed (Debian: apt-get install dpkg man-db systemd)" >&2
        exit 1
    }
done
if [ "$(id -u)" != 0 ] && [ -z "${FAKEROOTKEY:-}" ]; then
    command -v fakeroot >/dev/null || { echo "fakeroot is not installed (Debian: apt-get install fakeroot)" >&2; exit 1; }
    exec fakeroot "$0" "$package"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

step() { printf '== %s\n' "$*"; }
fail() {
    echo "failed: $*" >&2
    exit 1
}
same() { # WHAT EXPECTED FOUND
    [ "$2" = "$3" ] || { diff <(echo "$2") <(echo "$3") >&2 || true; fail "$1 (< expected, > found)"; }
}

step what is in it
expected=$(LC_ALL=C sort -k 2 <<'LIST'
-rwxr-xr-x ./usr/bin/meetbridge
-rw-r--r-- ./etc/meetbridge/config.toml.example
-rw-r--r-- ./usr/lib/systemd/catalog/meetbridge.catalog
-rw-r--r-- ./usr/lib/systemd/system/meetbridge.service
-rw-r--r-- ./usr/lib/systemd/system/meetbridge@.service
-rw-r--r-- ./usr/share/bash-completion/completions/meetbridge
-rw-r--r-- ./usr/share/zsh/vendor-completions/_meetbridge
-rw-r--r-- ./usr/share/fish/vendor_completions.d/meetbridge.fish
-rw-r--r-- ./usr/share/meetbridge/before-253.conf
-rw-r--r-- ./usr/share/doc/meetbridge/README.md
-rw-r--r-- ./usr/share/doc/meetbridge/changelog.gz
-rw-r--r-- ./usr/share/doc/meetbridge/copyright
-rw-r--r-- ./usr/share/doc/meetbridge/licences.gz
-rw-r--r-- ./usr/share/doc/meetbridge/examples/before-253.conf
-rw-r--r-- ./usr/share/doc/meetbridge/examples/calendars.conf
-rw-r--r-- ./usr/share/doc/meetbridge/examples/directory.conf
-rw-r--r-- ./usr/share/doc/meetbridge/examples/minimal.toml
-rw-r--r-- ./usr/share/man/man1/meetbridge.1.gz
-rw-r--r-- ./usr/share/man/man1/meetbridge-COMMAND.1.gz
-rw-r--r-- ./usr/share/man/man5/meetbridge.toml.5.gz
-rw-r--r-- ./usr/share/man/man7/meetbridge.7.gz
-rw-r--r-- ./usr/share/man/man7/meetbridge-log.7.gz
LIST
)
listed=$(dpkg-deb --contents "$package")
found=$(awk '$1 !~ /^d/ { print $1, $6 }' <<<"$listed" | sed 's/meetbridge-[a-z]*\.1\.gz/meetbridge-COMMAND.1.gz/' | LC_ALL=C sort -u -k 2)
same "the files" "$expected" "$found"
owners=$(awk '{ print $2 }' <<<"$listed" | sort -u)
case $owners in root/root | 0/0) ;; *) fail "the owners are $owners" ;; esac
same "the directories' modes" drwxr-xr-x "$(awk '$1 ~ /^d/ { print $1 }' <<<"$listed" | sort -u)"
dpkg-deb --ctrl-tarfile "$package" | tar -C "$work" -x ./control ./conffiles
same "the conffiles" /etc/meetbridge/config.toml.example "$(cat "$work/conffiles")"
grep -q '^Depends: .*libc6' "$work/control" || fail "it does not depend on libc6"
sed -n '/^Installed-Size\|^Depends/p' "$work/control"

# Scripts run in this machine's own file system, and are told the root.
dpkg_in_root() { dpkg --root="$root" --force-not-root --force-script-chrootless --force-depends "$@" >>"$work/log" 2>&1 ||
    { cat "$work/log" >&2; fail "dpkg $*"; }; }
# All but what dpkg and deb-systemd-helper keep for themselves.
installed() { find "$root" \( -path "$root/var/lib/dpkg" -o -path "$root/var/lib/systemd" \) -prune -o ! -type d -printf '/%P\n' | LC_ALL=C sort; }
enabled() { find "$root/etc/systemd/system" -name '*.wants' 2>/dev/null; }

step install
mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates" "$root/etc"
: >"$root/var/lib/dpkg/status"
dpkg_in_root --install "$package"
same "the state of the package" "ii " "$(dpkg-query --admindir="$root/var/lib/dpkg" -W -f '${db:Status-Abbrev}' meetbridge)"
[ -z "$(enabled)" ] || fail "the service is enabled without a configuration"
[ ! -e "$root/etc/meetbridge/config.toml" ] || fail "a configuration is in force that nobody wrote"

step the program runs
program=$root/usr/bin/meetbridge
version=$("$program" --version)
same "the version" "meetbridge $(sed -n 's/^Version: \(.*\)-[^-]*$/\1/p' "$work/control")" "$version"
home=$work/home
mkdir "$home"
run() { env -i PATH="$PATH" HOME="$home" "$program" --config "$1" "${@:2}" 2>&1; }

step the example is understood, and only what it names is missing
example=$root/etc/meetbridge/config.toml.example
cmp config/example.toml "$example"
said=$(run "$example" check) && fail "an example finds its files"
! grep '^error: ' <<<"$said" | grep -v ' is not there$\| has no directory$' || fail "the example has faults"

step a configuration that is made of the smaller example passes
configuration=$work/config.toml
: >"$work/secret"
chmod 0600 "$work/secret"
echo secret >"$work/secret"
mkdir "$work/calendars"
sed "s|/etc/meetbridge/graph-secret|$work/secret|; s|/srv/calendars/team|$work/calendars|" \
    "$root/usr/share/doc/meetbridge/examples/minimal.toml" >"$configuration"
run "$configuration" check || fail "check"

step the manual pages
commands=$("$program" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\+\) .*/\1/p' | grep -v '^help$')
[ "$(wc -l <<<"$commands")" -gt 10 ] || fail "the commands are not found"
for command in $commands; do
    [ -e "$root/usr/share/man/man1/meetbridge-$command.1.gz" ] || fail "$command has no page"
done
for page in "$root"/usr/share/man/man?/*.gz; do
    told=$(LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)
    [ -z "$told" ] || fail "$(basename "$page"): $told"
    name=$(basename "$page" | sed 's/\.[0-9]\.gz$//')
    # As `whatis` reads it.
    told=$(lexgrog "$page") || fail "$told"
    [[ $told == *": \"$name - "* ]] || fail "$told"
done

step the completions
bash -n "$root/usr/share/bash-completion/completions/meetbridge"
completed=$(bash --norc -c 'source "$1"; COMP_WORDS=(meetbridge s); COMP_CWORD=1; _meetbridge meetbridge s meetbridge; echo "${COMPREPLY[@]}"' \
    - "$root/usr/share/bash-completion/completions/meetbridge")
[[ " $completed " == *" sync "* && " $completed " == *" status "* ]] || fail "bash completes s to: $completed"

step the units
mkdir "$work/units"
cp "$root"/usr/lib/systemd/{system,catalog}/* "$root"/usr/share/doc/meetbridge/examples/*.conf "$work/units"
tests/systemd/units.sh "$program" "$work/units"
# ExecStart= names the program without a path.
grep -q '^ExecStart=meetbridge ' "$work/units/meetbridge.service" || fail "ExecStart="
[[ :$(systemd-path search-binaries-default): == *:/usr/bin:* ]] || fail "systemd does not look in /usr/bin"

step an older systemd gets its drop-in, a newer one does not
version=$(systemd-analyze --version | awk 'NR == 1 { print $2 }')
link=$root/etc/systemd/system/meetbridge.service.d/before-253.conf
if [ "${version%%[!0-9]*}" -lt 253 ]; then
    [ "$(readlink "$link")" = /usr/share/meetbridge/before-253.conf ] || fail "it has none"
else
    [ ! -L "$link" ] || fail "it has one"
fi

step an upgrade keeps what the administrator wrote, and nothing is left of the old one
dpkg-deb -R "$package" "$work/newer"
sed -i 's/^Version: .*/Version: 99-1/' "$work/newer/DEBIAN/control"
echo '# Of the newer version.' >>"$work/newer/etc/meetbridge/config.toml.example"
dpkg-deb --root-owner-group -Znone -b "$work/newer" "$work/newer.deb" >/dev/null
echo '# mine' >"$root/etc/meetbridge/config.toml"
mkdir -p "$root/var/lib/private/meetbridge-sales" "$root/var/lib/private/meetbridge" "$root/var/lib/meetbridge-other"
ln -s private/meetbridge "$root/var/lib/meetbridge"
ln -s private/meetbridge-sales "$root/var/lib/meetbridge-sales"
: >"$root/var/lib/private/meetbridge/state.db"
: >"$root/var/lib/private/meetbridge-sales/state.db"
: >"$root/var/lib/meetbridge-other/file"
before=$(installed)
dpkg_in_root --install "$work/newer.deb"
same "the files after the upgrade" "$before" "$(installed)"
same "the configuration" "# mine" "$(cat "$root/etc/meetbridge/config.toml")"
[ "$(tail -1 "$example")" = "# Of the newer version." ] || fail "the example is not the newer one"
[ -z "$(enabled)" ] || fail "the upgrade enables the service"

step removal leaves configuration and state, and masks the service, as Debian does
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s /usr/lib/systemd/system/meetbridge@.service "$root/etc/systemd/system/multi-user.target.wants/meetbridge@sales.service"
dpkg_in_root --remove meetbridge
same "what is left" "/etc/meetbridge/config.toml
/etc/meetbridge/config.toml.example
/etc/systemd/system/meetbridge.service
/etc/systemd/system/multi-user.target.wants/meetbridge@sales.service
/var/lib/meetbridge
/var/lib/meetbridge-other/file
/var/lib/meetbridge-sales
/var/lib/private/meetbridge-sales/state.db
/var/lib/private/meetbridge/state.db" "$(installed)"
[ "$(readlink "$root/etc/systemd/system/meetbridge.service")" = /dev/null ] || fail "it is not masked"

step purge leaves what the administrator wrote
dpkg_in_root --purge meetbridge
same "what is left" "/etc/meetbridge/config.toml
/var/lib/meetbridge-other/file" "$(installed)"

step done
