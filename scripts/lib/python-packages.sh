# shellcheck shell=bash
# Python packages in the cache, for what is not worth an environment of its own.
# Needs cache.sh.

# python_packages REQUIREMENTS: prints a folder for PYTHONPATH with exactly the
# packages that the file names.
python_packages() {
    local digest version
    digest=$(sha256sum <"$1")
    version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    cached "python/$version-${digest::16}" fetch_python_packages "$(realpath "$1")"
}

fetch_python_packages() {
    progress "downloading the packages of $1"
    python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore \
        --no-deps --target . -r "$1"
}
