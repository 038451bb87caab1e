#!/usr/bin/env bash
# Installs Chrysalis on this host: one server with a coordinator (ZooKeeper clients) and a broker (MetaQ
# clients). Run it again at any time: what is already as it should be is left alone.
#
#   ./install.sh                          as root: into /opt/chrysalis, run by systemd where there is one
#   ./install.sh --prefix DIR             anybody: into DIR, without systemd unless you are root
#   ./install.sh --plan                   show what would be done; change nothing
#   ./install.sh --uninstall [--keep-data]
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
#   --uninstall              stop the servers, and remove all that was installed, data included
#   --keep-data              ... but keep each server's conf/ and data/
#
# Nothing is downloaded, except what cargo needs when the binary is built here.
set -euo pipefail
umask 022

readonly room_min_mib=1024 room_build_min_mib=3072
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# --- saying -------------------------------------------------------------------------------------------

say() { printf '%s\n' "$*"; }
# What is wrong, then what to do about it.
die() {
  printf 'install.sh: %s\n' "$1" >&2
  (($# > 1)) && printf '  %s\n' "${@:2}" >&2
  exit 1
}
usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

changes=0
# Announces a change. In a plan it is only told: `change "..." || return 0` goes before what makes it.
change() {
  changes=$((changes + 1))
  if [[ $plan == yes ]]; then
    say "  would $1"
    return 1
  fi
  say "  $1"
}

# --- what was asked -----------------------------------------------------------------------------------

plan=no uninstall=no keep_data=no start=yes systemd=auto
prefix='' binary='' id=1 account=chrysalis
listen='' coordinator_port='' broker_port='' web_port=''
topics=()

number() { [[ $2 =~ ^[0-9]{1,5}$ ]] && ((10#$2 >= $3 && 10#$2 <= $4)) || die "$1 $2: a number from $3 to $4"; }

while (($#)); do
  option=$1
  shift
  # --option=value is the same as --option value.
  if [[ $option == --*=* ]]; then
    set -- "${option#*=}" "$@"
    option=${option%%=*}
  fi
  case $option in
    --prefix | --binary | --id | --listen | --coordinator-port | --broker-port | --web-port | --topic | --user)
      (($#)) && [[ -n $1 ]] || die "$option needs a value" "./install.sh --help tells the options"
      value=$1
      shift
      ;;
  esac
  case $option in
    --prefix) prefix=$value ;;
    --binary) binary=$value ;;
    --id) number "$option" "$value" 1 254; id=$((10#$value)) ;;
    --listen) listen=$value ;;
    --coordinator-port) number "$option" "$value" 1 65535; coordinator_port=$value ;;
    --broker-port) number "$option" "$value" 1 65535; broker_port=$value ;;
    --web-port) number "$option" "$value" 1 65535; web_port=$value ;;
    --topic) topics+=("$value") ;;
    --user) account=$value ;;
    --without-systemd) systemd=no ;;
    --no-start) start=no ;;
    --plan) plan=yes ;;
    --uninstall) uninstall=yes ;;
    --keep-data) keep_data=yes ;;
    --help | -h) usage; exit 0 ;;
    *) die "unknown option '$option'" './install.sh --help tells the options' ;;
  esac
done

[[ $keep_data == no || $uninstall == yes ]] || die '--keep-data belongs to --uninstall'
[[ $(uname -s) == Linux && $(uname -m) == x86_64 ]] ||
  die "this is $(uname -s) on $(uname -m); Chrysalis runs on Linux on x86_64"

if [[ -z $prefix ]]; then
  [[ $EUID == 0 ]] || die 'installing into /opt/chrysalis needs root' \
    'Run it with sudo, or choose a folder of your own: ./install.sh --prefix "$HOME/chrysalis"'
  prefix=/opt/chrysalis
fi
[[ $prefix == /* ]] || prefix=$PWD/$prefix
while [[ $prefix == */ ]]; do prefix=${prefix%/}; done
# Unit files and scripts name the folder; a blank or a percent sign in it would mean something else there.
[[ $prefix =~ ^[A-Za-z0-9_./+@:,-]+$ && -n $prefix ]] ||
  die "--prefix $prefix: letters, digits and _ . / + @ : , - only, because unit files name it"

if [[ $systemd == auto ]]; then
  [[ $EUID == 0 && -d /run/systemd/system ]] && systemd=yes || systemd=no
fi

server=$prefix/server$id
name=server$id
readonly units=/etc/systemd/system
readonly unit="$units/chrysalis@.service" target="$units/chrysalis.target"
chrysalis=$prefix/bin/chrysalis

