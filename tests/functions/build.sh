#!/bin/sh
# tests/functions/build.sh OUTDIR: makes OUTDIR/{probe,echo,matrix/*}, ready to deploy, and OUTDIR/bomb.zip, which is not.
set -eu
here=$(dirname "$(readlink -f "$0")")
out=${1:?usage: tests/functions/build.sh OUTDIR}
mkdir -p "$out/probe" "$out/echo" "$out/matrix"
cp "$here/probe/app.py" "$here/probe/function.json" "$out/probe/"
cp "$here/echo/function.json" "$out/echo/"
cp -r "$here/matrix/." "$out/matrix/"
"$here/build-ric.sh" "$out/matrix"
${CC:-cc} -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -O2 -static -s -o "$out/echo/bootstrap" "$here/echo/bootstrap.c"
python3 - "$out/bomb.zip" <<'END' # here: the emulated machine takes half a minute for it
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as z:
    for i in range(5):
        z.writestr(f"zeros{i}", bytes(64 << 20))
END
