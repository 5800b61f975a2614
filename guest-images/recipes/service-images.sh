# shellcheck shell=bash disable=SC2154 # here: of guest-images/build
# Container images of services: Redis and PostgreSQL of Debian with the libraries
# they load, beside busybox. Packages are unpacked only; none is installed.

postgres_programs=(postgres psql pg_isready)
postgres_user=70

redis_image() {
    service_image redis-image make_redis_image redis-server redis-tools
}

postgres_image() {
    service_image postgres-image make_postgres_image postgresql-15 postgresql-client-15
}

# service_image NAME RECIPE PACKAGE...: the recipe's folder, made anew with new packages.
service_image() {
    local name=$1 recipe=$2 package key
    shift 2
    for package in "$@"; do
        # Its lists may be missing.
        [ -n "$(candidate_version "$package")" ] || as_root apt-get update -q >&2
    done
    key=$( (cat "$here"/recipes/{service-images,image-archive}.sh "$here/recipes/postgres-entrypoint"
        for package in "$@"; do candidate_version "$package"; done) | sha256sum | cut -c1-16)
    cached "$name/$key" "$recipe" "$@"
}

make_redis_image() {
    progress "making the container image redis"
    unpack_with_libraries "$@"
    busybox_tree root
    copy_from_packages redis-server redis-cli
    mkdir root/data
    layer_of root
    rm -r root
    image_archive redis:7 '{"Env":["PATH=/usr/bin:/bin"],"WorkingDir":"/data",
        "Cmd":["redis-server","--protected-mode","no"],"ExposedPorts":{"6379/tcp":{}}}'
}

make_postgres_image() {
    local program libraries=usr/lib/postgresql/15 data=root/var/lib/postgresql/data
    progress "making the container image postgres"
    unpack_with_libraries "$@"
    make_cluster cluster
    busybox_tree root
    cp "$here/recipes/postgres-entrypoint" root/bin/
    echo "postgres:x:$postgres_user:$postgres_user::/:/bin/sh" >>root/etc/passwd
    echo "postgres:x:$postgres_user:" >>root/etc/group
    for program in "${postgres_programs[@]}"; do
        copy_from_packages "../lib/postgresql/15/bin/$program"
        ln -s "../lib/postgresql/15/bin/$program" "root/usr/bin/$program"
    done
    mkdir -p root/usr/lib/postgresql/15/lib root/usr/share/postgresql/15 root/var/run/postgresql \
        "$(dirname "$data")"
    cp "$packages/$libraries"/lib/{plpgsql,dict_snowball}.so root/$libraries/lib/
    cp -r "$packages"/usr/share/postgresql/15/{timezonesets,tsearch_data} root/usr/share/postgresql/15/
    mv cluster "$data"
    layer_of root --exclude=./var/lib/postgresql/data --exclude=./var/run/postgresql
    tar --sort=name --mtime=@0 --owner=$postgres_user --group=$postgres_user --numeric-owner \
        -C root -rf layer.tar ./var/lib/postgresql/data ./var/run/postgresql
    rm -r root
    image_archive postgres:15 "{\"User\":\"postgres\",\"WorkingDir\":\"/\",
        \"Env\":[\"PATH=/usr/bin:/bin\",\"PGDATA=/var/lib/postgresql/data\"],
        \"Entrypoint\":[\"postgres-entrypoint\"],\"Cmd\":[\"postgres\"],
        \"ExposedPorts\":{\"5432/tcp\":{}},\"StopSignal\":\"SIGINT\"}"
}

# unpack_with_libraries PACKAGE...: the packages' files and those of all libraries they depend on,
# however many of those this machine has, into a new folder, $packages: outside the cache, which not
# everybody whom make_cluster runs as may enter.
unpack_with_libraries() {
    local package wanted
    wanted=$(LC_ALL=C apt-get -s -o Dir::State::status=/dev/null --no-install-recommends install "$@" |
        awk '$1 == "Inst" && $2 ~ /^z?lib/ && $2 !~ /^lib(llvm|perl|pam-)|-perl$/ { print $2 }')
    packages=$(mktemp -d)
    trap 'rm -rf "$packages"' EXIT
    chmod 755 "$packages"
    mkdir archives
    # shellcheck disable=SC2086 # one word a package
    (cd archives && apt-get -qq -o APT::Sandbox::User=root download "$@" $wanted)
    for package in archives/*.deb; do
        dpkg-deb -x "$package" "$packages"
    done
    rm -r archives
}

# copy_from_packages PROGRAM...: programs of /usr/bin into root, and their libraries.
copy_from_packages() {
    local program library loaded
    mkdir -p root/usr/{bin,lib/x86_64-linux-gnu,lib/postgresql/15/bin}
    for program in "$@"; do
        cp -L "$packages/usr/bin/$program" "root/usr/bin/$program"
        loaded=$("$packages/lib64/ld-linux-x86-64.so.2" --library-path "$(library_path)" --list \
            "$packages/usr/bin/$program")
        [[ $loaded != *"not found"* ]] || die "$program lacks a library: $loaded"
        grep -o "$packages/[^ ]*" <<<"$loaded" | while read -r library; do
            cp -Lu "$library" root/usr/lib/x86_64-linux-gnu/
        done
    done
    # Those that came with busybox may be of another version, and must be of one.
    cp -L "$packages"/lib/x86_64-linux-gnu/{libc.so.6,libresolv.so.2,libnss_dns.so.2,libnss_files.so.2} \
        root/lib/x86_64-linux-gnu/
    cp -L "$packages/lib64/ld-linux-x86-64.so.2" root/lib64/
}

library_path() {
    printf '%s:%s\n' "$packages"/{lib,usr/lib}/x86_64-linux-gnu
}

# make_cluster FOLDER: PostgreSQL's files of an empty database, so that no machine spends its time
# on them. PostgreSQL does not do so for root.
make_cluster() {
    local cluster=$packages/cluster user=()
    mkdir "$cluster"
    if [ "$(id -u)" = 0 ]; then
        chown nobody "$cluster"
        user=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
    fi
    "${user[@]}" env LD_LIBRARY_PATH="$(library_path)" TZ=GMT \
        "$packages/usr/lib/postgresql/15/bin/initdb" --pgdata="$cluster" --username=postgres \
        --encoding=UTF8 --locale=C --wal-segsize=1 --auth-local=trust --auth-host=scram-sha-256 >&2
    cat >>"$cluster/postgresql.conf" <<'CONF'
listen_addresses = '*'
jit = off
CONF
    echo 'host all all all scram-sha-256' >>"$cluster/pg_hba.conf"
    mv "$cluster" "$1"
}
