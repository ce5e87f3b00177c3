#!/bin/bash
# shell.sh - shellcheck has nothing to say about the scripts.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v shellcheck >/dev/null || { echo "skip: no shellcheck" && exit 77; }
mapfile -t files < <(grep -rlE --exclude-dir=build --exclude-dir=.git -m1 '^#!/(bin/sh|bin/bash|usr/bin/env bash)' . | sort)
shellcheck "${files[@]}"
