# Redis for this project alone, on the port that it is given: the installed one, or Docker's. It forgets when it ends.
port=$1
if ! command -v redis-server > /dev/null; then
  exec docker run --rm --publish "127.0.0.1:$port:6379" redis:7
fi
exec redis-server --port "$port" --bind 127.0.0.1 --save "" --appendonly no
