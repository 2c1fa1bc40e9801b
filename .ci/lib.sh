# Shared by ./run and ./test (bash): messages, Debian packages, build. Source it with $top set to
# the tree's root. Everything said goes to stderr, so that a command's own output stays clean.

# Guest kernel, runtime images and whatever else is kept outside the tree.
export STOKER_CACHE=${STOKER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stoker}

say() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
	say "$*"
	exit 1
}

# step LABEL COMMAND...: runs it with its output in a log file. Says what goes on when that takes
# longer than 2 s, then gives a sign of life; prints the log's end when the command fails. With
# $step_name set the log has a name of its own: steps may then run side by side.
step() {
	local label=$1 pid start now shown=0 status=0 interval=15
	shift
	mkdir -p "$build"
	local log=$build/step${step_name:-}.log
	[ -t 2 ] && interval=1
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	step_pid=$pid
	start=$SECONDS
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.1
		now=$((SECONDS - start))
		if [ "$now" -ge 2 ] && { [ "$shown" = 0 ] || [ $((now - shown)) -ge "$interval" ]; }; then
			shown=$now
			if [ -t 2 ]; then
				printf '\r\033[K%s: %s ... %d s  %s' "${0##*/}" "$label" "$now" \
					"$(tail -n 1 "$log" | tr -cd '[:print:]' | cut -c1-50)" >&2
			else
				say "$label ... $now s"
			fi
		fi
	done
	wait "$pid" || status=$?
	step_pid=
	[ "$shown" = 0 ] || ! [ -t 2 ] || printf '\r\033[K' >&2
	[ "$shown" = 0 ] || say "$label: done in $((SECONDS - start)) s"
	if [ "$status" != 0 ]; then
		say "$label failed:"
		tail -n 40 "$log" >&2
	fi
	return "$status"
}

# Names in packages.txt; with "test", those for tests as well. One choice "a|b" is one word.
package_choices() {
	sed -E "${1:+s/^#$1 //;}/^#/d;s/[[:space:]]//g;/^$/d" "$top/packages.txt"
}

missing_packages() {
	local choice name found installed
	installed=" $(dpkg-query -W -f '${Package} ${db:Status-Status}\n' 2>/dev/null |
		sed -n 's/ installed$//p' | tr '\n' ' ')"
	for choice in $(package_choices "$@"); do
		found=
		for name in ${choice//|/ }; do
			case $installed in *" $name "*) found=1 ;; esac
		done
		[ -n "$found" ] || echo "${choice%%|*}"
	done
}

install_packages() {
	local missing sudo=
	command -v dpkg-query >/dev/null ||
		die "this needs Debian 12 or later (no dpkg-query here); the packages needed are in packages.txt"
	missing=$(missing_packages "$@" | tr '\n' ' ')
	[ -n "$missing" ] || return 0
	say "installing Debian packages: $missing"
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || die "not root and no sudo: install these packages, then start again"
		sudo=sudo
		sudo -v || die "sudo does not let us install packages"
	fi
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # the list is words
	step "reading the package lists" $sudo apt-get update -q || true
	# shellcheck disable=SC2086
	step "installing packages" $sudo env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -q --no-install-recommends $missing ||
		die "the packages could not be installed"
	missing=$(missing_packages "$@" | tr '\n' ' ')
	[ -z "$missing" ] || die "still missing after installation: $missing"
}

# Run by `step`: everything in one go, so that a failure's log is whole.
configure_and_make() {
	local dir=$1
	shift
	export CCACHE_BASEDIR=$top # so that a compiler's cache knows the same files in another folder
	cd "$top" || return
	[ ! -e config.status ] ||
		{ echo "the source folder itself is configured; run \`make distclean\` there first"; return 1; }
	if [ ! -x configure ] || [ ! -e Makefile.in ]; then
		autoreconf -i || return
	fi
	mkdir -p "$dir" && cd "$dir" || return
	if [ ! -e Makefile ] || [ "$(cat .configured-with 2>/dev/null)" != "$*" ]; then
		"$top/configure" --quiet "$@" && echo "$*" >.configured-with || return
	fi
	make --no-print-directory -j"$(nproc)"
}

# build_tree DIR CONFIGURE-OPTIONS...
build_tree() {
	local dir=$1
	shift
	# One at a time: a second start waits instead of building into the same files.
	mkdir -p "$dir"
	(
		flock -n 8 || { say "waiting for another build in $dir"; flock 8; }
		step "building ${dir#"$top"/}" configure_and_make "$dir" "$@"
	) 8>"$dir/.lock" || exit 1
}

# Guest kernel, runtime images; shared by all builds of this tree.
prepare_images() {
	mkdir -p "$images"
	"$top/images/prepare" "$images" || die "the guest images could not be prepared"
}

# The images as a disk of the emulated machine: read from there, they are in memory once.
pack_images() {
	local key
	key=$(readlink "$images"/*)
	if [ ! -f "$images.disk" ] || [ "$(cat "$images.disk.key" 2>/dev/null)" != "$key" ]; then
		step "packing the guest images" make_images_disk || exit 1
		echo "$key" >"$images.disk.key"
	fi
}

make_images_disk() {
	local dir size
	dir=$(mktemp -d "$images.new.XXXXXX") || return
	trap 'rm -rf "$dir"' EXIT
	cp -L --sparse=always "$images"/* "$dir/" && size=$(du -sm "$dir" | cut -f1) &&
		PATH=$PATH:/usr/sbin:/sbin mke2fs -q -F -t ext4 -b 4096 -O ^has_journal -m 0 -d "$dir" "$images.disk.new" "$((size + size / 8 + 16))M" &&
		mv "$images.disk.new" "$images.disk"
}

# Says in $kvm_answer what the preflight found; status 0 when KVM works here.
kvm_works() {
	kvm_answer=$(timeout 20 "$1/stoker-vmm" --preflight 2>&1)
}
