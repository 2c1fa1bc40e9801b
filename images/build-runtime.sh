#!/bin/bash
# Builds one runtime image (provided, python3, nodejs) from Debian packages; prints its path. The version of its
# language, where it has one, is in a file beside it, PATH.version: "3.11", "18".
set -eu
. "$(dirname "$(readlink -f "$0")")/lib.sh"

name=${1:-}
base="base-files base-passwd bash coreutils sed grep libc-bin netbase ca-certificates tzdata"
tools="mawk findutils tar gzip hostname curl"
# What dynamic programs that were built for Lambda's own image find there, by soname; curl brings those of OpenSSL, zlib,
# zstd and itself.
libraries="libstdc++6 libgomp1 libatomic1 zlib1g libbz2-1.0 liblzma5 libffi8 libuuid1 libsqlite3-0 libncursesw6 libreadline8 libyaml-0-2 libexpat1"
case $name in
provided) packages="$base $tools $libraries" ;;
python3) packages="$base $tools libstdc++6 zlib1g python3 python3-distutils" ;;
nodejs) packages="$base nodejs" ;;
*)
	say "usage: build-runtime.sh provided|python3|nodejs"
	exit 2
	;;
esac
. /etc/os-release
suite=${VERSION_CODENAME:-bookworm}
# shellcheck disable=SC2086 # a list of words
versions=$(closure $packages)
client=
[ ! -d "$images_dir/$name" ] || client="@$images_dir/$name"
key=$(hash_of "$suite" "$versions" "@$images_dir/build-runtime.sh" ${client:+"$client"})
out=$cache/$name-$key.img
lock "$name"
if [ -f "$out" ] && { [ "$name" = provided ] || [ -f "$out.version" ]; }; then
	echo "$out"
	exit 0
fi

tmp=$(mktemp -d "$cache/.tmp-$name.XXXXXX")
chmod 755 "$tmp"
log=$cache/build-$name.log

# Everything that needs the guest's root file system to look owned by root happens in hooks inside
# mmdebstrap, so that an ordinary user can build images too.
cat >"$tmp/strip" <<'HOOK'
set -eu
root=$1
client=$2
rm -rf "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/info "$root"/usr/share/lintian \
	"$root"/usr/share/bug "$root"/usr/share/bash-completion "$root"/usr/share/common-licenses \
	"$root"/var/log/* \
	"$root"/etc/init.d "$root"/etc/cron* "$root"/etc/systemd "$root"/usr/lib/systemd "$root"/lib/systemd \
	"$root"/usr/share/zoneinfo/right "$root"/usr/share/zoneinfo/posix "$root"/boot "$root"/home "$root"/media \
	"$root"/srv "$root"/mnt
rm -rf "$root"/usr/lib/x86_64-linux-gnu/perl-base "$root"/usr/bin/perl* "$root"/usr/share/perl5 \
	"$root"/usr/share/menu "$root"/usr/share/pixmaps "$root"/usr/share/polkit-1 "$root"/usr/share/zsh "$root"/lib32 "$root"/libx32
find "$root"/usr/share/locale -mindepth 1 -maxdepth 1 -exec rm -rf {} + 2>/dev/null || true
mkdir -p "$root"/var/task "$root"/var/runtime "$root"/opt "$root"/tmp "$root"/proc "$root"/sys "$root"/dev \
	"$root"/run "$root"/usr/bin
chmod 1777 "$root"/tmp
# uid and gid 0 and the function's own user, nothing else.
cat >"$root"/etc/passwd <<'EOP'
root:x:0:0:root:/root:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
sbx_user1051:x:993:990::/tmp:/usr/sbin/nologin
EOP
cat >"$root"/etc/group <<'EOP'
root:x:0:
nogroup:x:65534:
sbx_user1051:x:990:
EOP
rm -f "$root"/etc/shadow* "$root"/etc/gshadow* "$root"/etc/passwd- "$root"/etc/group-
echo '127.0.0.1 localhost' >"$root"/etc/hosts
: >"$root"/etc/resolv.conf
echo stoker >"$root"/etc/hostname
ln -sf /usr/share/zoneinfo/UTC "$root"/etc/localtime
# Packages are only unpacked, their scripts do not run: what we need of their work is done here.
[ -e "$root"/usr/bin/awk ] || ln -s mawk "$root"/usr/bin/awk
# In Lambda's images sh is bash: scripts written for them begin with `set -o pipefail`.
ln -sf bash "$root"/bin/sh
chroot "$root" /sbin/ldconfig
if [ ! -e "$root"/etc/ssl/certs/ca-certificates.crt ]; then
	mkdir -p "$root"/etc/ssl/certs
	cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root"/etc/ssl/certs/ca-certificates.crt
