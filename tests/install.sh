#!/bin/sh
# What `make install` puts where, and that the installed programs find each other there; `make uninstall` takes all of it away.
set -eu
build=${STOKER_BUILD:?}
# not the options of the make that runs this test
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL
tmp=$(realpath "$(mktemp -d)")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM HUP

fail() {
	echo "$*"
	exit 1
}

# stops AT COMMAND...: it fails, and its words tell of the file AT.
stops() {
	at=$1
	shift
	status=0
	"$@" >"$tmp/said" 2>&1 </dev/null || status=$?
	[ "$status" = 1 ] && grep -qF -- "$at" "$tmp/said" ||
		fail "status $status, and not a word of $at from: $*: $(cat "$tmp/said")"
}

dirs=$(make -s -C "$build" --no-print-directory --eval 'where: ; @echo $(bindir) $(pkglibexecdir) $(mandir)' where)
read -r bin parts man <<END
$dirs
END
make -s -C "$build" --no-print-directory install DESTDIR="$tmp/made"
# A package is used elsewhere than it is made.
mv "$tmp/made" "$tmp/root"
bin=$tmp/root$bin parts=$tmp/root$parts man=$tmp/root$man

for program in "$bin/stoker" "$bin/stokerd" "$bin/stoker-snapshot" "$bin/stoker-bench" "$parts/stoker-vmm"; do
	"$program" --version >"$tmp/said" 2>&1 || fail "$program: $(cat "$tmp/said")"
done
cmp "$build/stoker-initrd.cpio" "$parts/stoker-initrd.cpio"
for page in man8/stokerd.8 man1/stoker.1 man1/stoker-bench.1 man1/stoker-snapshot.1; do
	[ -s "$man/$page" ] || fail "no $page"
done

# Without images: it has found everything else then, and nothing is started.
mkdir "$tmp/images" "$tmp/path"
ln -s "$bin/stokerd" "$bin/stoker-snapshot" "$tmp/path"
for stokerd in "$bin/stokerd" "$parts/stokerd" "$tmp/path/stokerd"; do
	stops "$tmp/images/vmlinux is needed" "$stokerd" --state "$tmp/state" --images "$tmp/images"
done
stops "$tmp/images/vmlinux is needed" "$bin/stokerd" --state "$tmp/state" --images "$tmp/images" --bin "$parts"
stops "images/prepare" "$bin/stokerd" --state "$tmp/state" --images "$tmp/none"
create="create --out $tmp/snap --kernel $tmp/no-kernel --initrd $parts/stoker-initrd.cpio --rootfs $tmp --code $tmp --scratch $tmp"
for tool in "$bin/stoker-snapshot" "$tmp/path/stoker-snapshot"; do
	# shellcheck disable=SC2086 # a list of words
	stops "$tmp/no-kernel" "$tool" $create
done

# What is missing is named.
for part in stoker-initrd.cpio stoker-snapshot stoker-vmm; do
	mv "$parts/$part" "$tmp/kept"
	stops "$parts/$part is needed" "$bin/stokerd" --state "$tmp/state" --images "$tmp/images"
	stops "--bin" "$bin/stokerd" --state "$tmp/state" --images "$tmp/images"
	# shellcheck disable=SC2086
	[ "$part" != stoker-vmm ] || stops "no stoker-vmm in $parts" "$bin/stoker-snapshot" $create
	mv "$tmp/kept" "$parts/$part"
done

make -s -C "$build" --no-print-directory uninstall DESTDIR="$tmp/root"
left=$(find "$tmp/root" ! -type d)
[ -z "$left" ] || fail "make uninstall leaves $left"
