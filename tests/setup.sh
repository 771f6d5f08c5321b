#!/bin/sh
# Installs what a group of targets needs and this machine lacks: `tests/setup.sh GROUP...`. Groups:
#     test      compiler, cmocka, OpenSSL, what lwIP needs, time zones, redis-server, clients in node and Python
#     layers    gcc and g++
#     matrix    gcc, clang, tcc, the 32-bit and the bare cross compiler, musl, pmccabe, what ports include
#     sanitize  test, clang and its run-time libraries
#     examples  the libraries that examples use, redis-server, curl, valgrind
#     baremetal redis-server, Arm's cross compiler with newlib, QEMU, what fetches lwIP's source
#     bench     hiredis, OpenSSL, what lwIP needs, redis-benchmark, valgrind
#     sim       compiler, git, tcc
#     model     compiler, spin
#     source    what tests/fetch_source needs
#     cross     musl, the cross compilers of tests/cross, qemu-user, clang, redis-server
#     size      musl, the compilers for ARM, qemu-user
#     format    clang-format
# Without a group: test. Uses apt-get (Debian, Ubuntu), as root or through sudo; asks nothing; says
# what it installs; does nothing when all is there. npm packages go to build/interop only.
set -eu

packages=

has_command()
{
    command -v "$1" >/dev/null 2>&1
}

# Does a C program that includes this header compile?
has_header()
{
    { [ -z "${2:-}" ] || echo "#include <$2>"; echo "#include <$1>"; } |
        ${CC:-cc} -E -x c - >/dev/null 2>&1
}

need()
{
    case " $packages " in
    *" $1 "*) ;;
    *) packages="$packages $1" ;;
    esac
}

need_command()
{
    has_command "$1" || need "$2"
}

need_c()
{
    need_command cc gcc
    has_header stdio.h || need libc6-dev
    need_command make make
}

need_clang()
{
    need_command clang clang
}

# The sanitizers' libraries carry clang's major version in their package's name, so clang comes first.
need_clang_runtime()
{
    if ! has_command clang; then
        need clang
        install_packages
        packages=
    fi
    echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d && n ? 0 : 0; }' |
        clang -fsanitize=fuzzer,address,undefined -x c - -o /dev/null >/dev/null 2>&1 && return
    major=$(clang -dumpversion)
    need "libclang-rt-${major%%.*}-dev"
}

# cmocka's header wants others before it.
need_cmocka()
{
    printf '#include <stdarg.h>\n#include <stddef.h>\n#include <setjmp.h>\n#include <stdint.h>\n#include <cmocka.h>\n' |
        ${CC:-cc} -E -x c - >/dev/null 2>&1 || need libcmocka-dev
}

# The library for the TLS port, the program for throw-away certificates.
need_openssl()
{
    has_header openssl/ssl.h || need libssl-dev
    need_command openssl openssl
}

need_test()
{
    need_c
    need_cmocka
    need_openssl
    need_lwip
    [ -e /usr/share/zoneinfo/Europe/Berlin ] || need tzdata
    need_command redis-server redis-server
    need_command redis-cli redis-tools
    need_command redis-benchmark redis-tools
    /usr/bin/python3 -c 'import redis' >/dev/null 2>&1 || need python3-redis
    [ ! -f tests/interop/package.json ] || need_command npm npm
    [ ! -f tests/interop/package.json ] || need_command node nodejs
}

# Arm's compiler for machines without a system, and a C library for it.
need_arm_none()
{
    need_command arm-none-eabi-gcc gcc-arm-none-eabi
    echo '#include <string.h>' | arm-none-eabi-gcc -E -x c - >/dev/null 2>&1 ||
        need libnewlib-arm-none-eabi
}

# lwIP is built from its source; libslirp is its network where nobody is root.
need_lwip()
{
    need_source
    has_header slirp/libslirp.h || need libslirp-dev
}

need_layers()
{
    need_c
    need_command g++ g++
}

need_matrix()
{
    need_layers
    need_clang
    need_command tcc tcc
    need_command musl-gcc musl-tools
    need_command pmccabe pmccabe
    need_arm_none
    has_header openssl/ssl.h || need libssl-dev
    need_cmocka
    need_source
    if ! has_command i686-linux-gnu-gcc; then
        need gcc-i686-linux-gnu
        need libc6-dev-i386-cross
    elif ! echo '#include <stdio.h>' | i686-linux-gnu-gcc -E -x c - >/dev/null 2>&1; then
        need libc6-dev-i386-cross
    fi
}

