# The inside of events.sh: events-inside.sh DIR SHARE. Files in SHARE: ready (the client may begin), kill (kill the host and
# start it again), end.
set -eu
dir=$1
share=$2
state=/var/lib/stoker-box/state
export PATH=$dir/bin:$PATH
start() {
	stokerd --listen 127.0.0.1:8099 --state "$state" --images "$dir/images" --bin "$dir/bin" --pool-floor 0 \
		--pool-ceiling 4 >>"$share/log" 2>&1 &
	host=$!
}
mkdir -p "$state"
python3 "$dir/events-receiver.py" 9099 "$share/results" &
receiver=$!
start
until stoker --host http://127.0.0.1:8099 list >/dev/null 2>&1; do sleep 0.1; done
stoker --host http://127.0.0.1:8099 deploy echo "$dir/echo" --runtime provided --memory 128 --reuse reset
touch "$share/ready"
while [ ! -e "$share/end" ]; do
	if [ -e "$share/kill" ]; then
		kill -9 $host
		wait $host 2>/dev/null || true
		start
		rm "$share/kill"
	fi
	sleep 0.05
done
kill $receiver
kill $host
wait $host || true