fi
# Where programs built on Red Hat's kind of system look for them.
mkdir -p "$root"/etc/pki/tls/certs
ln -s ../../ssl/certs/ca-certificates.crt "$root"/etc/pki/tls/cert.pem
ln -s ../../../ssl/certs/ca-certificates.crt "$root"/etc/pki/tls/certs/ca-bundle.crt
cat >"$root"/etc/nsswitch.conf <<'EOP'
passwd: files
group: files
hosts: files dns
networks: files
protocols: files
services: files
EOP
if [ -n "$client" ]; then
	cp -r "$client"/. "$root"/var/runtime/
	chown -R 0:0 "$root"/var/runtime
fi
# Byte-compiled once here, so that no guest does it again.
if [ -x "$root"/usr/bin/python3 ]; then
	rm -rf "$root"/usr/lib/python3*/test "$root"/usr/lib/python3*/idlelib "$root"/usr/lib/python3*/lib2to3/tests \
		"$root"/usr/lib/python3*/turtledemo
	for dir in "$root"/usr/lib/python3* "$root"/var/runtime; do
		chroot "$root" /usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash "${dir#"$root"}"
	done
	chroot "$root" /usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' >"$root"/var/runtime/version
fi
if [ -x "$root"/usr/bin/node ]; then
	rm -rf "$root"/usr/share/nodejs/@types "$root"/usr/share/nodejs/undici-types "$root"/usr/lib/x86_64-linux-gnu/gconv
	# for import, which knows no NODE_PATH: /var/task has /node_modules above it
	ln -s var/runtime/node_modules "$root"/node_modules
	chroot "$root" /usr/bin/node -p 'process.versions.node.split(".")[0]' >"$root"/var/runtime/version
fi
HOOK

# The client's part in C, where it has one: made here, as no image has a compiler. Not linked to anything: what it
# calls is in the process that loads it.
compile() {
	[ -d "$images_dir/$name" ] || return 0
	cp -r "$images_dir/$name" "$tmp/client"
	find "$tmp/client" -name __pycache__ -prune -exec rm -rf {} +
	for source in "$tmp"/client/*.c; do
		[ -f "$source" ] || continue
		${CC:-cc} -std=gnu17 -O2 -Wall -Wextra -Werror -shared -fPIC -fvisibility=hidden -s -o "${source%.c}.node" "$source"
		rm "$source"
	done
	chmod -R a+rX "$tmp/client"
}

build() {
	compile
	mode=unshare
	[ "$(id -u)" != 0 ] || mode=root
	# shellcheck disable=SC2086
	mmdebstrap --mode="$mode" --variant=extract --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
		--include="$(echo $packages | tr ' ' ,)" \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--extract-hook="sh $tmp/strip \"\$1\" '${client:+$tmp/client}'" \
		"$suite" "$tmp/root.tar"
	pack
}
# erofs, not compressed: unpacking costs the guest more than reading (Python's first start takes a third of the time
# that it takes from squashfs with zstd), and all guests share the file in the host's page cache.
pack() {
	mkdir "$tmp/root"
	tar -C "$tmp/root" --no-same-owner --exclude='./dev/*' --exclude='./etc/apt' --exclude='./etc/dpkg' \
		--exclude='./var/lib/apt' --exclude='./var/lib/dpkg' --exclude='./var/cache/*' -xpf "$tmp/root.tar"
	[ ! -f "$tmp/root/var/runtime/version" ] || cp "$tmp/root/var/runtime/version" "$out.version"
	mkfs.erofs -x-1 -T0 -U 00000000-0000-0000-0000-000000000000 --all-root "$tmp/out.img" "$tmp/root"
	mv "$tmp/out.img" "$out"
}
run_logged "runtime image $name" "$log" build
say "runtime image $name: $(($(stat -c %s "$out") / 1048576)) MiB"
echo "$out"
