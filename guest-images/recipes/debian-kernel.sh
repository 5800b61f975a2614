# shellcheck shell=bash disable=SC2154 # here, root: of guest-images/build
# Debian's cloud kernels, unpacked: nothing is installed.

# Loaded by the agent in this order, each after what it depends on. What a
# kernel has built in is left out.
boot_modules=(virtio_pci virtio_mmio vmw_vsock_virtio_transport virtio_console
    virtio_blk virtio_net virtio-rng virtio_balloon button evdev vmgenid)
# Loaded by the agent in this order when the first container is made: in the lab
# each takes a tenth of a second.
container_modules=(erofs ext4 overlay virtiofs)
# Carried along for modprobe.
more_modules=(squashfs virtio_mem nd_pmem virtio_pmem ptp_kvm loop tun veth bridge
    nf_tables nft_chain_nat nft_masq)

# debian_kernel NAME META-PACKAGE
debian_kernel() {
    local tree key
    tree=$(unpacked_package "$(newest_dependency "$2")")
    key=$(cat "$here/recipes/debian-kernel.sh" "$root/scripts/lib/kernel-modules.sh" |
        sha256sum | cut -c1-8)
    cached "kernels/$1-$(basename "$tree")-$key" make_debian_kernel "$1" "$tree"
}

make_debian_kernel() {
    local tree=$2 release
    release=$(release_of "$tree")
    progress "preparing $1 ($release)"
    printf '%s\n' "$release" >release
    cp "$tree/boot/vmlinuz-$release" vmlinuz
    extract_vmlinux vmlinuz >vmlinux
    [ "$(od -An -tx1 -N4 vmlinux)" = ' 7f 45 4c 46' ] || die "$1: the payload is no ELF file"
    pack_modules "$tree" "$release"
}

# extract_vmlinux BZIMAGE: writes the ELF kernel that a bzImage carries. Where
# the payload lies is in the setup header (Linux x86 boot protocol 2.08).
extract_vmlinux() {
    local sectors offset length payload magic
    sectors=$(header_number "$1" 0x1f1 1)
    offset=$(header_number "$1" 0x248 4)
    length=$(header_number "$1" 0x24c 4)
    payload=$(((sectors + 1) * 512 + offset))
    magic=$(od -An -tx1 -j "$payload" -N 4 "$1" | tr -d ' ')
    # The last four bytes are the size that the payload unpacks to.
    dd if="$1" bs=64K iflag=skip_bytes,count_bytes skip="$payload" count=$((length - 4)) status=none |
        case $magic in
        02214c18) lz4 -dcq ;;
        1f8b*) gzip -dc ;;
        fd377a58) xz -dc ;;
        28b52ffd) zstd -dcq ;;
        *) die "$1: payload of an unknown kind ($magic)" ;;
        esac
}

# header_number FILE OFFSET BYTES
header_number() {
    od -An -tu"$3" -j $(($2)) -N "$3" "$1" | tr -d ' '
}

# pack_modules TREE RELEASE: modules.cpio, with the lists that the agent reads
# and the tables that modprobe reads.
pack_modules() {
    local packed tables
    packed=$(mktemp -d)
    tables=lib/modules/$2
    mkdir -p "$packed/etc/bulkhead"
    modules_in_load_order "$1" "$2" "${boot_modules[@]}" |
        copy_modules "$1" "$packed" >"$packed/etc/bulkhead/modules"
    modules_in_load_order "$1" "$2" "${container_modules[@]}" |
        copy_modules "$1" "$packed" >"$packed/etc/bulkhead/container-modules"
    modules_in_load_order "$1" "$2" "${more_modules[@]}" |
        copy_modules "$1" "$packed" >/dev/null
    cp "$1/$tables"/modules.{order,builtin,builtin.modinfo} "$packed/$tables"
    depmod -b "$packed" "$2"
    rm "$packed/$tables"/modules.{*.bin,order,builtin,builtin.modinfo,symbols}
    pack_cpio "$packed" >modules.cpio
    rm -rf "$packed"
}

# pack_cpio FOLDER: an archive that the kernel unpacks, the same for the same
# contents.
pack_cpio() {
    (cd "$1" && find . -mindepth 1 -print0 | LC_ALL=C sort -z |
        cpio --quiet -0 -o -H newc --reproducible -R 0:0)
}
