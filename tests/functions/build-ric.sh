#!/bin/sh
# tests/functions/build-ric.sh OUTDIR: makes OUTDIR/{cpp,nodejs-ric}, functions with the runtime clients that Amazon
# publishes (C++ and Node.js), from their source in the npm package aws-lambda-ric. Where that cannot be had, or a tool to
# build it is missing, OUTDIR/NAME.skipped says why, and the status is 0. What was built is kept in the images' cache.
set -eu
here=$(dirname "$(readlink -f "$0")")
out=${1:?usage: build-ric.sh OUTDIR}
version=3.3.0
addon=6.1.0
cache=${STOKER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/stoker}
key=$({ cat "$0"; cat /etc/debian_version; } | sha256sum | cut -c1-16)
built=$cache/ric-$version-$key
mkdir -p "$cache" "$out"
rm -f "$out/cpp.skipped" "$out/nodejs-ric.skipped"

skip() {
	for name in "$@"; do
		echo "$why" >"$out/$name.skipped"
		rm -rf "${out:?}/$name"
	done
	echo "$why" >&2
}

build() {
	tmp=$(mktemp -d "$cache/.tmp-ric.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	cd "$tmp"
	npm pack --silent "aws-lambda-ric@$version" "node-addon-api@$addon" || return 1
	tar xzf "aws-lambda-ric-$version.tgz"
	mkdir addon
	tar xzf "node-addon-api-$addon.tgz" -C addon
	(cd package && sh scripts/preinstall.sh) || return 1
	if [ -f /usr/include/node/node_api.h ]; then
		# shellcheck disable=SC2046 # words on purpose
		(cd package && g++ -shared -fPIC -O1 -fvisibility=hidden -s -w -I../addon/package -I/usr/include/node \
			-Ideps/artifacts/include src/rapid-client.cc -Ldeps/artifacts/lib -laws-lambda-runtime \
			$(deps/artifacts/bin/curl-config --static-libs) -o dist/rapid-client.node) || return 1
	fi
	mkdir ready ready/aws-lambda-ric
	mv package/deps/artifacts ready/artifacts
	mv package/bin package/dist package/package.json package/LICENSE package/NOTICE ready/aws-lambda-ric/
	mv ready "$built"
	cd "$here"
}

if [ ! -d "$built" ]; then
	for tool in npm cmake g++ autoconf libtoolize; do
		command -v "$tool" >/dev/null || { why="no $tool here to build aws-lambda-ric with"; skip cpp nodejs-ric; exit 0; }
	done
	if ! timeout 60 npm view --silent "aws-lambda-ric@$version" version >/dev/null 2>&1; then
		why="the npm registry cannot be reached for aws-lambda-ric"
		skip cpp nodejs-ric
		exit 0
	fi
	build || { echo "aws-lambda-ric $version could not be built" >&2; exit 1; }
fi

mkdir -p "$out/cpp"
# shellcheck disable=SC2046
g++ -std=c++17 -O2 -Wall -Wextra -s -I"$built/artifacts/include" -o "$out/cpp/bootstrap" "$here/matrix-ric/cpp/main.cpp" \
	-L"$built/artifacts/lib" -laws-lambda-runtime $("$built/artifacts/bin/curl-config" --static-libs | sed "s|[^ ]*/libcurl.a|$built/artifacts/lib/libcurl.a|")
if [ -f "$built/aws-lambda-ric/dist/rapid-client.node" ]; then
	rm -rf "$out/nodejs-ric"
	mkdir -p "$out/nodejs-ric/node_modules"
	cp "$here/matrix-ric/nodejs-ric/bootstrap" "$here/matrix/nodejs/index.js" "$out/nodejs-ric/"
	cp -r "$built/aws-lambda-ric" "$out/nodejs-ric/node_modules/"
else
	why="no headers of Node.js here to build aws-lambda-ric with"
	skip nodejs-ric
fi
