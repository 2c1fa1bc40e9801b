#!/bin/sh
# The part of neighbours.sh that runs where the host is (busybox sh will do).
# usage: neighbours-inside.sh DIR ROUNDS SECONDS RATE CLIENTS LOUD EVENT LIMIT OPTIONS
set -eu
dir=$1 rounds=$2 seconds=$3 rate=$4 clients=$5 loud=$6 event=$7 limit=$8 options=$9
export PATH="$dir/bin:$PATH"
url=http://127.0.0.1:18080
token_quiet=token-of-the-quiet-tenant token_loud=token-of-the-loud-tenant
ulimit -n 65536
(umask 077 && cat >"$dir/keys") <<END
{"tenants": [{"name": "quiet", "account": "111122223333"},
             {"name": "loud", "account": "444455556666"${limit:+, \"concurrency\": $limit}}],
 "keys": [{"name": "q", "tenant": "quiet", "tokens": ["$token_quiet"]},
          {"name": "l", "tenant": "loud", "tokens": ["$token_loud"]}]}
END
# shellcheck disable=SC2086 # the options are words
stokerd --listen 127.0.0.1:18080 --state "$dir/state" --images "$dir/images" --bin "$dir/bin" --keys "$dir/keys" $options \
	>"$dir/log" 2>&1 &
host=$! flood=
trap 'kill $flood $host 2>/dev/null; wait $host 2>/dev/null || true' EXIT
i=0
until STOKER_TOKEN=$token_quiet stoker --host $url list >/dev/null 2>&1; do
	i=$((i + 1))
	[ $i -lt 300 ] || { tail -n 20 "$dir/log" >&2; exit 1; }
	sleep 0.1
done

export STOKER_TOKEN=$token_quiet
stoker --host $url deploy echo --runtime provided --memory 128 --timeout 10 "$dir/echo" >/dev/null 2>&1
export STOKER_TOKEN=$token_loud
case $loud in
echo) stoker --host $url deploy echo --runtime provided --memory 128 --timeout 10 "$dir/echo" ;;
primes) stoker --host $url deploy primes --runtime provided --memory 128 --timeout 300 "$dir/primes" ;;
esac >/dev/null 2>&1
export STOKER_TOKEN=$token_quiet
stoker-bench --url $url -n 20 --think 500 echo >/dev/null 2>&1 # what it uses is learned

# Clients that share the processor with the host would wait for it, too, and be the larger part of the slowest calls:
# what is asked is how long the host takes.
first=
! chrt -f 1 true 2>/dev/null || first="chrt -f 1"

round=0
while [ $round -lt "$rounds" ]; do
	round=$((round + 1))
	for part in alone beside; do
		if [ $part = beside ]; then
			STOKER_TOKEN=$token_loud stoker-bench --url $url --duration $((seconds + 5)) -n 0 -c "$clients" --timeout 600 \
				--event "$event" --json "$dir/flood.json" "$loud" >/dev/null 2>&1 &
			flood=$!
		fi
		sleep 5
		echo "=== $part"
		$first stoker-bench --url $url --arrivals poisson --rate "$rate" --duration "$seconds" -n 0 --json - echo 2>/dev/null
		if [ -n "$flood" ]; then
			wait "$flood" || true # its refused calls are failures
			flood=
			echo "=== flood"
			cat "$dir/flood.json"
		fi
	done
done
