# SPDX-License-Identifier: Apache-2.0
# Language level, warnings, sanitizers and hardening, gathered in one interface target that every layer links.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

find_program(QUIPU_CCACHE ccache)
if(QUIPU_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${QUIPU_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${QUIPU_CCACHE})
endif()

# On in every preset but release: a compiler newer than those we test with must not stop an admin's build by a new warning.
option(QUIPU_WERROR "Warnings are errors" OFF)

add_library(quipu_options INTERFACE)
target_compile_options(quipu_options INTERFACE
  -Wall -Wextra -Wpedantic $<$<BOOL:${QUIPU_WERROR}>:-Werror> -Wshadow -Wconversion -Wsign-conversion -Wcast-align -Wformat=2 -Wundef
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual>
  -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.
  # A precompiled header is the same whenever it was made, or ccache would never know it again. It names files of its own build
  # folder, so that no other folder may be given it: the presets of clang set no CCACHE_BASEDIR.
  $<$<COMPILE_LANG_AND_ID:CXX,Clang>:SHELL:-Xclang -fno-pch-timestamp>)
target_compile_definitions(quipu_options INTERFACE _GNU_SOURCE)
target_include_directories(quipu_options INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)

if(QUIPU_SANITIZER)
  target_compile_options(quipu_options INTERFACE -fsanitize=${QUIPU_SANITIZER} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(quipu_options INTERFACE -fsanitize=${QUIPU_SANITIZER})
  target_compile_definitions(quipu_options INTERFACE QUIPU_SANITIZED=1)
endif()
if(QUIPU_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "Fuzz targets need clang: configure with --preset asan or --preset fuzz")
  endif()
endif()
if(QUIPU_HARDENING)
  # Of the processor: x86 and ARM each know one of these.
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag("-Werror -fcf-protection" QUIPU_HAS_CF_PROTECTION)
  check_cxx_compiler_flag("-Werror -mbranch-protection=standard" QUIPU_HAS_BRANCH_PROTECTION)
  target_compile_options(quipu_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -D_GLIBCXX_ASSERTIONS
    -fstack-protector-strong -fstack-clash-protection -ftrivial-auto-var-init=zero
    $<$<BOOL:${QUIPU_HAS_CF_PROTECTION}>:-fcf-protection>
    $<$<BOOL:${QUIPU_HAS_BRANCH_PROTECTION}>:-mbranch-protection=standard>)
  target_link_options(quipu_options INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
  set(CMAKE_EXE_LINKER_FLAGS "${CMAKE_EXE_LINKER_FLAGS} -pie")
endif()
# The static OpenSSL of Debian 12 builds must not leak its symbols out of our programs and drivers. Sanitizers' own static
# runtimes need theirs visible.
target_link_options(quipu_options INTERFACE -Wl,--as-needed)
if(NOT QUIPU_SANITIZER)
  target_link_options(quipu_options INTERFACE -Wl,--exclude-libs,ALL)
endif()
