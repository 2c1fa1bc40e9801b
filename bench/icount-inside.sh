#!/bin/sh
# The part of icount.sh that runs in the emulated machine (busybox sh). usage: icount-inside.sh DIR
set -eu
dir=$1
export PATH="$dir/bin:$PATH"
url=http://127.0.0.1:18080
port=18080
ulimit -n 65536

start_host() {
	stokerd --listen 127.0.0.1:$port --state $state --images "$dir/images" --bin "$dir/bin" --pool-ceiling 120 "$@" \
		>>/var/log-stokerd 2>&1 &
	host=$!
	i=0
	until stoker --host $url list >/dev/null 2>&1; do
		i=$((i + 1))
		[ $i -lt 300 ] || { tail -n 20 /var/log-stokerd >&2; exit 1; }
		sleep 0.1
	done
}

stop_host() {
	kill $host
	wait $host || true
}

deploy() {
	stoker --host $url deploy "$@" >/dev/null 2>&1 || { tail -n 20 /var/log-stokerd >&2; exit 1; }
}

vms() {
	grep -l "^Name:.stoker-vmm" /proc/[0-9]*/status 2>/dev/null | wc -l
}

# VMs are there, and memory changes no more.
settled_memory() {
	last=0
	i=0
	while [ $i -lt 200 ]; do
		i=$((i + 1))
		sleep 1
		now=$(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo)
		difference=$((now - last))
		[ "$difference" -gt 200 ] || [ "$difference" -lt -200 ] || [ "$(vms)" -lt "$1" ] || break
		last=$now
	done
	echo "$now"
}

state=/var/state
mkdir $state
echo "=== unit"
unit "$dir/bin/noop" 100
start_host --pool-floor 2
deploy echo "$dir/echo" --runtime provided --memory 128
deploy hello "$dir/hello" --runtime python3 --handler app.handler --memory 128
sleep 2
for function in echo hello; do
	echo "=== $function"
	stoker-bench --url $url --scenario warm -n 8 --think 300 $function >/dev/null 2>&1 # what it uses is learned
	stoker-bench --url $url --scenario warm,shell,cold-restore -n "$N" --think 300 --warmup 2 --cpu --json - $function 2>/dev/null
done
stop_host
start_host --pool-floor 1
deploy echo-reset "$dir/echo" --runtime provided --memory 128 --reuse reset
deploy hello-reset "$dir/hello" --runtime python3 --handler app.handler --memory 128 --reuse reset
sleep 2
for function in echo hello; do
	echo "=== $function-reset"
	for round in 1 2 3; do # as many VMs as it takes are there, have recorded, and know what is written
		stoker-bench --url $url -n 100 $function-reset >/dev/null 2>&1
		sleep 2
	done
	stoker-bench --url $url -n $((N * 50)) --warmup 20 --json - $function-reset 2>/dev/null
	stoker --host $url delete $function-reset >/dev/null
done
stop_host
for function in echo hello; do
	other=hello
	[ $function = echo ] || other=echo
	state=/var/state-$function
	cp -r /var/state $state
	start_host --pool-floor 0 --shells 0
	stoker --host $url delete $other >/dev/null 2>&1
	stop_host
	for floor in 2 102; do
		start_host --pool-floor $floor --shells 0
		echo "=== available $function $floor"
		settled_memory $floor
		stop_host
	done
done
