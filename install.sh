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
# It ends with 0 when all was done, 2 when the command line is wrong, 4 when it was done but for an option that this
# server already has another value for, and otherwise with a code that `chrysalis explain` lists.
#
# Nothing is downloaded, except what cargo needs when the binary is built here. All but finding the binary is
# done by the binary: `chrysalis host --help`.
# shellcheck shell=dash
set -eu
# What the caller's shell brings along must not change what is done here.
\unalias -a
IFS=' 	
'
LC_ALL=C
export LC_ALL
unset CDPATH

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

is_root() { [ "$(id -u)" = 0 ]; }

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

built() { # where cargo puts the binary
  local folder
  folder=$(cd -- "$here" && as_builder "$cargo" metadata --format-version 1 --no-deps --offline |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
  printf '%s' "$folder/x86_64-unknown-linux-gnu/release/chrysalis"
}

# The binary to install: the one given, the one beside this script (a release), or one built here (a checkout).
# To take away, the one that is installed will do.
find_binary() {
  if [ -n "$binary" ]; then
    [ -f "$binary" ] || die "--binary $binary: there is no such file"
    [ -x "$binary" ] || die "--binary $binary: it may not be run" "chmod +x $binary"
    # Without a slash it would be looked for on the PATH.
    case $binary in */*) ;; *) binary=./$binary ;; esac
  elif [ -f "$here/chrysalis" ]; then
    binary=$here/chrysalis
    if [ -f "$here/SHA256SUMS" ]; then
      (cd -- "$here" && sha256sum --quiet --check SHA256SUMS >&2) ||
        die 'this release is not what was packed: a checksum is wrong' 'Unpack it again, or fetch it again'
    fi
  elif [ "$verb" = remove ] && [ -x "$prefix/bin/chrysalis" ]; then
    binary=$prefix/bin/chrysalis
  elif [ -f "$here/Cargo.toml" ]; then
    find_cargo || die 'there is no binary beside this script, and no cargo to build one' \
      'Install Rust (https://rustup.rs), or take a release: a chrysalis-VERSION-x86_64-linux.tar.gz has the binary in it'
    command -v cc >/dev/null || die 'building needs a C compiler to link with, and there is no cc' \
      'Debian, Ubuntu: apt-get install gcc. Fedora: dnf install gcc. Or take a release, which needs none'
    build
  else
    die "there is neither a binary nor a source beside $here/install.sh" 'Unpack the whole release, or use a checkout'
  fi
}

build() {
  local room
  if [ "$plan" = yes ]; then
    binary=$(built)
    [ -x "$binary" ] || die 'a plan is made by the binary, which is not built yet' \
      "Build it: cd '$here' && cargo build --release --locked --bin chrysalis"
    return
  fi
  room=$(df -Pm -- "$here" | awk 'NR == 2 {print $4}')
  [ "$room" -ge 2048 ] || die "$here has $room MiB of room; building needs 2048 MiB" 'Make room, or take a release'
  echo '  building with cargo (minutes the first time) ...'
  (cd -- "$here" && as_builder "$cargo" build --release --locked --bin chrysalis) ||
    die 'the build failed; cargo said why' 'Nothing was installed. A release has the binary in it and needs no build'
  binary=$(built)
}

# Everything is in functions, and this is called by the last line: a script that was cut off runs nothing.
main() {
  local self here option verb=apply plan=no binary='' prefix=/opt/chrysalis count=$#
  self=$(readlink -f -- "$0")
  here=${self%/*}
  # What is ours is taken out of the words; the others are the binary's, which knows what is wrong with them.
  while [ "$count" -gt 0 ]; do
    option=$1
    shift
    count=$((count - 1))
    case $option in
      --plan) plan=yes ;;
      --uninstall) verb=remove ;;
      --help | -h)
        sed -n '2,/^# Nothing is downloaded/{/^# Nothing is downloaded/d;s/^# \{0,1\}//p}' "$self"
        exit 0
        ;;
      --binary= | --prefix=) fail 2 "$option needs a value" './install.sh --help tells the options' ;;
      --binary=*) binary=${option#*=} ;;
      --prefix=*)
        prefix=${option#*=}
        set -- "$@" "$option"
        ;;
      --binary | --prefix)
        [ "$count" -gt 0 ] || fail 2 "$option needs a value" './install.sh --help tells the options'
        if [ "$option" = --binary ]; then binary=$1; else prefix=$1; fi
        [ "$option" = --binary ] || set -- "$@" "--prefix=$1"
        shift
        count=$((count - 1))
        ;;
      *) set -- "$@" "$option" ;;
    esac
  done
  if [ "$(uname -s)" != Linux ] || [ "$(uname -m)" != x86_64 ]; then
    die "this is $(uname -s) on $(uname -m); Chrysalis runs on Linux on x86_64"
  fi
  find_binary
  case $verb-$plan in
    apply-yes) verb=plan ;;
    remove-yes) set -- --plan "$@" ;;
  esac
  "$binary" --version >/dev/null 2>&1 ||
    die "$binary does not run, or is no chrysalis" 'Is its folder mounted noexec? Was it packed for another machine?'
  exec "$binary" host "$verb" "$@"
}

{
  main "$@"
  exit
}
