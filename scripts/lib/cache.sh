# shellcheck shell=bash
shopt -s inherit_errexit

# The cache: what takes long to make and can be made again. Any of it may be
# missing at any time; entries appear whole or not at all.

cache_folder() {
    local folder=${BULKHEAD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bulkhead}
    mkdir -p "$folder"
    printf '%s\n' "$folder"
}

# cached NAME RECIPE [ARGUMENT]...: prints the entry's path. If it is missing,
# runs RECIPE ARGUMENT... in an empty folder, which then becomes the entry.
# Callers at the same time wait for the first one.
cached() {
    local cache entry making failed=0
    cache=$(cache_folder)
    entry=$cache/$1
    shift
    if [ ! -e "$entry" ]; then
        mkdir -p "$(dirname "$entry")"
        exec {cache_lock}>"$entry.lock"
        flock "$cache_lock"
        if [ ! -e "$entry" ]; then
            making=$(mktemp -d "$entry.making.XXXXXX")
            chmod 755 "$making"
            # Not as a condition: there bash would not stop at a failed command.
            set +e
            (
                set -e
                cd "$making"
                "$@"
            ) >&2
            failed=$?
            set -e
            if [ $failed = 0 ]; then
                mv -T "$making" "$entry"
            else
                rm -rf "$making"
            fi
        fi
        exec {cache_lock}>&-
    fi
    [ $failed = 0 ] || return 1
    printf '%s\n' "$entry"
}

# progress TEXT...: one line on standard error.
progress() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
}

die() {
    progress "$*"
    exit 1
}
