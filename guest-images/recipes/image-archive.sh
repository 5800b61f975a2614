# shellcheck shell=bash disable=SC2154 # here: of guest-images/build
# Container images made on the spot, as archives that `docker load` and
# `bulkhead image load` read.

# busybox_tree ROOT: Debian's static busybox, links to it and what it needs to find hosts by name.
busybox_tree() {
    local root=$1 program applet
    program=$(command -v busybox) || die "busybox is missing: scripts/setup images"
    mkdir -p "$root"/{bin,etc,tmp,root,var/www}
    chmod 1777 "$root/tmp"
    cp "$program" "$root/bin/busybox"
    for applet in $("$program" --list); do
        [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
    done
    # What the static C library loads to find hosts by name.
    mkdir -p "$root"/lib/x86_64-linux-gnu "$root/lib64"
    cp -L /lib/x86_64-linux-gnu/{libc.so.6,libresolv.so.2,libnss_dns.so.2,libnss_files.so.2} \
        "$root/lib/x86_64-linux-gnu/"
    cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
    echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
}

# layer_of ROOT [TAR-OPTION]...: writes layer.tar of it, the same bytes whenever and by whomever it
# is made.
layer_of() {
    local root=$1
    shift
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner "$@" -C "$root" -cf layer.tar .
}

# image_archive NAME CONFIG: makes an archive of layer.tar, named after NAME without its tag. CONFIG
# is what the image says of its containers.
image_archive() {
    local name=$1 config=$2 layer
    layer=$(sha256sum layer.tar | cut -d' ' -f1)
    cat >config.json <<JSON
{"architecture":"amd64","os":"linux","created":"1970-01-01T00:00:00Z",
 "config":$config,
 "rootfs":{"type":"layers","diff_ids":["sha256:$layer"]},
 "history":[{"created":"1970-01-01T00:00:00Z","created_by":"${name%:*}"}]}
JSON
    config=$(sha256sum config.json | cut -d' ' -f1)
    mv config.json "$config.json"
    cat >manifest.json <<JSON
[{"Config":"$config.json","RepoTags":["$name"],"Layers":["layer.tar"]}]
JSON
    # Packed here, since the engine would do so in an emulated machine.
    gzip -n layer.tar
    mv layer.tar.gz layer.tar
    tar --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "${name%:*}.tar" \
        manifest.json "$config.json" layer.tar
    rm manifest.json "$config.json" layer.tar
}