# --- what is there ------------------------------------------------------------------------------------

servers() { find "$prefix" -mindepth 1 -maxdepth 1 -type d -name 'server[0-9]*' 2>/dev/null | sort; }

# Only what is ours is taken away: the original's servers have folders of the same names.
ours() {
  [[ -e $1/data/journal/journal.id ]] || grep -qs 'a Chrysalis server' "$1/conf/server.toml" ||
    grep -qs '^CHRYSALIS=' "$1/bin/env.sh"
}
our_servers() {
  local folder
  for folder in $(servers); do
    if ours "$folder"; then printf '%s\n' "$folder"; fi
  done
}

# The nearest folder above the prefix that exists.
existing_parent() {
  local folder=$prefix
  while [[ ! -d $folder ]]; do folder=$(dirname "$folder"); done
  printf '%s' "$folder"
}

room_mib() { df -Pm "$(existing_parent)" | awk 'NR == 2 {print $4}'; }

# Whether somebody listens. Loopback answers for "every address", too.
taken() {
  local address=$1
  case $address in 0.0.0.0 | :: | '') address=127.0.0.1 ;; esac
  (exec 3<>"/dev/tcp/$address/$2") 2>/dev/null
}

# A unit of ours that runs servers of another prefix must not be overwritten.
unit_prefix() { sed -n 's|^ExecStart=\(.*\)/bin/chrysalis run .*|\1|p' "$unit" 2>/dev/null || true; }

by_systemd() { [[ -d /run/systemd/system && $(unit_prefix) == "$prefix" ]]; }

running() {
  if by_systemd && systemctl --quiet is-active "chrysalis@${1##*/}.service"; then return 0; fi
  [[ -x $chrysalis && -d $1/conf ]] && "$chrysalis" status "$1" >/dev/null 2>&1
}

check_host() {
  local parent room need=$room_min_mib
  parent=$(existing_parent)
  [[ -w $parent ]] || die "$parent cannot be written by $(id -un)" \
    'Run it with sudo, or choose a folder of your own with --prefix'
  [[ $source == cargo ]] && need=$room_build_min_mib
  room=$(room_mib)
  [[ -d $server || $room -ge $need ]] || die "$parent has $room MiB of room; $need MiB are needed" \
    'Make room, or choose a folder on another disk with --prefix'
  if [[ $systemd == yes ]]; then
    local other
    other=$(unit_prefix)
    [[ -z $other || $other == "$prefix" ]] || die "the units of this host belong to $other" \
      "Install there (--prefix $other), or give this one no units (--without-systemd)"
    command -v useradd >/dev/null || id -u "$account" >/dev/null 2>&1 ||
      die "there is no account '$account' and no useradd to make it" 'Name one that exists: --user NAME'
  fi
}

# A server that is there knows its ports. The first one of a host has the originals', each further one ten more.
choose_ports() {
  [[ ! -e $server/conf ]] || return 0
  local before
  before=$(servers | grep -c . || true)
  ((before)) || return 0
  [[ -n $coordinator_port ]] || coordinator_port=$((2181 + 10 * before))
  [[ -n $broker_port ]] || broker_port=$((8123 + 10 * before))
  [[ -n $web_port ]] || web_port=$((8120 + 10 * before))
}

check_ports() {
  local pair
  [[ ! -e $server/conf && $start == yes ]] || return 0
  for pair in "coordinator ${coordinator_port:-2181}" "broker ${broker_port:-8123}" "web ${web_port:-8120}"; do
    set -- $pair
    ! taken "${listen:-127.0.0.1}" "$2" || die "port $2 is in use on ${listen:-127.0.0.1}" \
      "Choose another with --$1-port, or stop what uses it: ss -ltnp 'sport = :$2'"
  done
}

# --- the binary ---------------------------------------------------------------------------------------

cargo=''
find_cargo() {
  local home candidate
  home=$HOME
  # Under sudo the toolchain is usually the caller's.
  [[ -z ${SUDO_USER:-} ]] || home=$(getent passwd "$SUDO_USER" | cut -d: -f6)
  for candidate in "$(command -v cargo || true)" "$HOME/.cargo/bin/cargo" "$home/.cargo/bin/cargo"; do
    [[ -x $candidate ]] && cargo=$candidate && return 0
  done
  return 1
}

# Runs cargo as whoever owns the source, so that a build by root leaves nothing behind that they cannot remove.
as_builder() {
  if [[ $EUID == 0 && -n ${SUDO_USER:-} ]]; then
    sudo -u "$SUDO_USER" -H -- "$@"
  else
    "$@"
  fi
}

