#!/usr/bin/env bash
# Builds the library and its driver with sanitizers and runs them; then once more for AArch64 under an
# emulator; then compiles everything with clang. Stops at the first failure. CXX: another g++.
# -fexpensive-optimizations makes a * b + c one rounding, as the release build has it; tanh relies on it.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=build/sanitize
gcc=${CXX:-g++}

flags=(-std=c++17 -g1 -ffp-contract=fast -Wall -Wextra)
kernel_flags=(-fno-exceptions -fno-rtti -Wno-psabi -Wno-ignored-attributes)
avx2=(-mavx2 -mfma)
avx512=(-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma)

say() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

# compile NAME X86 COMPILER FLAG...: the objects of build/sanitize/NAME, the wider variants if X86 is 1.
compile() {
  local to=$out/$1 x86=$2
  local cxx=("${@:3}" "${flags[@]}") has_x86=()
  rm -rf "$to"
  mkdir -p "$to"
  "${cxx[@]}" "${kernel_flags[@]}" -c csrc/kernel_baseline.cpp -o "$to/kernel_baseline.o"
  if [ "$x86" = 1 ]; then
    has_x86=(-DLIPSCHITZ_HAS_X86_VARIANTS)
    "${cxx[@]}" "${kernel_flags[@]}" "${avx2[@]}" -c csrc/kernel_avx2.cpp -o "$to/kernel_avx2.o"
    "${cxx[@]}" "${kernel_flags[@]}" "${avx512[@]}" -c csrc/kernel_avx512.cpp -o "$to/kernel_avx512.o"
  fi
  "${cxx[@]}" ${has_x86[@]+"${has_x86[@]}"} -c csrc/api.cpp -o "$to/api.o"
  "${cxx[@]}" -c csrc/test/driver.cpp -o "$to/driver.o"
}

# build NAME X86 COMPILER FLAG...: build/sanitize/NAME/driver.
build() {
  compile "$@"
  "${@:3}" -pthread "$out/$1"/*.o -o "$out/$1/driver"
}

here_x86=0
if [ "$(uname -m)" = x86_64 ]; then here_x86=1; fi

say "addresses and undefined behaviour: building"
build address $here_x86 "$gcc" -O1 -fexpensive-optimizations -fsanitize=address,undefined -fno-sanitize-recover=all
say "addresses and undefined behaviour: running"
UBSAN_OPTIONS=print_stacktrace=1 "$out/address/driver" --quick

say "threads: building"
build thread $here_x86 "$gcc" -O1 -fexpensive-optimizations -fsanitize=thread
say "threads: running"
TSAN_OPTIONS=halt_on_error=1 "$out/thread/driver" --quick

if ! command -v aarch64-linux-gnu-g++ >/dev/null; then
  say "AArch64: skipped, there is no aarch64-linux-gnu-g++"
elif ! command -v qemu-aarch64 >/dev/null; then
  say "AArch64: skipped, there is no qemu-aarch64"
else
  say "AArch64: building"
  build aarch64 0 aarch64-linux-gnu-g++ -O2 -static
  say "AArch64: running under qemu"
  qemu-aarch64 "$out/aarch64/driver" --quick
fi

if ! command -v clang++ >/dev/null; then
  say "clang: skipped, there is no clang++"
else
  say "clang: compiling"
  compile clang $here_x86 clang++ -O1
fi

say "all passed"
