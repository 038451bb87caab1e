#!/bin/sh
# Installs Chrysalis on this host: one server with a coordinator (ZooKeeper clients) and a broker (MetaQ
# clients). Run it again at any time: what is already as it should be is left alone.
#
#   ./install.sh                          as root: into /opt/chrysalis, run by systemd where there is one
#   ./install.sh --prefix DIR             anybody: into DIR, without systemd unless you are root
#   ./install.sh --plan                   show what would be done; change nothing
#   ./install.sh --uninstall [--id N] [--keep-data]
#
# What to install
#   --binary FILE            this binary, instead of the one beside this script or one built from its source
# The server, when it is first made (afterwards its conf/server.toml is the place to change it)
#   --id N                   its number, 1 to 254 (1); its folder is DIR/serverN
#   --listen ADDRESS         where clients reach it (127.0.0.1: this host alone)
#   --coordinator-port N     for ZooKeeper clients (2181; the second server of a host 2191, and so on)
#   --broker-port N          for MetaQ clients (8123; 8133 ...)
#   --web-port N             for /health, /ready and /metrics (8120; 8130 ...)
#   --topic NAME[:PARTITIONS]   a topic to begin with; may be given again. The topic `test` is always made.
# How it runs
#   --without-systemd        as root, too: started with `chrysalis start`, not by a unit
#   --user NAME              the account that a unit runs it as (chrysalis); made when missing
#   --no-start               only lay everything out
# Taking away
#   --uninstall              stop all servers under DIR, and remove all that was installed, data included
#   --uninstall --id N       stop and remove this one server; the others and the program stay
#   --keep-data              ... but keep each server's conf/ and data/
#
# It ends with 0 when all was done, 1 when it failed, 2 when the command line is wrong, and 4 when it was done but
# for an option that this server already has another value for.
#
# Nothing is downloaded, except what cargo needs when the binary is built here.
# shellcheck shell=dash
set -eu
# What the caller's shell brings along must not change what is done here.
\unalias -a
IFS=' 	
'
LC_ALL=C
export LC_ALL
unset CDPATH
callers_umask=$(umask)
umask 022