# Where the binary comes from: `given`, `beside` this script (a release), or `cargo` (a checkout).
source=''
find_source() {
  if [[ -n $binary ]]; then
    source=given
    [[ -f $binary ]] || die "--binary $binary: there is no such file"
  elif [[ -f $here/chrysalis ]]; then
    source=beside binary=$here/chrysalis
    if [[ -f $here/SHA256SUMS ]]; then
      (cd "$here" && sha256sum --quiet --check SHA256SUMS >&2) ||
        die 'this release is not what was packed: a checksum is wrong' 'Unpack it again, or fetch it again'
    fi
  elif [[ -f $here/Cargo.toml ]]; then
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
  [[ $source == cargo ]] || return 0
  if [[ $plan == yes ]]; then
    say '  would build the binary with cargo, if the last build is out of date'
    return 0
  fi
  say '  building with cargo (minutes the first time) ...'
  (cd "$here" && as_builder "$cargo" build --release --locked --bin chrysalis) ||
    die 'the build failed; cargo said why' 'Nothing was installed. A release has the binary in it and needs no build'
  local folder
  folder=$(cd "$here" && as_builder "$cargo" metadata --format-version 1 --no-deps --offline |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
  binary=$folder/x86_64-unknown-linux-gnu/release/chrysalis
}

version=''
find_version() {
  if [[ $source == cargo && $plan == yes ]]; then
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/Cargo.toml" | head -n 1)
    return
  fi
  version=$("$binary" --version 2>/dev/null | awk 'NR == 1 {print $2}') || true
  [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+ ]] || die "$binary does not run, or is no chrysalis" \
    'Is its folder mounted noexec? Was it packed for another machine?'
}

before=''       # where bin/chrysalis led before
new_binary=no   # whether running servers have to be restarted
lay_out_binary() {
  local place=$prefix/versions/$version/chrysalis
  [[ -e $chrysalis ]] && before=$(readlink "$chrysalis")
  if [[ -z $binary ]] || ! cmp -s "$binary" "$place"; then
    # A plan for a source that is not built yet cannot compare; what is installed is then taken for right.
    if [[ -n $binary || ! -e $place ]] && change "put the binary to $place"; then
      new_binary=yes
      mkdir -p "${place%/*}"
      cp -- "$binary" "$place.new"
      chmod 755 "$place.new"
      mv -f -- "$place.new" "$place"
    fi
  fi
  if [[ $before != "../versions/$version/chrysalis" ]]; then
    if change "lead $chrysalis to version $version${before:+ (it led to $before)}"; then
      new_binary=yes
      lead_to "../versions/$version/chrysalis"
    fi
  fi
}

lead_to() {
  mkdir -p "$prefix/bin"
  ln -sfn -- "$1" "$chrysalis.new"
  mv -fT -- "$chrysalis.new" "$chrysalis"
}

# --- the server's folder ------------------------------------------------------------------------------

# The topic of the message that shows that everything works. The original's sample configuration has it, too.
readonly check_topic=test

