# shellcheck shell=dash
# Where this server is, for the scripts beside this file, which read it in. Set CHRYSALIS to try another binary.
set -eu
# What the caller's shell brings along must not change what is done here.
\unalias -a
IFS=' 	
'
unset CDPATH
# A script may be called through a link from elsewhere.
SELF=$(readlink -f -- "$0")
SERVER=$(cd -- "${SELF%/*}/.." && pwd)
CHRYSALIS=${CHRYSALIS:-${SERVER%/*}/bin/chrysalis}
UNIT=chrysalis@${SERVER##*/}.service

# Whether systemd runs this very server: a unit of that name may belong to another folder.
under_systemd() {
  [ -d /run/systemd/system ] || return 1
  unit_prefix=$(systemctl cat "$UNIT" 2>/dev/null | sed -n 's|^ExecStart=.*/bin/chrysalis run \(.*\)/%i$|\1|p')
  [ -n "$unit_prefix" ] && [ "$unit_prefix/${SERVER##*/}" -ef "$SERVER" ]
}

# start, stop, restart, reload and status, through systemd where that runs the server.
server() {
  if under_systemd && [ "$1" != status ]; then
    # systemd stops it before anything is looked at: a mistake in its files would leave it stopped.
    if [ "$1" = restart ]; then
      "$CHRYSALIS" config check "$SERVER" >/dev/null || return
    fi
    systemctl "$1" "$UNIT"
  else
    "$CHRYSALIS" "$1" "$SERVER"
  fi
}

# Whether the server's process is there, serving or on its way.
is_running() {
  status=0
  "$CHRYSALIS" status "$SERVER" >/dev/null 2>&1 || status=$?
  # 1: it is there and does not answer.
  [ "$status" = 0 ] || [ "$status" = 1 ]
}

# Ends with what is wrong and what to do, one line each.
refuse() {
  printf '%s: %s\n' "${SELF##*/}" "$1" >&2
  shift
  [ $# = 0 ] || printf '  %s\n' "$@" >&2
  exit 2
}
