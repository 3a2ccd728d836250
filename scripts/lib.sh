# shellcheck shell=bash
# What the scripts share. To be sourced; changes to the root of the repository.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

# Debian keeps daemons where the PATH of ordinary users does not look.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# Where the mongod that this project fetches for itself lies.
MONGOD_CACHED="$PWD/.cache/mongod/mongod"

say() { printf '%s\n' "$*"; }

fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    shift
    [[ $# -eq 0 ]] || printf '  %s\n' "$@" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Prints the mongod to use: $MONGOD, else the PATH's, else the fetched one. Fails without a word if there is none.
find_mongod() {
    if [[ -n ${MONGOD:-} ]]; then
        [[ -x $MONGOD ]] || fail "MONGOD is set to $MONGOD, which is not a program that can be run" \
            'Set it to a mongod, or unset it to use the one that is fetched.'
        say "$MONGOD"
    elif have mongod; then
        command -v mongod
    elif [[ -x $MONGOD_CACHED ]]; then
        say "$MONGOD_CACHED"
    else
        return 1
    fi
}