readonly room_min_mib=1024 room_build_min_mib=3072
self=$(readlink -f -- "$0")
here=${self%/*}

# --- saying -------------------------------------------------------------------------------------------

say() { printf '%s\n' "$*"; }
# What is wrong, then what to do about it.
fail() {
  local code=$1
  shift
  printf 'install.sh: %s\n' "$1" >&2
  shift
  [ $# = 0 ] || printf '  %s\n' "$@" >&2
  exit "$code"
}
die() { fail 1 "$@"; }
mistake() { fail 2 "$@"; }
usage() { sed -n '2,/^# shellcheck /{/^# shellcheck /d;/^#/s/^# \{0,1\}//p}' "$self"; }

# A word as a shell reads it back.
quoted() {
  case $1 in
    *[!A-Za-z0-9_./+@:,=-]*) printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")" ;;
    *) printf '%s' "$1" ;;
  esac
}

changes=0 not_applied=no
# Announces a change. In a plan it is only told: `change "..." || return 0` goes before what makes it.
change() {
  changes=$((changes + 1))
  if [ "$plan" = yes ]; then
    say "  would $1"
    return 1
  fi
  say "  $1"
}

left_out() {
  not_applied=yes
  say "  not applied: $1"
}

is_root() { [ "$(id -u)" = 0 ]; }

# --- what was asked -----------------------------------------------------------------------------------

plan=no uninstall=no keep_data=no start=yes systemd=auto
prefix='' binary='' id='' account=''
listen='' coordinator_port='' broker_port='' web_port=''
# One a line: a topic's name has no line feed.
topics=''
# Options that say how to install, which mean nothing when taking away.
installing=''

number() { # OPTION VALUE LEAST MOST
  case $2 in
    *[!0-9]* | '' | ??????*) ;;
    *) if [ "$2" -ge "$3" ] && [ "$2" -le "$4" ]; then return 0; fi ;;
  esac
  mistake "$1 $2: a number from $3 to $4"
}

while [ $# -gt 0 ]; do
  option=$1
  shift
  # --option=value is the same as --option value.
  case $option in
    --*=*)
      set -- "${option#*=}" "$@"
      option=${option%%=*}
      joined=yes
      ;;
    *) joined=no ;;
  esac
  case $option in
    --prefix | --binary | --id | --listen | --coordinator-port | --broker-port | --web-port | --topic | --user)
      if [ $# = 0 ] || [ -z "$1" ]; then mistake "$option needs a value" './install.sh --help tells the options'; fi
      value=$1
      shift
      ;;
    *) [ "$joined" = no ] || mistake "$option takes no value, or is unknown" './install.sh --help tells the options' ;;
  esac
  case $option in
    --prefix | --id | --plan | --uninstall | --keep-data | --without-systemd | --help | -h) ;;
    *) installing="${installing:+$installing, }$option" ;;
  esac
  case $option in
    --prefix) prefix=$value ;;
    --binary) binary=$value ;;
    --id)
      number "$option" "$value" 1 254
      # Without zeros in front: it is part of a name.
      id=$value
      while [ "${id#0}" != "$id" ]; do id=${id#0}; done
      ;;
    --listen) listen=$value ;;
    --coordinator-port) number "$option" "$value" 1 65535; coordinator_port=$value ;;
    --broker-port) number "$option" "$value" 1 65535; broker_port=$value ;;
    --web-port) number "$option" "$value" 1 65535; web_port=$value ;;
    --topic)
      topics="$topics$value
"
      ;;
    --user) account=$value ;;
    --without-systemd) systemd=no ;;
    --no-start) start=no ;;
    --plan) plan=yes ;;
    --uninstall) uninstall=yes ;;
    --keep-data) keep_data=yes ;;
    --help | -h) usage; exit 0 ;;
    *) mistake "unknown option '$option'" './install.sh --help tells the options' ;;
  esac
done

if [ "$keep_data" = yes ] && [ "$uninstall" = no ]; then mistake '--keep-data belongs to --uninstall'; fi
if [ "$uninstall" = yes ] && [ -n "$installing" ]; then
  mistake "--uninstall takes no $installing" 'It takes --prefix, --id, --keep-data and --plan'
fi
if [ "$(uname -s)" != Linux ] || [ "$(uname -m)" != x86_64 ]; then
  die "this is $(uname -s) on $(uname -m); Chrysalis runs on Linux on x86_64"
fi

if [ -z "$prefix" ]; then
  # shellcheck disable=SC2016 # it is shown as it is to be typed
  is_root || mistake 'installing into /opt/chrysalis needs root' \
    'Run it with sudo, or choose a folder of your own: ./install.sh --prefix "$HOME/chrysalis"'
  prefix=/opt/chrysalis
fi
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
while [ "${prefix%/}" != "$prefix" ]; do prefix=${prefix%/}; done
[ -n "$prefix" ] || mistake '--prefix /: a folder of its own is needed'
case $prefix in *'
'*) mistake '--prefix has a line feed in it' ;; esac

if [ "$systemd" = auto ]; then
  if is_root && [ -d /run/systemd/system ]; then systemd=yes; else systemd=no; fi
fi
if [ "$systemd" = yes ]; then
  # Unit files name the folder; a blank or a percent sign in it would mean something else there.
  case $prefix in
    *[!A-Za-z0-9_./+@:,-]*) mistake "--prefix $prefix: letters, digits and _ . / + @ : , - only, because unit files name it" ;;
  esac
fi

name=server${id:-1}
server=$prefix/$name
readonly units=/etc/systemd/system
readonly unit="$units/chrysalis@.service" target="$units/chrysalis.target"
readonly command_link=/usr/local/bin/chrysalis
chrysalis=$prefix/bin/chrysalis

# --- what is there ------------------------------------------------------------------------------------

# A folder `server` and a number is a server of ours or of the original; `server1.bak` is somebody's copy.
is_servers_name() {
  case ${1#server} in
    "$1" | '' | *[!0-9]*) return 1 ;;
  esac
}

# Only what is ours is taken away: the original's servers have folders of the same names.
ours() {
  [ -e "$1/data/journal/journal.id" ] || grep -qs 'a Chrysalis server' "$1/conf/server.toml" ||
    grep -qs '^CHRYSALIS=' "$1/bin/env.sh"
}

# Calls a function with each server's folder, in order.
for_each_server() {
  local folder
  for folder in "$prefix"/server[0-9]*; do
    if [ -d "$folder" ] && is_servers_name "${folder##*/}"; then "$1" "$folder"; fi
  done
}