made_server=no
lay_out_server() {
  local arguments=() topic has_check_topic=no told
  [[ -z $listen ]] || arguments+=(--listen "$listen")
  [[ -z $coordinator_port ]] || arguments+=(--coordinator-port "$coordinator_port")
  [[ -z $broker_port ]] || arguments+=(--broker-port "$broker_port")
  [[ -z $web_port ]] || arguments+=(--web-port "$web_port")
  for topic in "${topics[@]}"; do
    arguments+=(--topic "$topic")
    [[ ${topic%%:*} != "$check_topic" ]] || has_check_topic=yes
  done
  if [[ -e $server/conf/server.toml || -e $server/conf/server.ini || -e $server/conf/zoo.cfg ]]; then
    # Asked again, `init` only compares.
    if ((${#arguments[@]})) && [[ -x $chrysalis ]] && ! told=$("$chrysalis" init "$server" "${arguments[@]}" 2>&1); then
      say "  not applied, because $name is there already: $told"
    fi
  elif made_server=yes && change "make $server"; then
    [[ $has_check_topic == yes ]] || arguments+=(--topic "$check_topic")
    "$chrysalis" init "$server" --id "$id" "${arguments[@]}" >/dev/null ||
      die "$server was not made; chrysalis init said why" 'Correct the option it names and run this again'
  fi
  local folder
  for folder in bin data logs; do
    [[ -d $server/$folder ]] || ! change "make $server/$folder" || mkdir -p "$server/$folder"
  done
  local script
  for script in env.sh metaServer.sh zkServer.sh zkCli.sh; do
    lay_out_file "$scripts/$script" "$server/bin/$script"
  done
}

# In a release the scripts lie beside this one, in a checkout under packaging/.
scripts=$here/server-bin
[[ -d $scripts ]] || scripts=$here/packaging/server-bin

# Puts a file to its place, with @PREFIX@ and the account made true; nothing when it is there already.
lay_out_file() {
  ! cmp -s <(make_true "$1") "$2" || return 0
  change "write $2" || return 0
  mkdir -p "${2%/*}"
  make_true "$1" >"$2.new"
  chmod --reference="$1" "$2.new"
  mv -f -- "$2.new" "$2"
  [[ $2 != "$units"/* ]] || reload_units=yes
}
make_true() { sed "s|@PREFIX@|$prefix|g; s|^\(User\|Group\)=chrysalis\$|\1=$account|" "$1"; }

# --- systemd ------------------------------------------------------------------------------------------

reload_units=no
lay_out_units() {
  [[ $systemd == yes ]] || return 0
  if ! id -u "$account" >/dev/null 2>&1 && change "make the system account $account"; then
    useradd --system --user-group --no-create-home --home-dir "$prefix" --shell /usr/sbin/nologin "$account"
  fi
  local owned=("$server/data" "$server/logs" "$server/conf")
  if [[ ! -d $server/data || $(stat -c %U "$server/data") != "$account" ]] &&
    change "give $server/{conf,data,logs} to $account"; then
    chown -R -- "$account:" "${owned[@]}"
  fi
  lay_out_file "$here/systemd/chrysalis@.service" "$unit"
  lay_out_file "$here/systemd/chrysalis.target" "$target"
  [[ $reload_units == no ]] || systemctl daemon-reload
  local each
  for each in chrysalis.target "chrysalis@$name.service"; do
    if ! systemctl --quiet is-enabled "$each" 2>/dev/null && change "enable $each"; then
      systemctl --quiet enable "$each"
    fi
  done
}

# --- running ------------------------------------------------------------------------------------------

bring_up() { # start or restart
  if [[ $systemd == yes ]]; then
    systemctl "$1" "chrysalis@$name.service"
  else
    "$chrysalis" "$1" "$server"
  fi
}

why_not() {
  if [[ $systemd == yes ]]; then
    journalctl --no-pager --quiet -n 20 -u "chrysalis@$name.service" >&2 || true
  else
    tail -n 20 "$server/logs/chrysalis.log" >&2 2>/dev/null || true
  fi
}

run_server() {
  [[ $start == yes ]] || return 0
  local verb=start
  if running "$server"; then
    [[ $new_binary == yes || $reload_units == yes ]] || return 0
    verb=restart
  fi
  change "$verb $name" || return 0
  bring_up "$verb" && return
  why_not
  # A version that does not come up must not stay: the one before served until now.
  if [[ $verb == restart && -n $before && $before != "../versions/$version/chrysalis" ]]; then
    say "  version $version does not start: back to $before"
    lead_to "$before"
    bring_up restart || true
  fi
  die "$name did not start; its last lines are above" "More: $chrysalis run $server"
}

# One message there and back the way a client does it, and what the disk does: the first proof that this
# machine can carry it.
try_it() {
  [[ $start == yes && $made_server == yes ]] || return 0
  if [[ $plan == yes ]]; then
    say '  would send a message, read it back, and measure the disk'
    return 0
  fi
  local text got
  text="hello from install.sh on $(uname -n), $(date -u +%FT%TZ)"
  say
  say "A message, on disk before it is acknowledged:"
  "$chrysalis" produce --folder "$server" "$check_topic" "$text" | sed 's/^/  sent: /' ||
    die 'the message was not taken' "How the server is doing: $chrysalis status $server"
  got=$("$chrysalis" consume --folder "$server" "$check_topic" --from first --max 1 2>&1) || true
  [[ $got == *"$text"* ]] ||
    die "the message did not come back${got:+, but: $got}" "How the server is doing: $chrysalis status $server"
  say "  received: $text"
  say
  say 'This disk:'
  "$chrysalis" bench disk --seconds 1 "$server/data" | sed 's/^/  /' || say "  (not measured: see above)"
}

next_steps() {
  local ports restart
  # As it is, not as it was asked for: an earlier install may have chosen otherwise.
  ports=$("$chrysalis" status "$server" 2>/dev/null | sed -n 's/^ *ports *//p') || true
  say
  say 'Next:'
  if [[ $systemd == yes ]]; then
    restart="systemctl restart chrysalis@$name"
    step 'its state' "systemctl status chrysalis@$name"
    step 'its log' "journalctl -u chrysalis@$name"
    step 'stop it' "systemctl stop chrysalis@$name" '(start, restart, reload the same)'
  else
    restart="$chrysalis restart $server"
    step 'its log' "less $server/logs/chrysalis.log"
    step 'stop it' "$chrysalis stop $server" '(start, restart, reload the same)'
    step 'after a reboot' "$chrysalis start $server" '(crontab -e: @reboot and this)'
  fi
  step 'how it does' "$chrysalis status $server"
  step 'a topic' "$chrysalis topic create $server orders:4"
  step 'send' "$chrysalis produce --folder $server orders hello"
  step 'receive' "$chrysalis consume --folder $server orders --follow"
  step 'Java clients' "their ZooKeeper address is this coordinator${ports:+ ($ports)}"
  [[ -n $listen ]] || step 'open it' "only this host can connect: set listen in $server/conf/server.toml, then $restart"
  step 'take it away' "$here/install.sh --prefix $prefix --uninstall" '(--keep-data leaves conf and data)'
}
step() { printf '  %-15s %s%s\n' "$1" "$2" "${3:+    $3}"; }

# --- taking away --------------------------------------------------------------------------------------

remove() {
  [[ -e $1 || -L $1 ]] || return 0
  change "remove $1" || return 0
  rm -rf -- "$1"
}

take_away() {
  local folder each found
  found=$(our_servers)
  say "Taking away $prefix"
  for folder in $found; do
    if by_systemd && systemctl --quiet is-enabled "chrysalis@${folder##*/}.service" 2>/dev/null &&
      change "stop and disable chrysalis@${folder##*/}.service"; then
      systemctl --quiet disable --now "chrysalis@${folder##*/}.service"
    fi
    if running "$folder" && change "stop ${folder##*/}"; then
      "$chrysalis" stop "$folder" >/dev/null
    fi
  done
  if by_systemd; then
    if change 'remove the units'; then
      systemctl --quiet disable --now chrysalis.target 2>/dev/null || true
      rm -f -- "$unit" "$target"
      systemctl daemon-reload
    fi
    # Of --user NAME only the account of our own name is ours to take.
    if [[ $keep_data == no ]] && id -u chrysalis >/dev/null 2>&1 &&
      [[ $(getent passwd chrysalis | cut -d: -f6) == "$prefix" ]] && change 'remove the system account chrysalis'; then
      userdel chrysalis
    fi
  fi
  for folder in $found; do
    for each in bin logs; do remove "$folder/$each"; done
    if [[ $keep_data == no ]]; then
      for each in data conf; do remove "$folder/$each"; done
    fi
    [[ $plan == yes ]] || rmdir -- "$folder" 2>/dev/null || true
  done
  [[ $(readlink "$chrysalis") != ../versions/* ]] || remove "$chrysalis"
  ! compgen -G "$prefix/versions/*/chrysalis*" >/dev/null || remove "$prefix/versions"
  [[ $plan == yes ]] || rmdir -- "$prefix/bin" "$prefix" 2>/dev/null || true
  if ((changes == 0)); then
    say '  nothing of Chrysalis is here'
  elif [[ $plan == no && -d $prefix ]]; then
    [[ $keep_data == no ]] && say "  left, because it is not ours:" || say '  kept:'
    find "$prefix" -mindepth 1 -maxdepth 2 ! -name 'server*' | sort | sed 's/^/    /'
  fi
}

# --- one after the other ------------------------------------------------------------------------------

if [[ $uninstall == yes ]]; then
  [[ ! -d $prefix || -w $prefix ]] || die "$prefix cannot be written by $(id -un)" 'Run it with sudo'
  take_away
  [[ $plan == no ]] || say 'This was the plan; nothing was changed.'
  exit 0
fi

find_source
check_host
choose_ports
check_ports
if [[ $plan == yes ]]; then say "Plan for $prefix"; else say "Installing into $prefix"; fi
build
find_version
lay_out_binary
lay_out_server
lay_out_units
run_server
if [[ $plan == yes ]]; then
  try_it
  ((changes)) || say '  nothing: everything is as it should be'
  say 'This was the plan; nothing was changed.'
elif ((changes)); then
  try_it
  next_steps
else
  say "  nothing to do: version $version is installed, $name $([[ $start == yes ]] && echo runs || echo 'is laid out')"
fi
