#!/usr/bin/env bash
# The operators' page: its codec against the vectors, and in a browser against a server of its own.
#
#   tests/browser/run.sh target/release/tickwire     needs node; without a browser that part is skipped
#
# With CI=true nothing may be skipped: the browser is installed by its package's name.
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"; [ -z "${server:-}" ] || kill "$server" 2>/dev/null || true' EXIT

command -v node >/dev/null || { echo "SKIPPED: the operators' page needs node"; [ -z "${CI:-}" ]; exit; }
node --test --test-reporter=tap codec.test.mjs | tee "$work/tests"

find_browser() { command -v chromium || command -v chromium-browser || command -v google-chrome || true; }
if [ -n "${CI:-}" ] && [ -z "$(find_browser)" ]; then
  as_root=; [ "$(id -u)" = 0 ] || as_root=sudo
  $as_root apt-get update -q
  # Ubuntu has no such package: there the browser comes from playwright.
  $as_root apt-get install -qy --no-install-recommends chromium || fetched=yes
fi
cp ./*.mjs package.json package-lock.json "$work/"
(cd "$work" && npm ci --silent --no-audit --no-fund)
if [ -n "${fetched:-}" ]; then
  (cd "$work" && PLAYWRIGHT_BROWSERS_PATH=$work/browsers npx playwright-core install --with-deps chromium)
fi
browser=$(find_browser)
[ -n "$browser" ] || browser=$(find "$work/browsers" -type f -name chrome 2>/dev/null | head -1)
[ -n "$browser" ] || { echo "SKIPPED: the operators' page needs chromium"; [ -z "${CI:-}" ]; exit; }

key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
cat >"$work/server.toml" <<TOML
listen = "127.0.0.1:17074"
tcp = false
[admin]
listen = "127.0.0.1:17075"
keys = [{ name = "browser", key = "$key", may = ["read"] }]
TOML
"$program" serve --config "$work/server.toml" >"$work/log" 2>&1 &
server=$!
for _ in $(seq 100); do
  if curl --silent --fail http://127.0.0.1:17075/healthz >/dev/null; then break; fi
  sleep 0.1
done
CONSOLE_URL=http://127.0.0.1:17075 CLIENT_URL=ws://127.0.0.1:17074/ws CONSOLE_KEY=$key CHROMIUM=$browser \
  TICKWIRE=$program node --test --test-reporter=tap --test-concurrency=1 "$work/console.test.mjs" |
  tee -a "$work/tests" || { cat "$work/log"; exit 1; }
kill -INT "$server"
wait "$server" || { cat "$work/log"; echo "the server did not end well"; exit 1; }
server=
echo "$(awk '/^# pass /{n += $3} END {print n + 0}' "$work/tests") passed, 0 failed"
