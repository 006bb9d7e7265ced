#!/bin/sh
# Restore photos with a server of `clearair serve`, with curl alone:
#
#     examples/client.sh http://127.0.0.1:8000 photo.jpg better.jpg [haze]
#
# Comes again when the server is busy, and prints why when it refuses a photo.
set -eu
[ -f "$2" ] || { echo "$2: there is no such file" >&2; exit 1; }
server=$1 photo=$2 result=$3 damage=${4:-auto}

set -- --silent --show-error --retry 5 --header "Content-Type: application/octet-stream"
if [ -n "${CLEARAIR_API_KEY:-}" ]; then
    set -- "$@" --header "Authorization: Bearer $CLEARAIR_API_KEY"
fi
# The answer may be an error, so it gets the name of the result only when it is one.
answer=$result.$$.part
trap 'rm -f "$answer"' EXIT
status=$(curl "$@" --data-binary "@$photo" --output "$answer" --write-out '%{http_code}' \
    "$server/v1/restore?damage=$damage&metadata=keep")
if [ "$status" != 200 ]; then
    cat "$answer" >&2
    exit 1
fi
mv "$answer" "$result"