# The same with those that are to be taken away.
for_each_of_ours() {
  to_do=$1
  for_each_server if_it_is_meant
}
if_it_is_meant() {
  if [ -n "$id" ] && [ "$1" != "$server" ]; then return 0; fi
  if ours "$1"; then "$to_do" "$1"; fi
}

# The nearest folder above the prefix that exists.
existing_parent() {
  local folder=$prefix
  while [ ! -d "$folder" ]; do folder=$(dirname -- "$folder"); done
  printf '%s' "$folder"
}

room_mib() { df -Pm -- "$(existing_parent)" | awk 'NR == 2 {print $4}'; }

# Whether somebody listens on this port there, or on every address.
taken() { # ADDRESS PORT
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v wanted="$1" -v port="$2" '
    function hex(text,  value, i) {
      for (i = 1; i <= length(text); i++) value = value * 16 + index("0123456789ABCDEF", substr(text, i, 1)) - 1
      return value
    }
    # Of an address of IPv4 each byte, the last one first; one of IPv6 is taken for any.
    function same(address) {
      if (address ~ /^0+$/ || wanted == "0.0.0.0" || wanted == "::" || wanted ~ /:/ || length(address) > 8) return 1
      return wanted == hex(substr(address, 7, 2)) "." hex(substr(address, 5, 2)) "." hex(substr(address, 3, 2)) "." hex(substr(address, 1, 2))
    }
    $4 == "0A" && split($2, socket, ":") == 2 && hex(socket[2]) == port && same(socket[1]) { found = 1 }
    END { exit !found }
  '
}

# A unit of ours that runs servers of another prefix must not be overwritten.
unit_prefix() { [ ! -e "$unit" ] || sed -n 's|^ExecStart=\(.*\)/bin/chrysalis run .*|\1|p' "$unit"; }
unit_account() { [ ! -e "$unit" ] || sed -n 's/^User=//p' "$unit"; }

# The same folder may have two names.
is_prefix() { [ "$1" = "$prefix" ] || { [ -n "$1" ] && [ "$1" -ef "$prefix" ]; }; }

by_systemd() { [ -d /run/systemd/system ] && is_prefix "$(unit_prefix)"; }

# What cannot be asked counts as running: nothing is taken away from under a server.
running() {
  local status=0 pid
  if by_systemd && systemctl --quiet is-active "chrysalis@${1##*/}.service"; then return 0; fi
  [ -d "$1/conf" ] || return 1
  if [ -x "$chrysalis" ]; then
    "$chrysalis" status "$1" >/dev/null 2>&1 || status=$?
    case $status in 3 | 10) return 1 ;; *) return 0 ;; esac
  fi
  pid=$(cat -- "$1/data/chrysalis.pid" 2>/dev/null) || return 1
  case $(readlink -- "/proc/$pid/exe" 2>/dev/null) in */chrysalis*) return 0 ;; *) return 1 ;; esac
}

