# PostgreSQL for this project alone, on the port that it is given: the installed one, or Docker's. What is in it stays
# in .data/postgres. It asks for no password, and only this machine can reach it.
port=$1
data="$PWD/.data/postgres"
for bin in /usr/lib/postgresql/*/bin; do PATH="$PATH:$bin"; done

if ! command -v initdb > /dev/null; then
  exec docker run --rm --publish "127.0.0.1:$port:5432" --volume "$data:/var/lib/postgresql/data" \
    --env POSTGRES_HOST_AUTH_METHOD=trust postgres:16
fi
mkdir -p "$data"
# It refuses to run as root, as which one is in many a container.
if [ "$(id -u)" = 0 ]; then
  chown postgres "$data"
  as="setpriv --reuid=postgres --regid=postgres --clear-groups --"
fi
[ -f "$data/PG_VERSION" ] || $as initdb --auth=trust --username=postgres "$data" || exit 1
chmod 700 "$data"
exec $as postgres -D "$data" -p "$port" -h localhost -c unix_socket_directories=
