#!/bin/sh
# What the filters allow, against the checked-in list: growth must show in a diff.
# To accept a change: mkpolicy --dir jail/policy --list vmm-main vmm-reusable vmm-shell vmm-vcpu >tests/golden/seccomp-rules.txt
set -eu
: "${STOKER_BUILD:=.}" "${STOKER_SRC:=.}"
tmp=$(mktemp)
trap 'rm -f "$tmp"' EXIT
"$STOKER_BUILD/mkpolicy" --dir "$STOKER_SRC/jail/policy" --list vmm-main vmm-reusable vmm-shell vmm-vcpu >"$tmp"
diff -u "$STOKER_SRC/tests/golden/seccomp-rules.txt" "$tmp"
