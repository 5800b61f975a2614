# shellcheck shell=bash disable=SC2154 # here, root: of guest-images/build
# Initial file systems: our agent as /init, a kernel's modules, perhaps tools.

# initramfs KERNEL
initramfs() {
    local kernel agent tools key
    kernel=$(build "$1")
    agent=$(agent_program)
    tools=$(build tools)
    key=$(cat "$agent" - "$here/recipes/initramfs.sh" <<<"$kernel $tools" |
        sha256sum | cut -c1-16)
    cached "initramfs/$1-$key" make_initramfs "$1" "$agent" "$kernel" "$tools"
}

make_initramfs() {
    local agent=$2 kernel=$3 tools=$4
    progress "packing the initramfs for $1"
    mkdir -p base/{dev,proc,sys,run,tmp,etc,bin,sbin,lib,root,mnt}
    cp "$agent" base/init
    chmod 755 base/init
    pack_cpio base >base.cpio
    # The kernel unpacks archives that follow one another.
    cat base.cpio "$kernel/modules.cpio" >initramfs
    cat initramfs "$tools/tools.cpio" >initramfs-tools
    rm -r base base.cpio
}

# agent_program: builds the agent, static, and prints its path. In a target
# folder of its own, so that it can be built while cargo is at work.
agent_program() {
    local target=x86_64-unknown-linux-gnu
    (cd "$root" && RUSTFLAGS="-C target-feature=+crt-static" CARGO_TARGET_DIR=target/guest \
        cargo build -q --locked --release -p bulkhead-agent --target "$target") >&2
    printf '%s\n' "$root/target/guest/$target/release/bulkhead-agent"
}