check_host() {
  local parent room need=$room_min_mib other
  parent=$(existing_parent)
  [ -w "$parent" ] || die "$parent cannot be written by $(id -un)" \
    'Run it with sudo, or choose a folder of your own with --prefix'
  [ "$source" != cargo ] || need=$room_build_min_mib
  room=$(room_mib)
  [ -d "$server" ] || [ "$room" -ge "$need" ] || die "$parent has $room MiB of room; $need MiB are needed" \
    'Make room, or choose a folder on another disk with --prefix'
  other=$(unit_prefix)
  if [ "$systemd" = yes ]; then
    [ -z "$other" ] || is_prefix "$other" || die "the units of this host belong to $other" \
      "Install there (--prefix $other), or give this one no units (--without-systemd)"
    : "${account:=$(unit_account)}" "${account:=chrysalis}"
    command -v useradd >/dev/null || id -u "$account" >/dev/null 2>&1 ||
      die "there is no account '$account' and no useradd to make it" 'Name one that exists: --user NAME'
  elif [ -n "$account" ]; then
    mistake "--user $account: without systemd a server runs as whoever starts it"
  elif is_root && by_systemd; then
    die "systemd runs the servers of $prefix" 'Leave --without-systemd away'
  fi
}

# A server that is there knows its ports. The first one of a host has the originals', each further one ten more.
choose_ports() {
  [ ! -e "$server/conf" ] || return 0
  before=0
  for_each_server count_one
  [ "$before" -gt 0 ] || return 0
  : "${coordinator_port:=$((2181 + 10 * before))}" "${broker_port:=$((8123 + 10 * before))}" \
    "${web_port:=$((8120 + 10 * before))}"
}
count_one() { before=$((before + 1)); }

check_ports() {
  if [ -e "$server/conf" ] || [ "$start" = no ]; then return 0; fi
  check_port coordinator "${coordinator_port:-2181}"
  check_port broker "${broker_port:-8123}"
  check_port web "${web_port:-8120}"
}
check_port() {
  ! taken "${listen:-127.0.0.1}" "$2" || die "port $2 is in use on ${listen:-127.0.0.1}" \
    "Choose another with --$1-port, or stop what uses it: ss -ltnp 'sport = :$2'"
}

# --- the binary ---------------------------------------------------------------------------------------

cargo=''
find_cargo() {
  local home='' candidate
  # Under sudo the toolchain is usually the caller's.
  [ -z "${SUDO_USER:-}" ] || home=$(getent passwd "$SUDO_USER" | cut -d: -f6)
  for candidate in "$(command -v cargo || true)" "${CARGO_HOME:-}/bin/cargo" "${HOME:-}/.cargo/bin/cargo" \
    "$home/.cargo/bin/cargo"; do
    if [ -x "$candidate" ]; then
      cargo=$candidate
      return 0
    fi
  done
  return 1
}

# Runs cargo as whoever owns the source, so that a build by root leaves nothing behind that they cannot remove.
as_builder() {
  if is_root && [ -n "${SUDO_USER:-}" ]; then
    sudo -u "$SUDO_USER" -H -- "$@"
  else
    "$@"
  fi
}

# Where the binary comes from: `given`, `beside` this script (a release), or `cargo` (a checkout).
source=''
find_source() {
  if [ -n "$binary" ]; then
    source=given
    [ -f "$binary" ] || die "--binary $binary: there is no such file"
  elif [ -f "$here/chrysalis" ]; then
    source=beside
    binary=$here/chrysalis
    if [ -f "$here/SHA256SUMS" ]; then
      (cd -- "$here" && sha256sum --quiet --check SHA256SUMS >&2) ||
        die 'this release is not what was packed: a checksum is wrong' 'Unpack it again, or fetch it again'
    fi
  elif [ -f "$here/Cargo.toml" ]; then
    source=cargo
    find_cargo || die 'there is no binary beside this script, and no cargo to build one' \
      'Install Rust (https://rustup.rs), or take a release: a chrysalis-VERSION-x86_64-linux.tar.gz has the binary in it'
    command -v cc >/dev/null || die 'building needs a C compiler to link with, and there is no cc' \
      'Debian, Ubuntu: apt-get install gcc. Fedora: dnf install gcc. Or take a release, which needs none'
  else
    die "there is neither a binary nor a source beside $here/install.sh" 'Unpack the whole release, or use a checkout'
  fi
}

