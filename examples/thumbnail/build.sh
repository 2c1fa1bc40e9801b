#!/bin/sh
# thumbnail/build.sh OUTDIR: the function with Pillow from this machine's package python3-pil and
# the shared libraries it needs; the runtime image has neither. /var/task/lib is on the guest's
# LD_LIBRARY_PATH.
set -eu
here=$(dirname "$(readlink -f "$0")")
out=${1:?usage: thumbnail/build.sh OUTDIR}
mkdir -p "$out/lib"
cp "$here/app.py" "$here/function.json" "$out/"

dpkg -L python3-pil >/dev/null 2>&1 || { echo "thumbnail: install the package python3-pil" >&2; exit 1; }
# Only what reads and writes the formats used here: not the tk, show and font parts.
dpkg -L python3-pil | grep '^/usr/lib/python3/dist-packages/PIL/.' | while read -r file; do
	case $file in
	*ImageTk* | *ImageShow* | *ImageQt* | *_tkinter_finder* | *__pycache__*) continue ;;
	esac
	[ -f "$file" ] || continue
	rel=${file#/usr/lib/python3/dist-packages/}
	mkdir -p "$out/$(dirname "$rel")"
	cp "$file" "$out/$rel"
done
# The extension modules' libraries, but not those of every runtime image (libc, libm, loader).
ldd "$out"/PIL/_imaging.*.so "$out"/PIL/_webp.*.so | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
	while read -r lib; do
		case $(basename "$lib") in
		libc.so.* | libm.so.* | libpthread.so.* | libdl.so.* | librt.so.*) continue ;;
		esac
		cp -L "$lib" "$out/lib/$(basename "$lib")"
	done
