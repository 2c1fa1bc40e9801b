# Shared by the build scripts in this folder. Source it after `set -eu`.
# Progress goes to stderr, the result's path to stdout.

images_dir=$(dirname "$(readlink -f "$0")")
cache=${STOKER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stoker}
mkdir -p "$cache"

say() {
	echo "images: $*" >&2
}

# hash_of TEXT...: 16 hex digits over the arguments and the contents of files named by @FILE.
hash_of() {
	for arg in "$@"; do
		case $arg in
		@*) find "${arg#@}" -type f -print | LC_ALL=C sort | while read -r f; do
			sha256sum <"$f"
			stat -c '%a' "$f"
		done ;;
		*) echo "$arg" ;;
		esac
	done | sha256sum | cut -c1-16
}

# The package files, one a line with version, that would be installed on an empty machine for the given packages. Apt takes a
# second to find out: what it said is kept as long as the files that it reads are the same.
closure() {
	kept=$cache/closure-$({
		echo "$@"
		find /etc/apt /var/lib/apt/lists -type f -printf '%p %s %T@\n' 2>/dev/null | LC_ALL=C sort
	} | sha256sum | cut -c1-16)
	if [ ! -s "$kept" ]; then
		find "$cache" -maxdepth 1 -name 'closure-*' -mtime +7 -delete 2>/dev/null || true
		apt-get -qq -o Debug::NoLocking=1 -o Dir::State::status=/dev/null --no-install-recommends --print-uris \
			install "$@" | awk '{ print $2 }' | LC_ALL=C sort >"$kept.$$"
		mv "$kept.$$" "$kept"
	fi
	cat "$kept"
}

# run_logged LABEL LOG COMMAND...: output to LOG, a sign of life every few seconds, tail on failure.
# The command has a process group of its own, which ends with us.
run_logged() {
	label=$1
	log=$2
	shift 2
	say "$label ..."
	start=$(date +%s)
	set -m
	"$@" >"$log" 2>&1 </dev/null &
	job=$!
	set +m
	last=0
	while kill -0 "$job" 2>/dev/null; do
		sleep 0.2
		now=$(($(date +%s) - start))
		if [ $((now - last)) -ge 5 ]; then
			last=$now
			say "$label: ${now} s, $(tail -n 1 "$log" | tr -d '\r' | cut -c1-60)"
		fi
	done
	if ! wait "$job"; then
		job=
		say "$label failed; the end of $log:"
		tail -n 20 "$log" >&2
		exit 1
	fi
	job=
}

# at_exit: what is left of a build goes, also when it is interrupted. The caller sets tmp.
job=
tmp=
at_exit() {
	if [ -n "$job" ]; then
		kill -- "-$job" 2>/dev/null || true
		for _ in $(seq 50); do
			kill -0 -- "-$job" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL -- "-$job" 2>/dev/null || true
	fi
	[ -z "$tmp" ] || rm -rf "$tmp"
}
trap at_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Takes the lock of one artefact, so that two builders wait for each other instead of doing it twice, and removes what a
# killed build of it left.
lock() {
	exec 9>"$cache/.lock-$1"
	flock -n 9 || { say "waiting for another build of $1"; flock 9; }
	rm -rf "$cache/.tmp-$1".*
}
