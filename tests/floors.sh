#!/bin/bash
# floors.sh - no #include goes upstairs, and only the top floor prints, exits or reads the environment.
#
#   tests/floors.sh [DIR]        check the tree in DIR (default: this one)
#   tests/floors.sh --self-test  check that it finds what it should
set -euo pipefail

# room: the rooms that its files may include. A longer name comes before its prefix.
rooms='include/ctask: include/ctask
model: include/ctask model
reader: include/ctask model reader
agent: include/ctask model reader agent
bpf: include/ctask model reader bpf
analysis: include/ctask model analysis
cli/render: include/ctask model analysis cli/render
cli: include/ctask model reader agent bpf analysis cli/render cli'

# One line for each thing that is wrong, on stdout; status 1 when there is any.
check_tree() {
	local dirs=() room
	for room in include/ctask model reader agent bpf analysis cli; do
		[[ -d $1/$room ]] && dirs+=("$room")
	done
	((${#dirs[@]})) || { echo "no sources in $1" && return 1; }
	cd "$1"
	find "${dirs[@]}" -name '*.[ch]' -type f -exec awk -v rooms="$rooms" '
	BEGIN {
		count = split(rooms, line, "\n")
		for (i = 1; i <= count; i++) {
			split(line[i], part, ": ")
			names[i] = part[1]
			may[part[1]] = " " part[2] " "
		}
	}
	function room_of(path, i) {
		if (path ~ /^ctask\//)
			path = "include/" path
		for (i = count; i >= 1; i--)
			if (index(path, names[i] "/") == 1 && !(names[i] == "cli" && path ~ /^cli\/render\//))
				return names[i]
		return ""
	}
	function wrong(text) {
		printf "%s:%d: %s\n", FILENAME, FNR, text
		bad = 1
	}
	FNR == 1 { here = room_of(FILENAME) }
	/^[ \t]*#[ \t]*include[ \t]*["<]/ {
		file = $0
		sub(/^[^"<]*["<]/, "", file)
		sub(/[">].*/, "", file)
		room = room_of(file)
		if ($0 ~ /"/ && room == "" && file !~ /\.skel\.h$/)
			wrong("\"" file "\" is not written from the root of the tree")
		else if (room != "" && index(may[here], " " room " ") == 0)
			wrong(here " may not include " room " (" file ")")
		if (file ~ /cJSON\.h$/ && here != "model")
			wrong("JSON is made and read in model/ only")
	}
	/^[ \t]*(\/?\*|\/\/)/ { next }
	here != "cli" && /(^|[^a-zA-Z0-9_])(printf|puts|perror|exit|abort)[ \t]*\(/ {
		wrong("only cli/ prints or exits")
	}
	here != "cli" && here != "agent" && /(^|[^a-zA-Z0-9_])(secure_)?getenv[ \t]*\(/ {
		wrong("only cli/ and the agent read the environment")
	}
	END { exit bad }' {} +
}

self_test() {
	local dir failed=0
	dir=$(mktemp -d)
	# shellcheck disable=SC2064
	trap "rm -rf '$dir'" EXIT

	# expect WANT FILE LINE: a tree where only FILE has LINE is right (WANT=0) or is not (WANT=1).
	expect() {
		local status=0
		rm -rf "$dir/tree"
		mkdir -p "$dir/tree/model" "$dir/tree/$(dirname "$2")"
		echo '#include <stdio.h>' >"$dir/tree/model/ground.c"
		printf '%s\n' "$3" >"$dir/tree/$2"
		(check_tree "$dir/tree") >"$dir/out" || status=$?
		if ((status != $1)) || { ((status)) && ! grep -q "^$2:1: " "$dir/out"; }; then
			echo "self-test: $2 with $3: status $status, not $1; said: $(<"$dir/out")"
			failed=1
		fi
	}
	expect 0 model/a.c '#include "model/b.h"'
	expect 0 reader/a.c '#include "model/b.h"'
	expect 0 agent/a.c '#include "reader/b.h"'
	expect 0 analysis/a.h '#include "model/b.h"'
	expect 0 cli/render/a.c '#include "analysis/b.h"'
	expect 0 cli/a.c '#include "cli/render/b.h"'
	expect 0 cli/a.c '	exit(2);'
	expect 0 model/a.c '#include <ctask/event.h>'
	expect 0 model/a.c '	ctask_exit(1); /* exits() */'
	expect 0 model/a.c ' * never calls exit()'
	expect 1 model/a.c '#include "reader/b.h"'
	expect 1 model/a.h '	#  include "cli/b.h"'
	expect 1 reader/a.c '#include "analysis/b.h"'
	expect 1 reader/a.c '#include "agent/b.h"'
	expect 1 agent/a.c '#include "bpf/b.h"'
	expect 1 bpf/a.c '#include "agent/b.h"'
	expect 1 analysis/a.c '#include "reader/b.h"'
	expect 1 analysis/a.c '#include "cli/render/b.h"'
	expect 1 cli/render/a.c '#include "cli/b.h"'
	expect 1 cli/render/a.c '#include "reader/b.h"'
	expect 1 include/ctask/a.h '#include "model/b.h"'
	expect 1 reader/a.c '#include <cjson/cJSON.h>'
	expect 1 reader/a.c '#include "layout.h"'
	expect 1 reader/a.c '	printf("%d", 1);'
	expect 1 reader/a.c '	x = getenv("HOME");'
	return $failed
}

case ${1:-} in
--self-test) self_test ;;
*) (check_tree "${1:-$(dirname "$0")/..}") ;;
esac
