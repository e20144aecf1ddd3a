#!/usr/bin/env bash
# moto's server, an AWS for test/deploy/: installed from scripts/moto.txt into a virtual environment in $LIVEDEV_MOTO
# (.parts/moto/ here by default), unless it is there already in these versions. Prints that folder.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
folder="${LIVEDEV_MOTO:-$here/../.parts/moto}"
wanted="$here/moto.txt"

if ! cmp -s "$wanted" "$folder/livedev-installed.txt"; then
  mkdir -p "$(dirname "$folder")"
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$wanted"
  cp "$wanted" "$folder/livedev-installed.txt"
fi
cd "$folder" && pwd
