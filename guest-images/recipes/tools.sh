# shellcheck shell=bash disable=SC2154 # here, root: of guest-images/build
# Programs that boot tests run in guests: the host's own, with their libraries.
# Small ones go into an initramfs. All, fio with its 80 MB of libraries among
# them, go onto a disk, of which a guest reads only what it needs; there every
# program has a script of its name in bin/, which works wherever it is mounted.

tool_packages=(busybox-static fio iperf3 ethtool e2fsprogs iproute2 socat util-linux)
small_tools=(iperf3 ethtool mke2fs e2fsck resize2fs ip blkdiscard)
disk_tools=("${small_tools[@]}" fio socat dumpe2fs lsblk blockdev)

tools() {
    local key
    # Checked each time: an entry of the cache says nothing of this machine.
    install_packages "${tool_packages[@]}" cpio erofs-utils >&2
    key=$( (cat "$here/recipes/tools.sh" && dpkg-query -W "${tool_packages[@]}" libc6) |
        sha256sum | cut -c1-16)
    cached "tools/$key" make_tools
}

make_tools() {
    local program
    progress "packing the test programs"
    mkdir -p small/{bin,sbin,usr/bin,etc} disk/{bin,usr/bin}
    cp "$(command -v busybox)" small/bin/busybox
    for program in "${small_tools[@]}"; do
        copy_program "$(command -v "$program")" small
    done
    # busybox answers to every other name.
    busybox --list | while read -r program; do
        [ -e "small/usr/bin/$program" ] || [ "$program" = busybox ] ||
            ln -s busybox "small/bin/$program"
    done
    # Where the kernel looks for it.
    ln -s ../bin/busybox small/sbin/modprobe
    ln -s ../proc/mounts small/etc/mtab
    printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >small/etc/passwd
    printf 'root:x:0:\nnogroup:x:65534:\n' >small/etc/group
    pack_cpio small >tools.cpio
    for program in "${disk_tools[@]}"; do
        copy_program "$(command -v "$program")" disk
    done
    for program in "${disk_tools[@]}"; do
        starter "$program" >"disk/bin/$program"
        chmod 755 "disk/bin/$program"
    done
    mkfs.erofs --quiet -T0 -U 00000000-0000-0000-0000-000000000001 tools.erofs disk
    rm -r small disk
}

# copy_program PROGRAM ROOT: the program into /usr/bin, its libraries where they
# are on the host.
copy_program() {
    local library
    cp -L "$1" "$2/usr/bin/$(basename "$1")"
    { ldd "$1" 2>/dev/null || true; } | grep -o '/[^ ]*' | while read -r library; do
        mkdir -p "$2$(dirname "$library")"
        cp -Lu "$library" "$2$library"
    done
}

# starter PROGRAM: a script that runs it with the libraries beside it.
starter() {
    local folders
    # shellcheck disable=SC2016 # for the script's shell to expand
    folders=$(cd disk && find . -name '*.so*' -printf '$top/%h:' | tr ':' '\n' | sort -u | paste -sd:)
    cat <<SCRIPT
#!/bin/sh
top=\$(cd "\$(dirname "\$0")/.." && pwd)
libraries=$folders
exec "\$top/lib64/ld-linux-x86-64.so.2" --library-path "\$libraries" "\$top/usr/bin/$1" "\$@"
SCRIPT
}
