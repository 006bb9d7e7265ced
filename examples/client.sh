#!/bin/sh
# Restore photos with a server of `clearair serve`, with curl alone:
#
#     examples/client.sh http://127.0.0.1:8000 photo.jpg better.jpg [haze,rain]
#
# Tries again while the server is busy, and prints why when it refuses a photo.
set -eu
[ $# -ge 3 ] || { echo "usage: $0 SERVER PHOTO RESULT [KIND,...]" >&2; exit 2; }
[ -f "$2" ] || { echo "$2: there is no such file" >&2; exit 1; }
server=${1%/} photo=$2 result=$3
damage=$(printf %s "${4:-auto}" | tr -d ' ')

set -- --silent --show-error --header "Content-Type: application/octet-stream"
if [ -n "${CLEARAIR_API_KEY:-}" ]; then
    set -- "$@" --header "Authorization: Bearer $CLEARAIR_API_KEY"
fi
# The answer may be an error, so it gets the name of the result only when it is none.
answer=$result.$$.part
trap 'rm -f "$answer"' EXIT
tries=0
while :; do
    status=$(curl "$@" --data-binary "@$photo" --output "$answer" --write-out '%{http_code}' \
        "$server/v1/restore?damage=$damage&metadata=keep")
    tries=$((tries + 1))
    case $status in
        200) break ;;
        429 | 503) [ $tries -lt 30 ] && sleep 5 && continue ;;
    esac
    cat "$answer" >&2
    exit 1
done
mv "$answer" "$result"
