# shellcheck shell=bash
# Kernel modules of an unpacked kernel package.

# modules_in_load_order TREE RELEASE MODULE...: the files to load, relative to
# TREE, dependencies first. Modules that are built in, or that this kernel does
# not have, are left out.
modules_in_load_order() {
    local tree=$1 release=$2 module
    shift 2
    [ -e "$tree/lib/modules/$release/modules.dep.bin" ] || depmod -b "$tree" "$release"
    for module in "$@"; do
        modprobe -d "$tree" -S "$release" --show-depends "$module" 2>/dev/null || true
    done | awk -v skip=${#tree} \
        '$1 == "insmod" && !seen[$2]++ { file = substr($2, skip + 1); sub("^/+", "", file); print file }'
}

# copy_modules TREE TARGET: copies the files named on standard input into TARGET,
# decompressed, and prints their absolute paths there.
copy_modules() {
    local tree=$1 target=$2 file plain
    while read -r file; do
        plain=${file%.xz}
        plain=${plain%.gz}
        plain=${plain%.zst}
        mkdir -p "$target/$(dirname "$plain")"
        case $file in
        *.xz) xz -dc "$tree/$file" ;;
        *.gz) gzip -dc "$tree/$file" ;;
        *.zst) zstd -dcq "$tree/$file" ;;
        *) cat "$tree/$file" ;;
        esac >"$target/$plain" || return 1
        printf '/%s\n' "$plain"
    done
}

# release_of TREE: the kernel's release name.
release_of() {
    basename "$1"/lib/modules/*
}
