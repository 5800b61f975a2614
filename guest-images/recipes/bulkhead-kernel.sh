# shellcheck shell=bash disable=SC2154 # here, root: of guest-images/build
# Our own guest kernel: kernel/bulkhead.config on Debian's kernel source.

# bulkhead_kernel NAME SOURCE-PACKAGE
bulkhead_kernel() {
    local version key
    version=$(candidate_version "$2")
    [ -n "$version" ] || { as_root apt-get update -q >&2; version=$(candidate_version "$2"); }
    [ -n "$version" ] || die "Debian offers no package $2"
    key=$(cat "$here/kernel/bulkhead.config" "$here/recipes/bulkhead-kernel.sh" |
        sha256sum | cut -c1-8)
    cached "kernels/$1-$version-$key" make_bulkhead_kernel "$1" "$2"
}

make_bulkhead_kernel() {
    local package=$2 work=$PWD/work tree
    install_packages build-essential bc bison flex libelf-dev libssl-dev xz-utils lz4 kmod cpio >&2
    tree=$(unpacked_package "$package")
    progress "unpacking the source of $1"
    mkdir "$work"
    tar -xf "$tree"/usr/src/linux-source-*.tar.xz -C "$work" --strip-components=1
    make -s -C "$work" KCONFIG_ALLCONFIG="$here/kernel/bulkhead.config" allnoconfig
    check_config "$here/kernel/bulkhead.config" "$work/.config"
    progress "building $1 (about ten minutes on two processors)"
    # Fixed names: the same source and configuration give the same kernel.
    nice make -s -C "$work" -j"$(nproc)" KBUILD_BUILD_USER=bulkhead KBUILD_BUILD_HOST=bulkhead \
        KBUILD_BUILD_TIMESTAMP=1970-01-01 vmlinux bzImage
    make -s -C "$work" kernelrelease >release
    strip -o vmlinux "$work/vmlinux"
    cp "$work/arch/x86/boot/bzImage" vmlinuz
    cp "$work/.config" config
    rm -rf "$work"
    mkdir -p empty/etc/bulkhead
    : >empty/etc/bulkhead/modules
    pack_cpio empty >modules.cpio
    rm -r empty
}

# check_config WANTED GIVEN: every line that was asked for must have held.
check_config() {
    local line name lost=0
    while IFS= read -r line; do
        name=${line%%=*}
        if [ "${line#*=}" = n ]; then
            ! grep -q "^$name=" "$2" || { progress "still on: $name" && lost=1; }
        else
            grep -qxF "$line" "$2" || { progress "lost: $line" && lost=1; }
        fi
    done < <(grep '^CONFIG_' "$1")
    [ $lost = 0 ] || die "$1 does not fit this kernel"
}
