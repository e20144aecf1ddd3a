# Installs what the optional suites need and names it in the environment: `source scripts/parts.sh`. Each part stays in
# .parts/ for the next time.
parts="$PWD/.parts"
mkdir -p "$parts"

# A virtual environment with these packages, under this name.
python_part() {
  local name="$1"
  shift
  [ -x "$parts/$name/bin/python" ] || python3 -m venv "$parts/$name"
  "$parts/$name/bin/pip" install --quiet --disable-pip-version-check "$@"
}

# The AWS CLI, as anybody has it.
python_part aws "awscli"
export LIVEDEV_AWS_CLI="$parts/aws/bin/aws"

# An AWS for test/deploy/.
export LIVEDEV_MOTO="$parts/moto"
scripts/moto.sh > /dev/null

# Shells whose completion is tried.
if [ "$(uname)" = Linux ] && [ "$(id -u)" = 0 ]; then
  missing=()
  for package in zsh fish tmux; do command -v "$package" > /dev/null || missing+=("$package"); done
  if [ "${#missing[@]}" -gt 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
  fi
fi
