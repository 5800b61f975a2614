# shellcheck shell=bash disable=SC2154 # here: of guest-images/build
# A container image of several hundred MB with every kind of file, and what a container should see of it.

large_image() {
    local program key
    program=$(command -v busybox) || die "busybox is missing: scripts/setup images"
    key=$(cat "$program" "$here"/recipes/{large-image.sh,large-image.py,image-archive.sh} |
        sha256sum | cut -c1-16)
    cached "large-image/$key" make_large_image
}

make_large_image() {
    progress "making the container image large"
    busybox_tree root
    layer_of root
    rm -r root
    # A file with holes, as GNU tar stores it.
    mkdir -p holes/large
    truncate -s 64M holes/large/sparse
    printf 'in the middle' | dd of=holes/large/sparse bs=1 seek=33554433 conv=notrunc status=none
    tar --sparse --format=gnu --mtime=@7 --owner=0 --group=0 --mode=640 \
        --numeric-owner -C holes -cf sparse.tar large/sparse
    rm -r holes
    python3 "$here/recipes/large-image.py" layer.tar sparse.tar
    rm {layer,sparse,lower,upper}.tar{,.gz}
}
