#!/bin/bash
# Asynchronous calls on a host that is killed again and again (SIGKILL): each accepted one runs at least once, none is lost,
# and only one that was under way at a kill runs more than once. Real microVMs (reuse = reset), in kvmbox, with the client
# outside; each result is POSTed to an address inside. About an hour for the whole of it.
#
#   events.sh [EVENTS [KILLS]]      100000 events, 20 kills
#
# STOKER_BUILD, STOKER_IMAGES, STOKER_FUNCTIONS say where things are, as for ./test.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
build=${STOKER_BUILD:-$top/build}
images=${STOKER_IMAGES:-$top/build/images}
echo=${STOKER_FUNCTIONS:-$top/build/functions}/echo
dir=$(mktemp -d)
client=
trap '[ -z "$client" ] || kill $client 2>/dev/null || true; rm -rf "$dir"' EXIT
mkdir "$dir/images" "$dir/bin" "$dir/share"
cp -L --sparse=always "$images"/{vmlinux,provided.img,scratch.img} "$dir/images/"
cp "$build"/{stokerd,stoker,stoker-vmm,stoker-snapshot,stoker-initrd.cpio} "$dir/bin/"
cp -r "$echo" "$dir/"
cp "$top"/bench/events-{inside.sh,receiver.py} "$dir/"
: >"$dir/share/results"
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
/usr/bin/python3 "$top/bench/events-client.py" "$port" "${1:-100000}" "${2:-20}" "$dir/share" &
client=$!
"$top/kvmbox/kvmbox" -p "$port:8099" --mem 3000 --state "$dir/box" --share "$dir/share" --copy "$(command -v mkfs.erofs)" -- \
	sh "$dir/events-inside.sh" "$dir" "$dir/share" || true
status=0
wait "$client" || status=$?
client=
exit "$status"
