#!/usr/bin/env bash
# `npm start` as a stranger has it: in a fresh clone of this commit, without a terminal. It must show both answers, and
# leave no process, no changed file and no development dependency behind.
set -euo pipefail
cd "$(dirname "$0")/.."

clone="$(mktemp -d)/livedev"
trap 'rm -rf "$(dirname "$clone")"' EXIT
git clone --quiet . "$clone"
cd "$clone"

fail() {
  printf 'npm start in a fresh clone: %s\n%s\n' "$1" "$output" >&2
  exit 1
}

output="$(npm start 2>&1)" || fail "it ended with $?"
grep -q "Welcome to the bookshop" <<< "$output" || fail "the first answer is not shown"
grep -q "Welcome back, the shop has been redecorated" <<< "$output" || fail "the second answer is not shown"
grep -q "^Reloaded in [0-9]* ms" <<< "$output" || fail "how long the reload took is not shown"
grep -q "^What it printed:" <<< "$output" || fail "no log lines are shown"
[ -z "$(git status --porcelain)" ] || fail "it changed files: $(git status --porcelain)"
[ ! -e node_modules/tap ] || fail "it installed development dependencies"
left="$(pgrep -fa "$clone" | grep -v "^$$ " || true)"
[ -z "$left" ] || fail "processes are left: $left"
echo "npm start in a fresh clone: both answers, nothing left behind"
