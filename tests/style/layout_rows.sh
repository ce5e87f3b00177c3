#!/bin/bash
# layout_rows.sh - the rows of reader/layout_table.c are what the debug information of interpreters here says.
# Looks at those of pyenv, which keep theirs; Debian's need a -dbg package.
set -euo pipefail
cd "$(dirname "$0")/../.."

seen=0 failed=0
for root in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*; do
	[[ -e $root/bin/python3 ]] || continue
	minor=$("$root/bin/python3" -c 'import sys; print(sys.version_info[1])')
	((minor >= 8)) || continue
	program=$root/lib/libpython3.$minor.so
	[[ -e $program ]] || program=$root/bin/python3.$minor
	status=0
	tools/layout-row --check --minor "$minor" "$program" \
		"$root/lib/python3.$minor"/lib-dynload/_asyncio.*.so || status=$?
	case $status in
	0) seen=1 ;;
	77) ;;
	*) failed=1 ;;
	esac
done
((failed)) && exit 1
((seen)) || { echo "skip: no gdb, or no interpreter with debug information under ${PYENV_ROOT:-$HOME/.pyenv}" && exit 77; }