need_examples()
{
    need_c
    has_header microhttpd.h || need libmicrohttpd-dev
    has_header sqlite3.h || need libsqlite3-dev
    has_header uv.h || need libuv1-dev
    has_header event2/event.h || need libevent-dev
    need_openssl
    need_command redis-server redis-server
    need_command redis-cli redis-tools
    need_command curl curl
    need_command valgrind valgrind
}

need_baremetal()
{
    need_c
    need_command redis-server redis-server
    need_command redis-cli redis-tools
    need_arm_none
    need_command qemu-system-arm qemu-system-arm
    need_source
}

need_bench()
{
    need_c
    has_header hiredis/hiredis.h || need libhiredis-dev
    need_openssl
    need_lwip
    need_command redis-server redis-server
    need_command redis-benchmark redis-tools
    need_command valgrind valgrind
}

need_source()
{
    need_command xz xz-utils
    need_command flock util-linux
}

# need_cross TRIPLET ARCHITECTURE: gcc for it and its C library.
need_cross()
{
    need_command "$1-gcc" "gcc-$1"
    [ -e "/usr/$1/include/stdio.h" ] || need "libc6-dev-$2-cross"
}

need_cross_targets()
{
    need_c
    need_clang
    need_source
    need_command musl-gcc musl-tools
    need_cross arm-linux-gnueabihf armhf
    need_cross aarch64-linux-gnu arm64
    need_cross powerpc-linux-gnu powerpc
    need_cross s390x-linux-gnu s390x
    need_cross riscv64-linux-gnu riscv64
    need_command qemu-arm qemu-user
    need_command redis-server redis-server
    need_command redis-cli redis-tools
}

need_size()
{
    need_c
    need_command musl-gcc musl-tools
    need_cross arm-linux-gnueabihf armhf
    need_arm_none
    need_command qemu-arm qemu-user
    need_command redis-server redis-server
    need_command redis-cli redis-tools
}

as_root()
{
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif has_command sudo; then
        sudo "$@"
    else
        echo "tests/setup.sh: needs root or sudo to install:$packages" >&2
        exit 1
    fi
}

# While packages are installed, forbid them to start services: what runs on this machine is its
# owner's affair. A policy that was there already stays as it is.
policy=/usr/sbin/policy-rc.d
install_packages()
{
    if ! has_command apt-get; then
        echo "tests/setup.sh: there is no apt-get; please install what is called in Debian:$packages" >&2
        exit 1
    fi
    echo "tests/setup.sh: installing$packages"
    owns_policy=no
    if [ ! -e "$policy" ]; then
        owns_policy=yes
        trap 'as_root rm -f "$policy"' EXIT
        trap 'exit 1' INT TERM
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    as_root apt-get update -qq || echo "tests/setup.sh: the package lists could not be renewed"
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends $packages
    if [ "$owns_policy" = yes ]; then
        as_root rm -f "$policy"
        trap - EXIT INT TERM
    fi
}

# The node clients that interop tests talk to, at the versions of tests/interop/package.json.
install_node_packages()
{
    [ -f tests/interop/package.json ] || return 0
    if [ -d build/interop/node_modules ] &&
        cmp -s tests/interop/package.json build/interop/package.json; then
        return 0
    fi
    echo "tests/setup.sh: installing the npm packages of tests/interop into build/interop"
    rm -rf build/interop
    mkdir -p build/interop
    [ ! -f tests/interop/package-lock.json ] || cp tests/interop/package-lock.json build/interop/
    cp tests/interop/package.json build/interop/package.json
    if ! (cd build/interop && npm install --no-audit --no-fund --loglevel=error); then
        rm -rf build/interop
        echo "tests/setup.sh: npm could not install the packages of tests/interop" >&2
        exit 1
    fi
}

wants_node=no
[ $# -gt 0 ] || set -- test
for group in "$@"; do
    case $group in
    test)
        need_test
        wants_node=yes
        ;;
    layers) need_layers ;;
    matrix) need_matrix ;;
    sanitize)
        need_test
        need_clang_runtime
        wants_node=yes
        ;;
    examples) need_examples ;;
    baremetal) need_baremetal ;;
    bench) need_bench ;;
    sim)
        need_c
        need_command git git
        need_command tcc tcc
        ;;
    model)
        need_c
        need_command spin spin
        ;;
    source) need_source ;;
    cross) need_cross_targets ;;
    size) need_size ;;
    format) need_command clang-format clang-format ;;
    *)
        echo "tests/setup.sh: there is no group \"$group\"" >&2
        exit 2
        ;;
    esac
done

[ -z "$packages" ] || install_packages
[ "$wants_node" = no ] || install_node_packages
