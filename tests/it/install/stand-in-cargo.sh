#!/usr/bin/env bash
# Stands in for cargo: "builds" the program by copying what lies in `source` beside the checkout, and fails without it.
set -euo pipefail
target=$(realpath ..)/target
case $* in
  'build --release --locked --bin chrysalis')
    mkdir -p "$target/x86_64-unknown-linux-gnu/release"
    cp ../source "$target/x86_64-unknown-linux-gnu/release/chrysalis"
    ;;
  'metadata '*) printf '{"packages":[],"target_directory":"%s","version":1}\n' "$target" ;;
  *) exit 1 ;;
esac
