# shellcheck shell=bash disable=SC2154 # here: of guest-images/build
# A container image of busybox alone.

busybox_image() {
    local program key
    program=$(command -v busybox) || die "busybox is missing: scripts/setup images"
    key=$(cat "$program" /lib/x86_64-linux-gnu/libc.so.6 \
        "$here"/recipes/{busybox-image,image-archive}.sh | sha256sum | cut -c1-16)
    cached "busybox-image/$key" make_busybox_image
}

make_busybox_image() {
    progress "making the container image busybox"
    busybox_tree root
    layer_of root
    rm -r root
    image_archive busybox:latest '{"Env":["PATH=/bin"],"Cmd":["sh"],"WorkingDir":"/"}'
}
