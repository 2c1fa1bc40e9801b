# Folders of tests in Python, as ./test runs them (bash): with what they find written down as it happens. Source it after
# .ci/lib.sh and .ci/lanes.sh, with $build, $images, $results and `record` there.

box_memory=$((memory / 2048 < 6144 ? memory / 2048 : 6144)) # of an emulated machine, MiB

# Whether tests of this folder failed because microVMs hung in the emulated machine: kvmbox/README.md, "Emulator".
guests_hung() {
	[ "$box" = 1 ] && grep -qs '^HUNG' "$1/results.txt"
}

# The lines of results but the failures by hanging: these are followed by a line of their own.
without_hung() {
	awk '/^HUNG / { held = "" } held != "" { print held; held = "" } /^FAIL / { held = $0 } /^(PASS|SKIP) /
		END { if (held != "") print held }' "$1"
}

# Says so, keeps the results, and puts the folder aside.
run_again() {
	say "microVMs hung in the emulated machine: these tests and what is left are run in a new one (the first: $1-hung)"
	without_hung "$1/results.txt" >>"$results"
	rm -rf "$1-hung"
	mv "$1" "$1-hung"
	mkdir -p "$1"
}

# Files of the integration tests: all of them, or with $part "first" or "second" about half.
integration_files() {
	local file half
	[ -n "$part" ] || { echo "$top/tests/integration"; return; }
	for file in "$top"/tests/integration/test_*.py; do
		half=first
		[[ ${file##*/} < test_res ]] || half=second
		[ "$half" != "$part" ] || echo "$file"
	done
}

# integration_tests BUILD-DIR PREFIX SPEED PYTEST-ARGUMENTS...
# All of them, or $part, in one start of the emulated machine. SPEED says how much slower the programs are than normal.
integration_tests() {
	local limit=3600
	[ "$mode" = all ] || limit=10800
	local dir=$1 prefix=$2 speed=$3 out=$build/integration${2:+-${2%/}}${part:+-$part} status what
	shift 3
	rm -rf "$out" "$out.box"
	mkdir -p "$out"
	local environment=(
		STOKER_SRC="$top" STOKER_BUILD="$dir" STOKER_IMAGES="$images" STOKER_OUT="$out"
		STOKER_FUNCTIONS="$top/build/functions" STOKER_EXAMPLES="$top/build/examples"
		STOKER_RESULTS="$out/results.txt" STOKER_PREFIX="$prefix" STOKER_SLOW="$speed"
		STOKER_PREVIOUS="$([ ! -x "$previous/stokerd" ] || echo "$previous")"
		PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$top/tests/lib"
		ASAN_OPTIONS=abort_on_error=1:handle_segv=1
		UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1:suppressions=$top/tests/tsan.supp"
	)
	local python=(/usr/bin/python3 -m pytest -q --maxfail=40 -p no:cacheprovider -p stoker_results
		-c "$top/tests/integration/pytest.ini" --rootdir "$top/tests/integration")
	mapfile -t what < <(integration_files)
	what+=("$@")
	[ -z "$match" ] || what+=(-k "$match")

	[ "$box" = 0 ] || environment+=(STOKER_HANGS=2)
	integration_run
	if grep -q '^END' "$out/results.txt" 2>/dev/null && guests_hung "$out"; then
		run_again "$out"
		environment+=(STOKER_HANGS=0 STOKER_DONE="$out-hung/results.txt")
		integration_run
	fi
	[ ! -f "$out/results.txt" ] || grep -E '^(PASS|FAIL|SKIP) ' "$out/results.txt" >>"$results"
	if ! grep -q '^END' "$out/results.txt" 2>/dev/null; then
		record "FAIL ${prefix}integration tests: ended early (status $status), see $out/log"
		tail -n 30 "$out/log" >&2
	elif grep -q '^FAIL' "$out/results.txt"; then
		say "the failures in full are in $out/log"
		grep -vE '^\.+$' "$out/log" | tail -n 120 >&2
	fi
}

# The run itself, with the variables of integration_tests.
integration_run() {
	if [ "$box" = 0 ]; then
		say "integration tests${prefix:+ ($prefix)}, with this machine's KVM"
		env "${environment[@]}" STOKER_STATE="$out/state" "${python[@]}" "${what[@]}" >"$out/log" 2>&1 </dev/null &
	else
		say "integration tests${prefix:+ ($prefix)}, inside kvmbox"
		# An emulated machine that hangs is a failure, not a wait without end.
		setpriv --pdeathsig TERM timeout --kill-after=30 "$limit" "$top/kvmbox/kvmbox" --mem "$box_memory" \
			--share "$out" --state "$out.box" --disk "$images.disk:/var/lib/stoker-images" -- \
			env "${environment[@]}" STOKER_STATE=/var/lib/stoker-box \
			STOKER_IMAGES=/var/lib/stoker-images STOKER_IN_BOX=1 "${python[@]}" "${what[@]}" \
			>"$out/log" 2>&1 </dev/null &
	fi
	vm_pid=$!
	follow "$vm_pid" "$out/results.txt"
	wait "$vm_pid"
	status=$?
	vm_pid=
	rm -rf "$out.box"
}

# tests_here FOLDER LABEL VARIABLES...: a folder of tests that run on this machine, and start what they need themselves.
tests_here() {
	local folder=$top/tests/$1 label=$2 out=$build/$1 again hangs="STOKER_HANGS=$((2 * box))"
	shift 2
	rm -rf "$out"
	mkdir -p "$out"
	for again in 0 1; do
		env STOKER_SRC="$top" STOKER_OUT="$out" STOKER_RESULTS="$out/results.txt" PYTHONDONTWRITEBYTECODE=1 \
			PYTHONPATH="$top/tests/lib" "$hangs" "$@" timeout --kill-after=30 3600 /usr/bin/python3 -m pytest -q \
			-p no:cacheprovider -p stoker_results --rootdir "$folder" "$folder" >"$out/log" 2>&1 </dev/null &
		vm_pid=$!
		say "$label"
		follow "$vm_pid" "$out/results.txt"
		wait "$vm_pid"
		vm_pid=
		[ $again = 0 ] && guests_hung "$out" || break
		run_again "$out"
		hangs="STOKER_DONE=$out-hung/results.txt"
	done
	grep -E '^(PASS|FAIL|SKIP) ' "$out/results.txt" >>"$results"
	grep -q '^END' "$out/results.txt" || record "FAIL $label: ended early, see $out/log"
	! grep -q '^FAIL' "$out/results.txt" || tail -n 60 "$out/log" >&2
}

# The commands a newcomer types.
entry_tests() {
	tests_here entry "tests of ./run"
}

# Those of them that start no virtual machine.
entry_tests_without_vm() {
	tests_here entry "tests of ./test and of what is installed" \
		PYTEST_ADDOPTS="--ignore=$top/tests/entry/test_run.py --ignore=$top/tests/entry/test_kvmbox.py"
}

# The AWS command line and SDKs, pointed at a host.
client_tests() {
	tests_here clients "clients of the Lambda API" STOKER_BUILD="$build" STOKER_IMAGES="$images" STOKER_BOX="$box" \
		STOKER_FUNCTIONS="$top/build/functions"
}

# Shows results as they come, until the process ends.
follow() {
	local pid=$1 file=$2 seen=0 lines last=$SECONDS
	while :; do
		local alive=1
		kill -0 "$pid" 2>/dev/null || alive=0
		lines=$(wc -l 2>/dev/null <"$file" || echo 0)
		if [ "$lines" -gt "$seen" ]; then
			sed -n "$((seen + 1)),${lines}p" "$file" | grep -E '^(PASS|FAIL|SKIP) ' >&2
			seen=$lines
			last=$SECONDS
		elif [ $((SECONDS - last)) -ge 20 ]; then
			say "... $(grep -cE '^(PASS|FAIL|SKIP) ' "$file") results so far"
			last=$SECONDS
		fi
		[ "$alive" = 1 ] || return 0
		sleep 0.5
	done
}
