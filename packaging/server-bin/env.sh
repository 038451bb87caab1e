# Where this server is, for the scripts beside this file, which source it. Set CHRYSALIS to try another binary.
set -euo pipefail
SERVER=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CHRYSALIS=${CHRYSALIS:-$(dirname "$SERVER")/bin/chrysalis}
UNIT=chrysalis@$(basename "$SERVER").service

# Whether systemd runs this very server: a unit of that name may belong to another folder.
under_systemd() {
  [[ -d /run/systemd/system ]] && systemctl cat "$UNIT" 2>/dev/null | grep -qF -- "run $(dirname "$SERVER")/%i"
}

# start, stop, restart, reload and status, through systemd where that runs the server.
server() {
  if under_systemd && [[ $1 != status ]]; then
    systemctl "$1" "$UNIT"
  else
    "$CHRYSALIS" "$1" "$SERVER"
  fi
}
