#!/bin/bash
# format.sh - the C sources are as clang-format 14 would write them; to mend: tests/style/format.sh --fix
set -euo pipefail
cd "$(dirname "$0")/../.."

clang_format=$(command -v clang-format-14 || command -v clang-format) || { echo "skip: no clang-format" && exit 77; }
if ! "$clang_format" --version | grep -q 'version 14\.'; then
	echo "skip: $("$clang_format" --version) is not version 14, and versions differ in what they like"
	exit 77
fi

mapfile -t files < <(find model reader agent bpf analysis cli include tests -name '*.[ch]' -type f 2>/dev/null | sort)
if [[ ${1:-} == --fix ]]; then
	"$clang_format" -i "${files[@]}"
else
	"$clang_format" --dry-run -Werror "${files[@]}"
fi
