# `make` assembles smartcache.h from src/; `make help` lists the rest. Results go to build/;
# `make --trace` shows each command.

CC = cc
CXX = c++
CLANG = clang
SECONDS_OF_FUZZING = 60

# Sub-makes use every core, unless -j was given.
PARALLEL = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell getconf _NPROCESSORS_ONLN))

# Law 5 of the tree: no warning, from any of these.
WARNINGS = -Wall -Wextra -pedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
           -Wundef -Wdouble-promotion -Wvla -fno-common

# A configuration is a name (its folder under build/), flags, and the programs that are built so.
CONFIG = plain
CONFIG_FLAGS =
TEST_OPTIMISE = -O1
B = build/$(CONFIG)

TEST_FLAGS = -std=gnu99 $(TEST_OPTIMISE) -g -Wall -Wextra -DSMARTCACHE_ASSERT= -I. -Itests -Itests/support \
             $(CONFIG_FLAGS)
# Unit tests see private functions: by the headers of the rooms, before an object in which they are
# public. Some look into files, of which they have their own copy then.
UNIT_FLAGS = -I$B/rooms -Isrc -DSCI_PRIVATE=extern $(INTO_$*:%=-include %) $(TEST_FLAGS) -Wno-unused-function
INTO_test_admin = server/cmd_info.c
INTO_test_base = base/platform_posix.c
INTO_test_cron = cache/cron.c
INTO_test_deque = server/deque.c
INTO_test_files = net/posix_files.c
INTO_test_lockmap = coord/lockmap.c
INTO_test_lookup = net/posix_resolve.c
INTO_test_names = coord/names.c
INTO_test_poller = net/posix_poll.c
INTO_test_reader = resp/reader.c
INTO_test_resp = resp/writer.c
INTO_test_sorted = server/sorted.c server/sorted_tree.c server/sorted_index.c
INTO_test_transport = net/posix_socket.c net/posix_poll.c
COMMA = ,
DEPENDENCIES = -MMD -MP -MF $@.d

