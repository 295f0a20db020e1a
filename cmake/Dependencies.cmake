# SPDX-License-Identifier: Apache-2.0
# Every library from outside, found once. scripts/setup installs them all.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

# OpenSSL >= 3.5: QUIPU_OPENSSL_ROOT, else the one that scripts/setup built on Debian 12, else the system's.
set(_cache "$ENV{QUIPU_CACHE}")
if(NOT _cache)
  set(_cache "$ENV{XDG_CACHE_HOME}")
  if(NOT _cache)
    set(_cache "$ENV{HOME}/.cache")
  endif()
  set(_cache "${_cache}/quipu")
endif()
set(QUIPU_OPENSSL_ROOT "" CACHE PATH "Prefix of an OpenSSL >= 3.5")
if(QUIPU_OPENSSL_ROOT)
  set(OPENSSL_ROOT_DIR ${QUIPU_OPENSSL_ROOT})
elseif(EXISTS "${_cache}/openssl/include/openssl/opensslv.h")
  set(OPENSSL_ROOT_DIR "${_cache}/openssl")
endif()
if(OPENSSL_ROOT_DIR AND EXISTS "${OPENSSL_ROOT_DIR}/lib/libcrypto.a")
  set(OPENSSL_USE_STATIC_LIBS TRUE)
endif()
find_package(OpenSSL QUIET)
if(NOT OPENSSL_FOUND OR OPENSSL_VERSION VERSION_LESS 3.5)
  message(FATAL_ERROR "Quipu needs OpenSSL >= 3.5 (ML-KEM and hybrid TLS groups); found: '${OPENSSL_VERSION}'. "
    "Run scripts/setup, which provides it, or give its prefix: cmake -DQUIPU_OPENSSL_ROOT=DIR")
endif()

if(OPENSSL_ROOT_DIR)
  # Its headers' inline functions name their file.
  target_compile_options(quipu_options INTERFACE -ffile-prefix-map=${OPENSSL_INCLUDE_DIR}=.)
endif()

find_package(Boost 1.81 REQUIRED CONFIG COMPONENTS json url)
find_package(fmt REQUIRED)
find_package(CLI11 REQUIRED)
find_package(SQLite3 REQUIRED)
pkg_check_modules(SODIUM REQUIRED IMPORTED_TARGET libsodium>=1.0.18)
pkg_check_modules(NL REQUIRED IMPORTED_TARGET libnl-3.0 libnl-route-3.0)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
find_path(TOMLPLUSPLUS_INCLUDE_DIR toml++/toml.h REQUIRED)
