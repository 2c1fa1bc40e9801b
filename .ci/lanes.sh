# Jobs of ./test that go side by side (bash). Source it after .ci/lib.sh, with $build, `record` and `stop` there.

memory=$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo) # KiB
lane_memory=6500000                                           # KiB: of an emulated machine and what is beside it
jobs=()

# job FUNCTION WORDS...: notes it for run_jobs. It runs in a shell of its own; what it finds it records.
job() {
	jobs+=("$*")
}

# How many jobs go side by side: an emulated machine has work for two thirds of a processor.
lane_count() {
	local count=$(($(nproc) + 1)) room=$((memory / lane_memory))
	[ "$(nproc)" -gt 1 ] || count=1
	[ "$count" -le "$room" ] || count=$room
	[ "$count" -ge 1 ] || count=1
	echo "$count"
}

# Takes jobs, in their order, until none is left: the lane that makes a job's folder has it.
lane() {
	local at
	for at in "${!jobs[@]}"; do
		mkdir "$build/jobs/$at" 2>/dev/null || continue
		# shellcheck disable=SC2086 # a job is words
		step_name=-$at in_own_shell ${jobs[at]} &
		lanes=$!
		wait "$lanes"
		echo $? >"$build/jobs/$at/status"
	done
	lanes=
}

# in_own_shell COMMAND... &: it stops what it has started, not what goes on beside it.
in_own_shell() {
	lanes=
	trap stop EXIT
	trap 'exit 143' TERM
	"$@"
}

# All jobs that were noted, and then none is. Fails when one of them ended with another status than 0.
run_jobs() {
	local left at status failed=0
	rm -rf "$build/jobs"
	mkdir -p "$build/jobs"
	for ((left = $(lane_count); left > 0; left--)); do
		in_own_shell lane &
		lanes="$lanes $!"
	done
	# shellcheck disable=SC2086 # the list is words
	wait $lanes
	lanes=
	for at in "${!jobs[@]}"; do
		status=$(cat "$build/jobs/$at/status" 2>/dev/null) || status=unknown
		[ "$status" = 0 ] && continue
		record "FAIL a part of the tests (${jobs[at]}) ended with status $status: see above"
		failed=1
	done
	jobs=()
	return "$failed"
}
