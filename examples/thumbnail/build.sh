#!/bin/sh
# Puts the function and its one dependency, Pillow as Debian builds it, into the folder $1:
# the module beside app.py, the shared libraries it needs (and the runtime image lacks) in lib/.
set -eu
here=$(dirname "$(readlink -f "$0")")
out=$1
pil=/usr/lib/python3/dist-packages/PIL
if [ ! -d "$pil" ]; then
	echo "thumbnail: Pillow is missing: install Debian's python3-pil" >&2
	exit 1
fi
mkdir -p "$out/lib"
cp "$here/app.py" "$here/function.json" "$out/"
cp -r "$pil" "$out/"
rm -rf "$out/PIL/__pycache__"
# Optional plug-ins for desktops are left out: they would drag in a display server.
rm -f "$out"/PIL/_imagingtk*.so "$out"/PIL/_tkinter_finder.py "$out"/PIL/ImageQt.py
for so in "$out"/PIL/*.so; do
	ldd "$so" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }'
done | sort -u | while read -r lib; do
	case $(basename "$lib") in
	libc.so.*|libm.so.*|libpthread.so.*|libdl.so.*|librt.so.*|ld-linux*) ;; # in every runtime image
	*) cp -L "$lib" "$out/lib/" ;;
	esac
done
