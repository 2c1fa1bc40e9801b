#!/bin/sh
# Every test fragment is included and every test source is listed: a forgotten one would pass by
# never running.
src=${STOKER_SRC:-$(dirname "$0")/..}
cd "$src" || exit 1
bad=0
for fragment in $(find tests/unit -name Makemodule.am) tests/fuzz/*.am; do
	if ! grep -q "^include $fragment\$" tests/Makemodule.am; then
		echo "$fragment is not included by tests/Makemodule.am"
		bad=1
	fi
done
for source in $(find tests/unit -name 'test_*.c') tests/fuzz/fuzz_*.c; do
	name=$(basename "$source" .c)
	if ! cat tests/unit/*/Makemodule.am tests/unit/*/*/Makemodule.am tests/fuzz/*.am | grep -q "/$name\b"; then
		echo "$source is in no list of programs"
		bad=1
	fi
done
for target in tests/fuzz/fuzz_*.c; do
	name=$(basename "$target" .c)
	if [ -z "$(ls -A "tests/fuzz/corpus/${name#fuzz_}" 2>/dev/null)" ]; then
		echo "$target has no corpus"
		bad=1
	fi
done
exit $bad