build() {
  local folder
  [ "$source" = cargo ] || return 0
  if [ "$plan" = yes ]; then
    say '  would build the binary with cargo, if the last build is out of date'
    return 0
  fi
  say '  building with cargo (minutes the first time) ...'
  (cd -- "$here" && as_builder "$cargo" build --release --locked --bin chrysalis) ||
    die 'the build failed; cargo said why' 'Nothing was installed. A release has the binary in it and needs no build'
  folder=$(cd -- "$here" && as_builder "$cargo" metadata --format-version 1 --no-deps --offline |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
  binary=$folder/x86_64-unknown-linux-gnu/release/chrysalis
}

version=''
find_version() {
  if [ "$source" = cargo ] && [ "$plan" = yes ]; then
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/Cargo.toml" | head -n 1)
    return
  fi
  version=$("$binary" --version 2>/dev/null | awk 'NR == 1 {print $2}') || true
  case $version in
    [0-9]*.[0-9]*.[0-9]*) ;;
    *) die "$binary does not run, or is no chrysalis" 'Is its folder mounted noexec? Was it packed for another machine?' ;;
  esac
}

before=''       # where bin/chrysalis led before
new_binary=no   # whether running servers have to be restarted
lay_out_binary() {
  local place="$prefix/versions/$version/chrysalis"
  before=''
  [ ! -e "$chrysalis" ] || before=$(readlink -- "$chrysalis" || true)
  if [ -z "$binary" ] || ! cmp -s -- "$binary" "$place"; then
    # A plan for a source that is not built yet cannot compare; what is installed is then taken for right.
    if { [ -n "$binary" ] || [ ! -e "$place" ]; } && change "put the binary to $place"; then
      new_binary=yes
      mkdir -p -- "${place%/*}"
      cp -- "$binary" "$place.new"
      chmod 755 "$place.new"
      mv -f -- "$place.new" "$place"
    fi
  fi
  if [ "$before" != "../versions/$version/chrysalis" ]; then
    if change "lead $chrysalis to version $version${before:+ (it led to $before)}"; then
      new_binary=yes
      lead_to "../versions/$version/chrysalis"
    fi
  fi
}

lead_to() {
  mkdir -p -- "$prefix/bin"
  ln -sfn -- "$1" "$chrysalis.new"
  mv -fT -- "$chrysalis.new" "$chrysalis"
}

# A system's program is on everybody's PATH; one in a folder of one's own is one's own matter.
lay_out_command() {
  is_root || return 0
  [ "$systemd" = yes ] || [ "$prefix" = /opt/chrysalis ] || return 0
  if [ ! -e "$command_link" ] && [ ! -L "$command_link" ]; then
    change "lead $command_link to $chrysalis" || return 0
    mkdir -p -- "${command_link%/*}"
    ln -s -- "$chrysalis" "$command_link"
  elif [ "$(readlink -- "$command_link" || true)" != "$chrysalis" ]; then
    say "  $command_link is another one, and stays: this one is $chrysalis"
  fi
}

# --- the server's folder ------------------------------------------------------------------------------

# The topic of the message that shows that everything works. The original's sample configuration has it, too.
readonly check_topic=test

