#!/bin/bash
# agent_symbols.sh - the agent's libraries load wherever glibc is 2.28 or newer, and show nothing of themselves.
#
#   agent_symbols.sh LIBRARY=SYMBOL,……     only these symbols are to be seen of it
#   agent_symbols.sh --self-test
set -euo pipefail

newest=2.28

command -v objdump >/dev/null || { echo "skip: no objdump" && exit 77; }

# What `objdump -T` wrote, on stdin: a line for each thing that is wrong; status 1 when there is any.
check_table() {
	awk -v newest="$newest" -v allowed=",$1," '
	function number(version, part) {
		split(version, part, ".")
		return part[1] * 1000000 + part[2] * 1000 + part[3]
	}
	!/^[0-9a-f]+ [ gwu!]/ { next }
	{
		seen = 1
		symbol = $NF
		if ($0 ~ /\*UND\*/) {
			if (match($0, /GLIBC_[0-9.]+/)) {
				version = substr($0, RSTART + 6, RLENGTH - 6)
				if (number(version) > number(newest)) {
					print symbol " is wanted of glibc " version ", newer than " newest
					bad = 1
				}
			} else if ($0 ~ /GLIBC_|GCC_|GLIBCXX_|CXXABI_/) {
				print symbol " is wanted of " $(NF - 1)
				bad = 1
			}
			if ($0 ~ /GLIBC_PRIVATE/) {
				print symbol " is none of our business"
				bad = 1
			}
		} else if (index(allowed, "," symbol ",") == 0) {
			print symbol " can be seen by the program"
			bad = 1
		}
	}
	END {
		if (!seen)
			print "there are no symbols at all"
		exit bad || !seen
	}'
}

# What a library needs besides the C library is not there in every program.
check_needed() {
	awk '
	/NEEDED/ && $NF !~ /^(libc|libm|libpthread|libdl|ld-linux-x86-64)\.so\./ {
		print $NF " is needed"
		bad = 1
	}
	END { exit bad }'
}

self_test() {
	local failed=0

	# expect STATUS ALLOWED LINE
	expect() {
		local status=0
		check_table "$2" <<<"$3" >/dev/null || status=$?
		((status == $1)) || { echo "self-test: status $status, not $1, of: $3" && failed=1; }
	}
	expect 0 dlopen '0000000000000000      DF *UND*	0000000000000000 (GLIBC_2.2.5) malloc'
	expect 0 dlopen '0000000000000000      DF *UND*	0000000000000000 (GLIBC_2.28) statx'
	expect 1 dlopen '0000000000000000      DF *UND*	0000000000000000 (GLIBC_2.33) fstat'
	expect 1 dlopen '0000000000000000      DF *UND*	0000000000000000 (GLIBC_2.28.1) x'
	expect 1 dlopen '0000000000000000  w   DF *UND*	0000000000000000 (GLIBC_2.34) dlsym'
	expect 1 dlopen '0000000000000000      DF *UND*	0000000000000000 (GLIBC_PRIVATE) __libc_dlopen_mode'
	expect 1 dlopen '0000000000000000      DF *UND*	0000000000000000 (GCC_3.0)   _Unwind_Resume'
	expect 0 dlopen '0000000000000000  w   D  *UND*	0000000000000000  Base        __gmon_start__'
	expect 0 dlopen '00000000000079f0 g    DF .text	00000000000000a2  Base        dlopen'
	expect 1 dlopen '00000000000079f0 g    DF .text	00000000000000a2  Base        dlsym'
	expect 1 dlopen '00000000000079f0  w   DO .bss	00000000000000a2  Base        ctask_writer'
	expect 1 dlopen ''
	check_needed <<<'  NEEDED               libc.so.6' >/dev/null || failed=1
	check_needed <<<'  NEEDED               libcjson.so.1' >/dev/null && failed=1
	return $failed
}

if [[ ${1:-} == --self-test ]]; then
	self_test
	exit
fi
status=0
for pair; do
	library=${pair%=*}
	[[ -e $library ]] || { echo "$library was not built" && status=1 && continue; }
	{ objdump -T "$library" | check_table "${pair##*=}" && objdump -p "$library" | check_needed; } |
		sed "s|^|${library##*/}: |" || status=1
done
exit $status