ROOMS = $(shell find src -type f)
UNIT = $(patsubst tests/unit/%.c,$B/unit/%,$(wildcard tests/unit/test_*.c))
REDIS = $(patsubst tests/redis/%.c,$B/redis/%,$(wildcard tests/redis/test_*.c))
SUPPORT = $(patsubst tests/support/%.c,$B/support/%.o,$(wildcard tests/support/*.c))
PORTS = $(patsubst tests/ports/%.c,$B/ports/%,$(wildcard tests/ports/test_*.c))
DIFFERENTIAL = $B/differential/self_same $B/differential/self_planted $B/differential/differential
INTEROP = $(wildcard tests/interop/test_*.sh)
FUZZ = $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
EXAMPLES = $(patsubst examples/%.c,build/examples/%,$(wildcard examples/*.c))
BENCH = $(patsubst bench/%.c,build/bench/%,$(wildcard bench/*.c))
FORMATTED = $(shell find src ports tests examples bench tools -name '*.[ch]' -type f)

.PHONY: all help demo test check unit redis ports differential sanitize layers matrix fuzz fuzz-smoke bench \
        bench-instructions sim sim-plants model examples baremetal cross size size-check format clean programs server embedded \
        address-programs thread-programs

all: smartcache.h

help:
	@echo 'make                     smartcache.h'
	@echo 'make demo                the main job, shown on real input'
	@echo 'make server              build/smartcache-server, the embedded server as a program'
	@echo 'make test                everything but the slow checks; installs what it needs'
	@echo 'make unit                tests without a server'
	@echo 'make redis               tests on a real redis-server'
	@echo 'make differential        the embedded server against redis-server, 1 M random commands'
	@echo 'make embedded            some of these on the embedded server instead'
	@echo 'make ports               tests of ports/'
	@echo 'make sanitize            both of these under address+undefined and thread sanitizers'
	@echo 'make layers              no room knows a higher floor; no room calls the system but its own'
	@echo 'make matrix              every compiler, standard, switch and port, without a warning'
	@echo 'make cross               other processors and musl: warnings, tests under qemu-user'
	@echo 'make fuzz-smoke          all fuzz targets, $(SECONDS_OF_FUZZING) s together'
	@echo 'make sim                 the library in virtual time, on a network that fails: SECONDS=60'
	@echo 'make sim-plants          known wrong edits, each of which the simulator must find'
	@echo 'make model               the lease, in every order of events: proofs and known wrong protocols'
	@echo 'make bench               side by side with peers; prints ratios'
	@echo 'make bench-instructions  the same in instructions an operation'
	@echo 'make baremetal           builds examples/baremetal for a Cortex-M3 and runs it under QEMU'
	@echo 'make examples            builds each as its first comment says, and runs it under valgrind'
	@echo 'make size                bytes of code and heap on three processors; renews README.md'
	@echo 'make format              names what clang-format would change'
	@echo 'make clean               removes build/'

smartcache.h: tools/amalgamate $(ROOMS)
	@echo 'build $@'
	@tools/amalgamate src/smartcache.in.h smartcache.h

# --- tests

# The committed header is compared before anything can renew it.
test:
	@tests/setup.sh test examples
	@tests/header_is_current
	-@$(MAKE) --no-print-directory --keep-going $(PARALLEL) programs $(EXAMPLES) build/smartcache-server
	@tests/run tests/examples_run tests/readme_snippets $(REDIS) $(PORTS) $(INTEROP) $(UNIT)

programs: $(UNIT) $(REDIS) $(PORTS)

check: programs
	@tests/run $(REDIS) $(PORTS) $(UNIT)

unit: $(UNIT)
	@tests/run $(UNIT)

ports: $(PORTS)
	@tests/run $(PORTS)

redis: $(REDIS) build/smartcache-server
	@tests/run $(REDIS) $(INTEROP)

# The same tests against the embedded server.
EMBEDDED = $(patsubst %,$B/redis/test_%,command election election_life get_or_load subscribe threads lock lock_crowd lock_life lock_shared \
    lock_trouble job job_time job_trouble)
embedded: $(EMBEDDED) build/smartcache-server
	@FIXTURE_SERVER=$(CURDIR)/build/smartcache-server tests/run $(EMBEDDED)

$B/unit/%: tests/unit/%.c smartcache.h $B/libsupport.a $B/librooms.a
	@mkdir -p $(@D)
	@echo 'build $@'
	@$(CC) $(UNIT_FLAGS) $(DEPENDENCIES) $(if $(INTO_$*),-Wl$(COMMA)-z$(COMMA)muldefs) \
	    -o $@ $< $B/libsupport.a $B/librooms.a -lcmocka -pthread -lm

# An archive is linked only where something is missing: a test may declare, or implement by itself.
# gcc takes longer to look for misleading indentation than to compile; `make matrix` has it do so.
ROOMS_FLAGS =
$B/librooms.a: tests/rooms tests/compile/implement.c smartcache.h
	@mkdir -p $B/rooms
	@echo 'build $@'
	@tests/rooms >$B/rooms/smartcache.h
	@$(CC) $(TEST_FLAGS) -Wno-misleading-indentation $(ROOMS_FLAGS) -DSCI_PRIVATE=extern -c -o $B/rooms.o tests/compile/implement.c
	@rm -f $@ && $(AR) rcs $@ $B/rooms.o

# A port's test adds what it needs to PORT_FLAGS and PORT_LIBS, as in `$B/ports/test_x: PORT_LIBS = -lx`.
PORT_FLAGS =
PORT_LIBS =
$B/ports/test_openssl $B/ports/test_openssl_%: PORT_LIBS = -lssl -lcrypto
$B/ports/test_manual: $B/manual/tcp4.c
$B/ports/test_manual: PORT_FLAGS = -I$B/manual
$B/manual/%: tests/snippet smartcache.h
	@mkdir -p $(@D)
	@tests/snippet $* >$@ || { rm -f $@; exit 1; }

LWIP_TESTS = $B/ports/test_lwip $B/ports/test_lwip_contract
$(LWIP_TESTS): $B/lwip/librig.a $B/lwip/liblwip.a
$(LWIP_TESTS): PORT_FLAGS = -Itests/lwip
$(LWIP_TESTS): PORT_LIBS = $B/lwip/librig.a $B/lwip/liblwip.a -lslirp

$B/ports/%: tests/ports/%.c smartcache.h tests/port_conformance.h $(wildcard ports/*.h) $B/libsupport.a $B/librooms.a
	@mkdir -p $(@D)
	@echo 'build $@'
	@$(CC) $(TEST_FLAGS) -Iports $(PORT_FLAGS) $(DEPENDENCIES) -o $@ $< $B/libsupport.a $B/librooms.a -lcmocka $(PORT_LIBS) -pthread -lm

# Stock lwIP, without the thread sanitizer: it guards in ways of its own what it shares. And the rig:
# lwIP's system layer, its ways to the host, the port.
LWIP_OPTIONS = tests/lwip/lwipopts.h $(wildcard tests/lwip/arch/*.h)
$B/lwip/liblwip.a: tests/lwip/build tests/fetch_source $(LWIP_OPTIONS)
	@mkdir -p $(@D)
	@echo 'build $@'
	@tests/lwip/build $@ $(CC) -O1 -g $(filter-out -fsanitize=thread,$(CONFIG_FLAGS))

LWIP_RIG = $(patsubst tests/lwip/%.c,$B/lwip/%.o,$(wildcard tests/lwip/*.c))
$B/lwip/%.o: tests/lwip/%.c $B/lwip/liblwip.a smartcache.h ports/smartcache_lwip.h
	@echo 'build $@'
	@$(CC) $(TEST_FLAGS) -Iports -Itests/lwip -isystem build/lwip/include $(DEPENDENCIES) -c -o $@ $<

$B/lwip/librig.a: $(LWIP_RIG)
	@rm -f $@ && $(AR) rcs $@ $(LWIP_RIG)

# The tester of the embedded server against redis-server; its programs share all other files.
DIFFERENTIAL_MAINS = main self_same self_planted
DIFFERENTIAL_PARTS = $(patsubst tests/differential/%.c,$B/differential/%.o,$(filter-out \
    $(DIFFERENTIAL_MAINS:%=tests/differential/%.c),$(wildcard tests/differential/*.c)))
$B/differential/%.o: tests/differential/%.c
	@mkdir -p $(@D)
	@echo 'build $@'
	@$(CC) $(TEST_FLAGS) $(DEPENDENCIES) -c -o $@ $<

$B/differential/differential: $B/differential/main.o
$B/differential/self_same: $B/differential/self_same.o
$B/differential/self_planted: $B/differential/self_planted.o
$(DIFFERENTIAL): $(DIFFERENTIAL_PARTS) $B/libsupport.a
	@echo 'build $@'
	@$(CC) $(TEST_FLAGS) -o $@ $(filter-out %/libsupport.a,$^) $B/libsupport.a -pthread

# One at a time: each leaves the shortest script that it found, and the last may be a real one.
differential: $(DIFFERENTIAL) build/smartcache-server
	@JOBS=1 tests/run $(DIFFERENTIAL)

$B/redis/%: tests/redis/%.c smartcache.h $B/libsupport.a $B/librooms.a
	@mkdir -p $(@D)
	@echo 'build $@'
	@$(CC) $(UNIT_FLAGS) $(DEPENDENCIES) -o $@ $< $B/libsupport.a $B/librooms.a -lcmocka -pthread -lm

$B/libsupport.a: $(SUPPORT)
	@mkdir -p $(@D)
	@rm -f $@ && $(AR) rcs $@ $(SUPPORT)

$B/support/%.o: tests/support/%.c smartcache.h
	@mkdir -p $(@D)
	@echo 'build $@'
	@$(CC) $(TEST_FLAGS) $(DEPENDENCIES) -c -o $@ $<

ADDRESS = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
THREAD = -fsanitize=thread -fno-omit-frame-pointer

# The other unit tests have one thread.
THREADED = embedded files host listener lockmap log log_rewrite log_trouble lookup poller thread timer transport wait

ADDRESS_CONFIG = CONFIG=address CC=$(CLANG) CONFIG_FLAGS='$(ADDRESS)'
THREAD_CONFIG = CONFIG=thread CC=$(CLANG) CONFIG_FLAGS='$(THREAD)' UNIT='$(THREADED:%=build/thread/unit/test_%)'

# Both are built side by side, since each begins with one long compilation.
sanitize: smartcache.h
	@tests/setup.sh sanitize
	-@$(MAKE) --no-print-directory --keep-going $(PARALLEL) address-programs thread-programs
	@status=0; \
	$(MAKE) --no-print-directory check $(ADDRESS_CONFIG) || status=1; \
	$(MAKE) --no-print-directory check $(THREAD_CONFIG) || status=1; \
	exit $$status

address-programs:
	@$(MAKE) --no-print-directory programs $(ADDRESS_CONFIG)

thread-programs:
	@$(MAKE) --no-print-directory programs $(THREAD_CONFIG)

# --- checks of the tree

layers: smartcache.h
	@tests/setup.sh layers
	@tests/layers

matrix: smartcache.h
	@tests/setup.sh matrix
	@tests/compile/matrix

cross: smartcache.h
	@tests/setup.sh cross
	@tests/cross

examples:
	@tests/setup.sh examples
	@$(MAKE) --no-print-directory --keep-going $(PARALLEL) $(EXAMPLES)
	@RUN_UNDER='valgrind -q --fair-sched=yes --error-exitcode=9 --leak-check=full' tests/run tests/examples_run

build/examples/%: examples/%.c smartcache.h tests/examples $(wildcard ports/*.h)
	@tests/examples $<

# On a Cortex-M3 without an operating system, beside a POSIX program.
baremetal: smartcache.h
	@tests/setup.sh baremetal
	@tests/lwip/build --fetch
	@$(MAKE) --no-print-directory $(PARALLEL) -C examples/baremetal WARNINGS='$(WARNINGS) -Werror'
	@$(MAKE) --no-print-directory build/baremetal/partner
	@tests/run tests/baremetal_run
	@examples/baremetal/size

build/baremetal/partner: tests/baremetal/partner.c smartcache.h $B/librooms.a
	@mkdir -p $(@D)
	@echo 'build $@'
	@$(CC) $(TEST_FLAGS) $(DEPENDENCIES) -o $@ $< $B/librooms.a -pthread

# The table in README.md is renewed by one, and compared by the other.
size: smartcache.h
	@tests/setup.sh size
	@tests/size --write

size-check: smartcache.h
	@tests/setup.sh size
	@tests/size

format:
	@tests/setup.sh format
	clang-format --dry-run --Werror $(FORMATTED)

# --- fuzzing

fuzz: $(FUZZ)

fuzz-smoke:
	@tests/setup.sh sanitize
	@$(MAKE) --no-print-directory $(PARALLEL) fuzz
	@tests/fuzz/smoke $(SECONDS_OF_FUZZING) $(FUZZ)

FUZZ_FLAGS = -std=gnu99 -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
             -DSMARTCACHE_ASSERT= -DSCI_PRIVATE=extern
build/fuzz/%: tests/fuzz/%.c smartcache.h build/fuzz/rooms.o
	@echo 'build $@'
	@$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer -Wno-unused-function -Ibuild/fuzz/rooms -Isrc -Itests \
	    $(DEPENDENCIES) -o $@ $< build/fuzz/rooms.o -pthread -lm

build/fuzz/rooms.o: tests/rooms tests/compile/implement.c smartcache.h
	@mkdir -p build/fuzz/rooms
	@echo 'build $@'
	@tests/rooms >build/fuzz/rooms/smartcache.h
	@$(CLANG) $(FUZZ_FLAGS) -I. -c -o $@ tests/compile/implement.c

# --- the simulator: one thread, virtual time

SIM_FLAGS = -std=gnu99 -O1 -g -Wall -Wextra -Wno-unused-function -DSMARTCACHE_ASSERT= -DSMARTCACHE_NO_THREADS= -I. -Itests/support -Itests/sim
SIM = $(patsubst tests/sim/%.c,build/sim/%.o,$(wildcard tests/sim/*.c)) build/sim/fault_memory.o

# A swarm of seeds for so long, or so many; from SEED on, or from one that nobody has seen.
SECONDS = 60
SEED =
COUNT =
sim: smartcache.h
	@tests/setup.sh sim
	@$(MAKE) --no-print-directory $(PARALLEL) build/sim/sim
	@build/sim/sim --seconds $(SECONDS) $(SEED:%=--seed %) $(COUNT:%=--count %)

# Known wrong edits, each of which a swarm must find: SECONDS at most for each.
sim-plants: smartcache.h
	@tests/setup.sh sim
	@tests/sim/plant --seconds $(SECONDS)

# The protocol itself, in all states that a few clients can reach.
model:
	@tests/setup.sh model
	@tests/model/run

build/sim/sim: $(SIM)
	@echo 'build $@'
	@$(CC) -o $@ $(SIM) -pthread

build/sim/%.o: tests/sim/%.c smartcache.h
	@mkdir -p $(@D)
	@$(CC) $(SIM_FLAGS) $(DEPENDENCIES) -c -o $@ $<

build/sim/fault_memory.o: tests/support/fault_memory.c smartcache.h
	@mkdir -p $(@D)
	@$(CC) $(SIM_FLAGS) $(DEPENDENCIES) -c -o $@ $<

# --- measuring and showing

# hiredis has TLS from 1.0 on.
BENCH_LIBS =
build/bench/tls: BENCH_LIBS = -lssl -lcrypto \
    $(if $(wildcard /usr/include/hiredis/hiredis_ssl.h),-DBENCH_HIREDIS_SSL -lhiredis_ssl)
build/bench/lwip: BENCH_LIBS = -Itests/lwip -Iports -isystem build/lwip/include \
    $(wildcard tests/lwip/*.c) build/bench/stack/liblwip.a -lslirp
build/bench/lwip: build/bench/stack/liblwip.a $(wildcard tests/lwip/*.[ch])
build/bench/stack/liblwip.a: tests/lwip/build tests/fetch_source $(LWIP_OPTIONS)
	@mkdir -p $(@D)
	@echo 'build $@'
	@tests/lwip/build $@ $(CC) -O2

build/bench/%: bench/%.c smartcache.h $(wildcard ports/*.h)
	@mkdir -p $(@D)
	@echo 'build $@'
	@$(CC) -std=gnu99 -O2 -g -I. $(DEPENDENCIES) -o $@ $< -lhiredis $(BENCH_LIBS) -pthread -lm

bench: smartcache.h
	@tests/setup.sh bench
	@$(MAKE) --no-print-directory $(PARALLEL) $(BENCH)
	@bench/run build/bench

bench-instructions: smartcache.h
	@tests/setup.sh bench
	@$(MAKE) --no-print-directory $(PARALLEL) $(BENCH)
	@bench/instructions build/bench

# These need a compiler and nothing else of the tests.
build/smartcache-server: tools/smartcache-server.c smartcache.h
	@mkdir -p $(@D)
	@echo 'build $@'
	@$(CC) -O2 -I. $(DEPENDENCIES) -o $@ $< -pthread

server: build/smartcache-server

build/demo: examples/demo.c smartcache.h
	@mkdir -p $(@D)
	@echo 'build $@'
	@$(CC) -O2 -I. $(DEPENDENCIES) -o $@ $< -pthread

demo: build/demo
	@build/demo

clean:
	rm -rf build

-include $(wildcard build/*.d build/*/*.d build/*/*/*.d)
