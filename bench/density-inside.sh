#!/bin/sh
# The part of density.sh that runs in the emulated machine (busybox sh). usage: density-inside.sh DIR PART...
set -eu
dir=$1
shift
export PATH="$dir/bin:$PATH"
port=18080
url=http://127.0.0.1:$port
ulimit -n 65536
state=/var/state
event='{"n": 12345}'

start_host() {
	stokerd --listen 127.0.0.1:$port --state $state --images "$dir/images" --bin "$dir/bin" --memory-budget 100000 \
		--queue 1000 --queue-timeout 300000 "$@" >>/var/log-stokerd 2>&1 &
	host=$!
	i=0
	until wget -qO /dev/null $url/healthz 2>/dev/null; do
		i=$((i + 1))
		[ $i -lt 600 ] || give_up "the host does not answer"
		sleep 0.1
	done
}

give_up() {
	echo "density: $1" >&2
	tail -n 20 /var/log-stokerd >&2
	exit 1
}

metric() {
	wget -qO - $url/metrics | sed -n "s/^$1 //p"
}

# stop_host PART: tells its stalls first
stop_host() {
	echo "=== stalls $1"
	wget -qO - $url/metrics | sed -n 's/^stoker_loop_stall[^{]*{cause="\([a-z]*\)"}/\1/p'
	kill $host
	wait $host || true
}

run() {
	echo "=== $1"
	shift
	stoker-bench --url $url --json - --event "$event" --expect "$event" "$@" 2>/var/log-bench || {
		echo "density: stoker-bench $*" >&2
		cat /var/log-bench >&2
	}
}

warm() {
	wget -qO - $url/v1/functions/echo | sed -n 's/.*"warm": *\([0-9]*\).*/\1/p'
}

# until_warm TEST N: [ warm TEST N ]
until_warm() {
	i=0
	until [ "$(warm)" "$1" "$2" ]; do
		i=$((i + 1))
		[ $i -lt 6000 ] || give_up "the pool has $(warm) VMs, not $2"
		sleep 0.2
	done
}

available() {
	sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo
}

resident() {
	sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' /proc/$host/status
}

starts() {
	wget -qO - $url/metrics | grep '^stoker_vm_start_seconds_[sc][^ ]*start="cold-restore"'
}

mkdir $state
start_host --pool-floor 1
stoker --host $url deploy echo "$dir/echo" --runtime provided --memory 128 >/dev/null 2>&1 || give_up "deploy"
until_warm -ge 1
run learn --scenario warm -n 10 --think 300 echo
stop_host prepare
for part; do
	case $part in
	flat)
		cp -r $state $state-flat
		state=$state-flat
		for which in few many; do
			[ $which = few ] && from=1 || from=10
			[ $which = few ] && to=9 || to=$((FUNCTIONS - 1))
			fleet $state echo $from $to
			start_host --pool-floor 0 --verify-ahead no
			echo "=== functions $which"
			metric stoker_functions
			run "flat first" --scenario any -n 8 --think 300 echo
			run "flat $which" --scenario warm -n 60 --think 300 echo
			wget -qO /dev/null $url/metrics
			echo "=== memory $which"
			resident
			[ $which = few ] || run "flat one of many" --scenario any -n 3 --think 100 echo-00777
			stop_host "flat $which"
		done
		rm -rf $state
		state=${state%-flat}
		;;
	burst)
		start_host --pool-floor 0 --pool-ceiling 150 --pool-idle 1 --pool-history no
		run "burst cold" --scenario cold-restore -n 20 --think 300 --cpu echo
		until_warm -eq 0
		echo "=== processors"
		nproc
		run burst --scenario any --arrivals burst:100@1000 -n 100 --warmup 0 --timeout 300 echo
		stop_host burst
		;;
	refill)
		for floor in ${FLOORS:-10 500}; do
			start_host --pool-floor $floor --pool-ceiling $((floor + 50))
			until_warm -ge $floor
			echo "=== refill $floor before"
			starts
			run "refill $floor" --scenario warm -n 40 --think 400 echo
			until_warm -ge $floor
			echo "=== refill $floor after"
			starts
			stop_host "refill $floor"
		done
		;;
	density)
		before=$(available)
		begin=$(cut -d' ' -f1 /proc/uptime)
		start_host --pool-floor $N --pool-ceiling $((N + 50))
		until_warm -ge $N
		echo "=== seconds"
		awk -v begin=$begin '{ print $1 - begin }' /proc/uptime
		sleep 2
		echo "=== vms"
		warm
		echo "=== available before"
		echo $before
		echo "=== available after"
		available
		run density --scenario warm -n $N -c 4 --warmup 0 echo
		stop_host density
		;;
	*) give_up "no part $part" ;;
	esac
done
