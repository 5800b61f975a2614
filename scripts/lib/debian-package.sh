# shellcheck shell=bash
# Debian packages: installed on the host when a tool is missing, or unpacked in
# the cache when only their files are wanted. Needs cache.sh.

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "needs root to run: $*"
    fi
}

# install_packages PACKAGE...: installs those that are not.
install_packages() {
    local package missing=()
    for package in "$@"; do
        dpkg-query -Wf '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    progress "installing ${missing[*]}"
    as_root apt-get update -q >/dev/null
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qy --no-install-recommends "${missing[@]}" >/dev/null
}

candidate_version() {
    LC_ALL=C apt-cache policy "$1" 2>/dev/null |
        awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

# newest_dependency PACKAGE: the package that a meta-package stands for.
newest_dependency() {
    [ -n "$(candidate_version "$1")" ] || as_root apt-get update -q >&2
    LC_ALL=C apt-cache depends "$1" | awk '$1 == "Depends:" { print $2; exit }'
}

# unpacked_package PACKAGE: prints a folder with the files of its newest version.
unpacked_package() {
    local version
    version=$(candidate_version "$1")
    if [ -z "$version" ]; then
        as_root apt-get update -q >&2
        version=$(candidate_version "$1")
    fi
    [ -n "$version" ] || die "Debian offers no package $1"
    cached "packages/$1-$version" unpack_package "$1" "$version"
}

unpack_package() {
    progress "downloading $1 $2"
    # Not as apt's own user, who may not write here; so without its warning.
    apt-get -q -o APT::Sandbox::User=root download "$1=$2"
    dpkg-deb -x ./*.deb .
    rm ./*.deb
}
