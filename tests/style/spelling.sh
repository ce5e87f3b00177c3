#!/bin/bash
# spelling.sh - codespell knows of no word here that is spelt wrong.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v codespell >/dev/null || { echo "skip: no codespell" && exit 77; }
# Words that are meant: a section's name, a variable of another program, a short name in a table.
codespell --skip '.git,build,build-*,*.core,*.bin' --ignore-words tests/style/words-that-are-meant
