#!/bin/bash
# Builds the guest kernel from Debian's linux-source package; prints the path of vmlinux.
set -eu
. "$(dirname "$(readlink -f "$0")")/lib.sh"

tarball=$(ls /usr/src/linux-source-*.tar.xz 2>/dev/null | sort -V | tail -n 1)
if [ -z "$tarball" ]; then
	say "the kernel's sources are missing: install the package linux-source"
	exit 1
fi
package=$(dpkg -S "$tarball" | cut -d: -f1)
key=$(hash_of "$package=$(dpkg-query -W -f '${Version}' "$package")" "$(gcc -dumpfullversion)" \
	"@$images_dir/kernel.config" "@$images_dir/build-kernel.sh")
out=$cache/vmlinux-$key
lock vmlinux
if [ -f "$out" ]; then
	echo "$out"
	exit 0
fi

tmp=$(mktemp -d "$cache/.tmp-vmlinux.XXXXXX")
log=$cache/build-kernel.log

build() {
	tar -C "$tmp" --strip-components=1 -xf "$tarball"
	cd "$tmp"
	make tinyconfig
	scripts/kconfig/merge_config.sh -m .config "$images_dir/kernel.config"
	make olddefconfig
	# What was asked for must be there: an option whose dependencies are missing vanishes silently.
	missing=0
	while read -r line; do
		case $line in
		'' | '#'*) ;;
		*=n) ! grep -q "^${line%=n}=" .config || { echo "kernel.config: ${line%=n} cannot be switched off"; missing=1; } ;;
		*) grep -qxF "$line" .config || { echo "kernel.config: $line did not take effect"; missing=1; } ;;
		esac
	done <"$images_dir/kernel.config"
	[ "$missing" = 0 ] || return 1
	make -j"$(nproc)" KBUILD_BUILD_TIMESTAMP=@0 KBUILD_BUILD_USER=stoker KBUILD_BUILD_HOST=stoker vmlinux
	strip -o "$tmp/vmlinux.stripped" vmlinux
	mv "$tmp/vmlinux.stripped" "$out"
}
run_logged "guest kernel (about 3 minutes on 2 cores)" "$log" build
echo "$out"
