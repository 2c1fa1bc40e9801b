#!/bin/sh
# Builds the example functions into the folder $1, one folder each, ready for `stoker deploy`.
# $2... name some of them; all when none is named. Unchanged ones are left alone.
set -eu
here=$(dirname "$(readlink -f "$0")")
out=$1
shift
[ $# -gt 0 ] || set -- hello wordcount thumbnail primes
mkdir -p "$out"

for name in "$@"; do
	src=$here/$name
	stamp=$out/.$name.built
	if [ -d "$out/$name" ] && [ -f "$stamp" ] && [ -z "$(find "$src" -newer "$stamp" -print -quit)" ]; then
		continue
	fi
	tmp=$out/.$name.tmp
	rm -rf "$tmp"
	mkdir "$tmp"
	if [ -x "$src/build.sh" ]; then
		"$src/build.sh" "$tmp"
	elif [ -f "$src/bootstrap.c" ]; then
		${GUEST_CC:-${CC:-cc}} -O2 -static -s -o "$tmp/bootstrap" "$src/bootstrap.c"
		[ ! -f "$src/function.json" ] || cp "$src/function.json" "$tmp/"
	else
		cp -r "$src/." "$tmp/"
	fi
	rm -rf "${out:?}/$name"
	mv "$tmp" "$out/$name"
	touch "$stamp"
done
