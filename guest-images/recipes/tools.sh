# shellcheck shell=bash disable=SC2154 # here, root: of guest-images/build
# Programs that boot tests run in guests: the host's own, with their libraries.

tool_packages=(busybox-static fio iperf3 ethtool e2fsprogs iproute2 util-linux)
tool_programs=(fio iperf3 ethtool mke2fs mkfs.ext4 e2fsck fsck.ext4 resize2fs
    dumpe2fs ip lsblk blkdiscard blockdev)

tools() {
    local key
    # Checked each time: an entry of the cache says nothing of this machine.
    install_packages "${tool_packages[@]}" cpio >&2
    key=$( (cat "$here/recipes/tools.sh" && dpkg-query -W "${tool_packages[@]}" libc6) |
        sha256sum | cut -c1-16)
    cached "tools/$key" make_tools
}

make_tools() {
    local program
    progress "packing the test programs"
    mkdir -p files/{bin,usr/bin,etc}
    cp "$(command -v busybox)" files/bin/busybox
    for program in "${tool_programs[@]}"; do
        copy_program "$(command -v "$program")" files
    done
    # busybox answers to every other name; the real programs come first.
    busybox --list | while read -r program; do
        [ -e "files/usr/bin/$program" ] || [ "$program" = busybox ] ||
            ln -s busybox "files/bin/$program"
    done
    ln -s ../proc/mounts files/etc/mtab
    printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >files/etc/passwd
    printf 'root:x:0:\nnogroup:x:65534:\n' >files/etc/group
    pack_cpio files >tools.cpio
    rm -r files
}

# copy_program PROGRAM ROOT: the program into /usr/bin, its libraries where they
# are on the host.
copy_program() {
    local library
    cp -L "$1" "$2/usr/bin/$(basename "$1")"
    ldd "$1" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$2$(dirname "$library")"
        cp -Lu "$library" "$2$library"
    done
}