made_server=no
lay_out_server() {
  local has_check_topic=no told topic
  set --
  [ -z "$listen" ] || set -- "$@" --listen "$listen"
  [ -z "$coordinator_port" ] || set -- "$@" --coordinator-port "$coordinator_port"
  [ -z "$broker_port" ] || set -- "$@" --broker-port "$broker_port"
  [ -z "$web_port" ] || set -- "$@" --web-port "$web_port"
  while IFS= read -r topic; do
    [ -n "$topic" ] || continue
    set -- "$@" --topic "$topic"
    [ "${topic%%:*}" != "$check_topic" ] || has_check_topic=yes
  done <<TOPICS
$topics
TOPICS
  if [ -e "$server/conf/server.toml" ] || [ -e "$server/conf/server.ini" ] || [ -e "$server/conf/zoo.cfg" ]; then
    # Asked again, `init` only compares.
    if [ $# -gt 0 ] && [ -x "$chrysalis" ] && ! told=$("$chrysalis" init "$server" "$@" 2>&1); then
      left_out "$name is there already. $told"
    fi
  elif made_server=yes && change "make $server"; then
    [ "$has_check_topic" = yes ] || set -- "$@" --topic "$check_topic"
    "$chrysalis" init "$server" --id "${id:-1}" "$@" >/dev/null ||
      die "$server was not made; chrysalis init said why" 'Correct the option it names and run this again'
  fi
  lay_out_folder bin 755
  lay_out_folder data 750
  lay_out_folder logs 750
  for topic in env.sh metaServer.sh zkServer.sh zkCli.sh; do
    lay_out_file "$scripts/$topic" "$server/bin/$topic" cat
  done
}
lay_out_folder() {
  [ ! -d "$server/$1" ] || return 0
  change "make $server/$1" || return 0
  mkdir -p -- "$server"
  mkdir -m "$2" -- "$server/$1"
}

# In a release the scripts lie beside this one, in a checkout under packaging/.
scripts=$here/server-bin
[ -d "$scripts" ] || scripts=$here/packaging/server-bin

# Puts a file to its place, as `filter` makes it; nothing when it is there already.
lay_out_file() { # FROM TO FILTER
  ! "$3" "$1" | cmp -s -- - "$2" || return 0
  change "write $2" || return 0
  mkdir -p -- "${2%/*}"
  "$3" "$1" >"$2.new"
  chmod --reference="$1" -- "$2.new"
  mv -f -- "$2.new" "$2"
  case $2 in "$units"/*) reload_units=yes ;; esac
}
with_names() { sed "s|@PREFIX@|$prefix|g; s|^\(User\|Group\)=chrysalis\$|\1=$account|" "$1"; }

# --- systemd ------------------------------------------------------------------------------------------

reload_units=no
lay_out_units() {
  [ "$systemd" = yes ] || return 0
  local each
  if ! id -u "$account" >/dev/null 2>&1 && change "make the system account $account"; then
    useradd --system --user-group --no-create-home --home-dir "$prefix" --shell /usr/sbin/nologin "$account"
  fi
  if { [ ! -d "$server/data" ] || [ "$(stat -c %U -- "$server/data")" != "$account" ]; } &&
    change "give $server/conf, data and logs to $account"; then
    chown -R -- "$account:" "$server/data" "$server/logs" "$server/conf"
  fi
  lay_out_file "$here/systemd/chrysalis@.service" "$unit" with_names
  lay_out_file "$here/systemd/chrysalis.target" "$target" with_names
  [ "$reload_units" = no ] || systemctl daemon-reload
  for each in chrysalis.target "chrysalis@$name.service"; do
    if ! systemctl --quiet is-enabled "$each" 2>/dev/null && change "enable $each"; then
      systemctl --quiet enable "$each"
    fi
  done
}

# --- running ------------------------------------------------------------------------------------------

bring_up() { # start or restart
  if [ "$systemd" = yes ]; then
    systemctl "$1" "chrysalis@$name.service"
  else
    (umask "$callers_umask" && "$chrysalis" "$1" "$server")
  fi
}

why_not() {
  if [ "$systemd" = yes ]; then
    journalctl --no-pager --quiet -n 20 -u "chrysalis@$name.service" >&2 || true
  else
    tail -n 20 -- "$server/logs/chrysalis.log" >&2 2>/dev/null || true
  fi
}

run_server() {
  local verb=start
  [ "$start" = yes ] || return 0
  if running "$server"; then
    [ "$new_binary" = yes ] || [ "$reload_units" = yes ] || return 0
    verb=restart
  fi
  change "$verb $name" || return 0
  bring_up "$verb" && return
  why_not
  # A version that does not come up must not stay: the one before served until now.
  if [ "$verb" = restart ] && [ -n "$before" ] && [ "$before" != "../versions/$version/chrysalis" ]; then
    say "  version $version does not start: back to $before"
    lead_to "$before"
    bring_up restart || true
  fi
  die "$name did not start; its last lines are above" "More: $(quoted "$chrysalis") run $(quoted "$server")"
}

# One message there and back the way a client does it, and what the disk does: the first proof that this
# machine can carry it.
try_it() {
  local text got status
  if [ "$start" = no ] || [ "$made_server" = no ]; then return 0; fi
  if [ "$plan" = yes ]; then
    say '  would send a message, read it back, and measure the disk'
    return 0
  fi
  text="hello from install.sh on $(uname -n), $(date -u +%FT%TZ)"
  status="How the server is doing: $(quoted "$chrysalis") status $(quoted "$server")"
  say
  say 'A message, on disk before it is acknowledged:'
  got=$("$chrysalis" produce --folder "$server" "$check_topic" "$text") || die 'the message was not taken' "$status"
  say "  sent: $got"
  got=$("$chrysalis" consume --folder "$server" "$check_topic" --from first --max 1 2>&1) || true
  case $got in
    *"$text"*) ;;
    *) die "the message did not come back${got:+, but: $got}" "$status" ;;
  esac
  say "  received: $text"
  say
  say 'This disk:'
  if got=$("$chrysalis" bench disk --seconds 1 "$server/data"); then
    printf '%s\n' "$got" | sed 's/^/  /'
  else
    say '  (not measured: see above)'
  fi
}

next_steps() {
  local ports restart command folder
  # As it is, not as it was asked for: an earlier install may have chosen otherwise.
  ports=$("$chrysalis" status "$server" 2>/dev/null | sed -n 's/^ *ports *//p') || true
  command=$(quoted "$chrysalis")
  folder=$(quoted "$server")
  if [ "$(command -v chrysalis || true)" -ef "$chrysalis" ]; then command=chrysalis; fi
  say
  say 'Next:'
  if [ "$systemd" = yes ]; then
    restart="$command config check $folder && systemctl restart chrysalis@$name"
    step 'its state' "systemctl status chrysalis@$name"
    step 'its log' "journalctl -u chrysalis@$name"
    step 'stop it' "systemctl stop chrysalis@$name" '(start, restart, reload the same)'
  else
    restart="$command restart $folder"
    step 'its log' "less $(quoted "$server/logs/chrysalis.log")"
    step 'stop it' "$command stop $folder" '(start, restart, reload the same)'
    step 'after a reboot' "$command start $folder" '(crontab -e: @reboot and this)'
  fi
  step 'how it does' "$command status $folder"
  step 'a topic' "$command topic create $folder orders:4"
  step 'send' "$command produce --folder $folder orders hello"
  step 'receive' "$command consume --folder $folder orders --follow"
  step 'Java clients' "their ZooKeeper address is this coordinator${ports:+ ($ports)}"
  [ -n "$listen" ] || step 'open it' "only this host can connect: set listen in $folder/conf/server.toml, then $restart"
  step 'take it away' "$(quoted "$here/install.sh") --prefix $(quoted "$prefix") --uninstall" '(--keep-data leaves conf and data)'
}
step() { printf '  %-15s %s%s\n' "$1" "$2" "${3:+    $3}"; }

# --- taking away --------------------------------------------------------------------------------------

remove() {
  [ -e "$1" ] || [ -L "$1" ] || return 0
  change "remove $1" || return 0
  rm -rf -- "$1"
}

stop_one() {
  local each=${1##*/}
  if by_systemd && systemctl --quiet is-enabled "chrysalis@$each.service" 2>/dev/null &&
    change "stop and disable chrysalis@$each.service"; then
    systemctl --quiet disable --now "chrysalis@$each.service"
  fi
  if running "$1" && change "stop $each"; then
    "$chrysalis" stop "$1" >/dev/null || die "$each does not stop" 'Nothing of it was taken away. chrysalis said why'
  fi
}

remove_one() {
  remove "$1/bin"
  remove "$1/logs"
  if [ "$keep_data" = no ]; then
    remove "$1/data"
    remove "$1/conf"
  fi
  [ "$plan" = yes ] || rmdir -- "$1" 2>/dev/null || true
}

# What all servers share.
remove_program() {
  local each
  if by_systemd; then
    if change 'remove the units'; then
      systemctl --quiet disable --now chrysalis.target 2>/dev/null || true
      rm -f -- "$unit" "$target"
      systemctl daemon-reload
    fi
    # Of --user NAME only the account of our own name is ours to take.
    if [ "$keep_data" = no ] && [ "$(getent passwd chrysalis | cut -d: -f6)" = "$prefix" ] &&
      change 'remove the system account chrysalis'; then
      userdel chrysalis
    fi
  fi
  if [ "$(readlink -- "$command_link" || true)" = "$chrysalis" ]; then remove "$command_link"; fi
  case $(readlink -- "$chrysalis" || true) in ../versions/*) remove "$chrysalis" ;; esac
  for each in "$prefix"/versions/*/chrysalis; do
    if [ -e "$each" ]; then
      remove "$prefix/versions"
      break
    fi
  done
  [ "$plan" = yes ] || rmdir -- "$prefix/bin" "$prefix" 2>/dev/null || true
}

take_away() {
  if [ -n "$id" ]; then say "Taking away $server"; else say "Taking away $prefix"; fi
  for_each_of_ours stop_one
  for_each_of_ours remove_one
  [ -n "$id" ] || remove_program
  if [ "$changes" = 0 ]; then
    say "  nothing of Chrysalis is here"
  elif [ -n "$id" ]; then
    [ ! -d "$server" ] || say "  kept: what is left in $server"
    say "  the program and the other servers stay; without --id they go, too"
  elif [ "$plan" = no ] && [ -d "$prefix" ]; then
    if [ "$keep_data" = no ]; then say '  left, because it is not ours:'; else say '  kept:'; fi
    find "$prefix" -mindepth 1 -maxdepth 2 ! -name 'server[0-9]*' | sort | sed 's/^/    /'
  fi
}

# --- one after the other ------------------------------------------------------------------------------

if [ "$uninstall" = yes ]; then
  [ ! -d "$prefix" ] || [ -w "$prefix" ] || die "$prefix cannot be written by $(id -un)" 'Run it with sudo'
  take_away
  [ "$plan" = no ] || say 'This was the plan; nothing was changed.'
  exit 0
fi

find_source
check_host
choose_ports
check_ports
if [ "$plan" = yes ]; then say "Plan for $prefix"; else say "Installing into $prefix"; fi
build
find_version
lay_out_binary
lay_out_command
lay_out_server
lay_out_units
run_server
if [ "$plan" = yes ]; then
  try_it
  [ "$changes" -gt 0 ] || say '  nothing: everything is as it should be'
  say 'This was the plan; nothing was changed.'
elif [ "$changes" -gt 0 ]; then
  try_it
  next_steps
elif [ "$start" = yes ]; then
  say "  nothing to do: version $version is installed, $name runs"
else
  say "  nothing to do: version $version is installed, $name is laid out"
fi
if [ "$not_applied" = yes ]; then
  fail 4 'not everything that was asked for was applied: see "not applied" above' \
    "Change $server/conf/server.toml, which every key is explained in, and restart $name"
fi
